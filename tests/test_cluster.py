"""Stages and maps on a Dask cluster of two workers over TCP."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from pathlib import Path

import pytest

from tests.cluster import ROOT, scheduler, wait_for, worker, workers_of
from tests.maps import Command, noise, outputs, write_model, write_scene
from tests.world import archive, halves, landcovernet_item, landcovernet_label, orthophoto, write_params

pytestmark = [pytest.mark.soak, pytest.mark.short]


@dataclass(frozen=True)
class Cluster:
    """A running cluster of two workers."""

    file: Path
    supervisors: tuple[int, int]
    """Process ids; each starts its worker again when that dies."""

    def kill_worker(self) -> None:
        """Kill one worker with SIGKILL."""
        os.kill(max(process.pid for process in workers_of(self.supervisors[0])), signal.SIGKILL)


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    folder = tmp_path_factory.mktemp("dask")
    with scheduler(folder), worker(folder) as one, worker(folder) as other:
        yield Cluster(folder / "dask.json", (one.pid, other.pid))


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with raw data of 3 orthophotos and of 24 chips on two dates."""
    folder = tmp_path_factory.mktemp("project")
    write_params(folder, **{"tile.size": 64})
    aerial = archive(folder / "raw/landcoverai", "landcoverai")
    for number in range(3):
        orthophoto(aerial, f"scene{number}", noise(640, 700, number), halves(640, 700))
    satellite = archive(folder / "raw/landcovernet", "landcovernet")
    for number in range(24):
        landcovernet_label(satellite, f"31PGS_{number:02}")
        for day in (1, 2):
            landcovernet_item(satellite, f"31PGS_{number:02}", date(2020, 1, day))
    return folder


STAGES = {
    "cloud_filter": ("landcovernet", "raw/landcovernet", "{out}/clear.csv", "{out}/failures.csv"),
    "tif_to_png": ("landcovernet", "raw/landcovernet", "{clear}", "{out}/chips", "{out}/failures.csv"),
    "tile": ("raw/landcoverai", "{out}/chips", "{out}/failures.csv"),
}


def start(project: Path, stage: str, out: Path, cluster: Cluster | None) -> subprocess.Popen[str]:
    """Start a stage whose outputs and cache are in `out`; the cluster is another process's environment variable."""
    variables = {"PYTHONPATH": str(ROOT), "PIPELINE_CACHE": f"{out}.cache"}
    variables |= {"DASK_SCHEDULER_FILE": str(cluster.file)} if cluster else {}
    arguments = [word.format(out=out, clear=project / "clear/clear.csv") for word in STAGES[stage]]
    program = [sys.executable, "-m", f"pipeline.{stage}", *arguments]
    return subprocess.Popen(program, cwd=project, env=os.environ | variables, stderr=subprocess.PIPE, text=True)


def run(project: Path, stage: str, out: Path) -> dict[str, bytes]:
    """Return the outputs of a stage on this machine."""
    with start(project, stage, out, None) as process:
        _, error = process.communicate()
    assert (process.returncode, error) == (0, "")
    return outputs(out)


@pytest.mark.parametrize("stage", STAGES)
def test_a_stage_has_the_same_bytes_on_a_cluster_of_which_a_worker_is_killed(
    project: Path, tmp_path: Path, cluster: Cluster, stage: str
) -> None:
    run(project, "cloud_filter", project / "clear")
    expected = run(project, stage, tmp_path / "alone")
    assert len(expected) >= 2
    cache = tmp_path / "killed.cache/stages"
    with start(project, stage, tmp_path / "killed", cluster) as process:
        wait_for(lambda: list(cache.glob("*/*/*/result.json")))
        process.send_signal(signal.SIGSTOP)  # else the stage may end first
        assert wait_for(lambda: list(cache.glob("*/*/.partial-*")))  # a task runs
        cluster.kill_worker()
        process.send_signal(signal.SIGCONT)
        _, error = process.communicate()
    assert process.returncode == 0
    assert re.fullmatch(f"{stage}( landcovernet)?: [12] workers? of Dask\n", error)
    assert outputs(tmp_path / "killed") == expected
    assert not list(tmp_path.rglob(".shared-*"))


def test_a_bad_file_is_reported_as_without_a_cluster(project: Path, tmp_path: Path, cluster: Cluster) -> None:
    shutil.copytree(project, tmp_path / "project")
    (tmp_path / "project/raw/landcoverai/images/scene1.tif").write_bytes(b"no image")
    errors = []
    for number, where in enumerate((None, cluster)):
        with start(tmp_path / "project", "tile", tmp_path / f"out{number}", where) as process:
            errors.append(process.communicate()[1])
        assert process.returncode == 1
    assert errors[1] == f"tile: 2 workers of Dask\n{errors[0]}"
    assert errors[0].startswith("tile: error: input/images/scene1.tif is not a readable GeoTIFF")  # the original


def test_maps_of_several_scenes_have_the_same_bytes_on_a_cluster(
    tmp_path: Path, cluster: Cluster, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    predict = Command(monkeypatch, capsys, write_model(tmp_path / "model"))
    monkeypatch.chdir(tmp_path)  # relative paths are those of this process
    for name in "ab":
        write_scene(tmp_path / f"{name}.tif", 96 + ord(name), 128)
    Path("bad.tif").write_text("no image")
    alone = predict("a.tif", "b.tif", "bad.tif", "-o", "alone/", "--preview", "alone/pictures")
    monkeypatch.setenv("DASK_SCHEDULER_FILE", str(cluster.file))
    spread = predict("a.tif", "b.tif", "bad.tif", "-o", "spread/", "--preview", "spread/pictures")
    assert (alone.code, spread.code) == (1, 1)
    assert outputs(tmp_path / "spread") == outputs(tmp_path / "alone")
    assert len(outputs(tmp_path / "spread")) >= 6
    failed = f"bad.tif  FAILED: {tmp_path}/bad.tif is not a readable GeoTIFF"
    assert spread.out.splitlines()[2].startswith(failed)
    again = predict("a.tif", "b.tif", "-o", "spread/", "--preview", "spread/pictures")
    assert again.out == "a.tif  skipped: already finished\nb.tif  skipped: already finished\n"
