"""Before a map starts, one line says what it takes; a disk too small is refused, and the memory is enough."""

import json
import re
import subprocess
import sys
from collections import namedtuple
from contextlib import nullcontext
from dataclasses import replace
from pathlib import Path

import pytest
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.inference import estimate as module
from pipeline.inference.estimate import estimate, memory_bytes, require_disk
from pipeline.inference.forward import NetworkRun
from pipeline.inference.memory import batch_bytes_per_pixel
from pipeline.inference.windows import Tiling
from tests.inference.world import ALL, exact_model, network_run, random_scene

ROOT = Path(__file__).parents[2]
TILING = Tiling(128, 32, 32)
RUN = network_run(exact_model(), random_scene(200, 300), TILING, ALL)
"""3 x 4 windows of 128 px over 200 x 300 px; layers of 1 + 1 + 3 bands."""
LARGE = replace(RUN, plan=replace(RUN.plan, bounds=Window(0, 0, 10_000, 6_000)))
Usage = namedtuple("Usage", "total used free")


@pytest.mark.parametrize(
    ("run", "map_pixels", "line"),
    [
        (RUN, 60_000, r"60,000 px in 12 windows of 128 x 128 px, about 6 s, \d\.\d GB of memory, at most 1 MB of disk"),
        (RUN, 11_940_000, r"60,000 px in .*, at most 60 MB of disk"),  # resampled from finer pixels
        (LARGE, 180_000_000, r"60 million px in .*, less than 1 s, .*, at most 1\.2 GB of disk"),
    ],
)
def test_the_estimate_is_one_line(monkeypatch: pytest.MonkeyPatch, run: NetworkRun, map_pixels: int, line: str) -> None:
    monkeypatch.setattr(module, "_seconds_per_pixel", lambda run: (2.0 if run is RUN else 0.1) / 256**2)
    assert re.fullmatch(line, estimate(run, map_pixels))


def test_memory_grows_by_the_windows_of_a_batch() -> None:
    per_pixel = batch_bytes_per_pixel(RUN.model.model.segmenter, RUN.model.device)
    more = replace(RUN, plan=replace(RUN.plan, batch=1001))
    assert memory_bytes(more) - memory_bytes(RUN) == pytest.approx(1000 * 128**2 * per_pixel, rel=0.01)


def test_the_network_is_timed() -> None:
    assert 0 < module._seconds_per_pixel(RUN) < 60 / 256**2
    assert RUN.statistics.computed == 0


MEASURE = """if True:
    import json, resource
    import torch
    torch.set_num_threads(1)
    from pipeline.inference.estimate import memory_bytes
    from pipeline.inference.network import Wanted
    from pipeline.inference.windows import Tiling
    from tests.inference.world import mapped, network_run, random_scene, untrained_model

    found = []
    for side in (320, 640):
        run = network_run(untrained_model(), random_scene(side, side), Tiling(side, 64, 32), Wanted())
        expected = memory_bytes(run)
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


SMALL = r"^scene.tif needs up to 0\.6 GB for {}; free disk space, set PIPELINE_CACHE or -o .*, or map a part: --bbox$"


@pytest.mark.parametrize(
    ("missing", "begun", "problem"),
    [
        ({}, 0, None),
        ({"work": 1}, 0, "its unfinished layers, and 0.6 GB are free on the disk of .*work"),
        ({"out": 600_000_000}, 0, "the map, and 0.0 GB are free on the disk of .*out"),
        ({"work": 204_800, "out": 204_800}, 204_800, None),  # layers of unfinished work are not written once more
        ({"work": 409_600}, 204_800, "its unfinished layers, and 0.6 GB are free on the disk of .*work"),
    ],
)
def test_a_small_disk_is_refused_with_the_figure(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, missing: dict[str, int], begun: int, problem: str | None
) -> None:
    for name in ("work", "out"):
        (tmp_path / name).mkdir()
    (tmp_path / "work/classes.bin").write_bytes(bytes([1]) * begun)
    free = {name: 600_000_000 - missing.get(name, 0) for name in ("work", "out")}
    monkeypatch.setattr(module.shutil, "disk_usage", lambda path: Usage(0, 0, free[path.name]))
    with nullcontext() if problem is None else pytest.raises(PipelineError, match=SMALL.format(problem)):
        require_disk(LARGE, 60_000_000, tmp_path / "work", tmp_path / "out/new/map.tif")
