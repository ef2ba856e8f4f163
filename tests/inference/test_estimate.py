"""What a map takes: by head, and against a run."""

import json
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import pytest
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.inference import estimate as module
from pipeline.inference.estimate import Estimate, estimate, require_disk
from pipeline.inference.memory import batch_bytes_per_pixel
from pipeline.inference.network import Wanted
from pipeline.inference.windows import Tiling
from tests.inference.world import ALL, exact_model, network_run, random_scene

ROOT = Path(__file__).parents[2]
TILING = Tiling(128, 32, 32)
RUN = network_run(exact_model(), random_scene(200, 300), TILING, ALL)
"""3 x 4 windows of 128 px over 200 x 300 px; layers of 1 + 1 + 3 bands."""
Usage = namedtuple("Usage", "total used free")


def test_pixels_windows_and_disk_are_exact(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_seconds", lambda run: 2.0)  # for 256 x 256 px
    found = estimate(RUN, 200 * 300)
    assert (found.pixels, found.windows, found.size) == (200 * 300, 12, (128, 128))
    assert found.seconds == pytest.approx(2.0 * 12 * 128**2 / 256**2)
    assert found.disk_gb == pytest.approx(2 * 5 * 200 * 300 / 1e9)
    assert estimate(RUN, 9 * 200 * 300).disk_gb == pytest.approx(
        10 * 5 * 200 * 300 / 1e9
    )  # resampled from finer pixels
    part = network_run(exact_model(), random_scene(200, 300), TILING, Wanted(), Window(100, 50, 40, 30))
    assert (estimate(part, 40 * 30).pixels, estimate(part, 40 * 30).windows) == (40 * 30, 1)


def test_memory_grows_by_the_windows_of_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_seconds", lambda run: 2.0)
    monkeypatch.setattr(module, "_resident_bytes", lambda: 300_000_000)
    per_pixel = batch_bytes_per_pixel(RUN.model.model.segmenter, RUN.model.device)
    two = replace(RUN, plan=replace(RUN.plan, batch=2))
    for run, batch in ((RUN, 1), (two, 2)):
        expected = 300_000_000 + batch * 128**2 * per_pixel
        assert estimate(run, 200 * 300).memory_gb == pytest.approx(expected / 1e9)


def test_the_network_is_timed() -> None:
    assert 0 < estimate(RUN, 200 * 300).seconds < 60
    assert RUN.statistics.computed == 0


def test_the_estimate_is_one_line() -> None:
    found = Estimate(123_456_789, 1234, (512, 640), 5000.0, 2.345, 0.1234)
    assert str(found) == (
        "123 million px in 1,234 windows of 640 x 512 px, about 83 min, 2.3 GB of memory, at most 123 MB of disk"
    )


MEASURE = """if True:
    import json, resource
    import torch
    torch.set_num_threads(1)
    from pipeline.inference import estimate as module
    from pipeline.inference.estimate import estimate
    from pipeline.inference.network import Wanted
    from pipeline.inference.windows import Tiling
    from tests.inference.world import mapped, network_run, random_scene, untrained_model

    found = []
    module._seconds = lambda run: 1.0
    for side in (320, 640):
        run = network_run(untrained_model(), random_scene(side, side), Tiling(side, 64, 32), Wanted())
        expected = 1e9 * estimate(run, side**2).memory_gb
        mapped(run, f"work {side}")
        found.append((expected, 1024 * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss))
    print(json.dumps(found))
    """


@pytest.mark.skipif(sys.platform != "linux", reason="ru_maxrss is in KiB on Linux")
def test_memory_is_enough_and_not_twice_what_is_used() -> None:
    command = [sys.executable, "-W", "ignore", "-c", MEASURE]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    for expected, used in json.loads(run.stdout):
        assert used <= expected <= 2 * used


@pytest.mark.parametrize(
    ("free", "problem"),
    [
        ({"work": 0.5, "out": 9.0}, "0.6 GB for its unfinished layers, and 0.5 GB are free on the disk of .*work"),
        ({"work": 9.0, "out": 0.0}, "0.6 GB for the map, and 0.0 GB are free on the disk of .*out"),
    ],
)
def test_a_small_disk_is_refused_with_the_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: dict[str, float], problem: str
) -> None:
    for name in free:
        (tmp_path / name).mkdir()
    large = replace(RUN, plan=replace(RUN.plan, bounds=Window(0, 0, 10_000, 6_000)))
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, 1e9 * free[path.name]))
    with pytest.raises(PipelineError, match=f"^scene.tif needs up to {problem}") as error:
        require_disk(large, 60_000_000, tmp_path / "work", tmp_path / "out/new/map.tif")
    assert str(error.value).endswith("set PIPELINE_CACHE or -o to a larger disk, or map a part: --bbox")


def test_a_disk_that_is_large_enough_is_accepted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, 2 * 5 * 200 * 300))
    require_disk(RUN, 200 * 300, tmp_path, tmp_path / "map.tif")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, 2 * 5 * 200 * 300 - 1))
    with pytest.raises(PipelineError, match="free disk space"):
        require_disk(RUN, 200 * 300, tmp_path, tmp_path / "map.tif")


def test_the_layers_of_unfinished_work_need_no_more_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    needed, begun = 2 * 5 * 200 * 300, 5 * 40_960
    (tmp_path / "work").mkdir()
    (tmp_path / "work/classes.bin").write_bytes(bytes([1]) * begun)
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, needed - begun))
    require_disk(RUN, 200 * 300, tmp_path / "work", tmp_path / "map.tif")
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, needed - 2 * begun))
    with pytest.raises(PipelineError, match="free disk space"):
        require_disk(RUN, 200 * 300, tmp_path / "work", tmp_path / "map.tif")
