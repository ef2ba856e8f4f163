"""On a Dask cluster results and failures are as without one; whatever does not fit a worker is named in one line."""

import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from pipeline.core import cluster
from pipeline.core.cluster import CODE, Job, environment
from pipeline.core.errors import StageError
from pipeline.core.failures import Failure
from pipeline.core.parallel import process
from tests.cluster import scheduler, wait_for, worker
from tests.core.work import Work, runs

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Return the scheduler file of two workers."""
    folder = tmp_path_factory.mktemp("dask")
    with scheduler(folder), worker(folder), worker(folder):
        yield folder / "dask.json"


@pytest.fixture
def map_items(running: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    monkeypatch.setenv("DASK_SCHEDULER_FILE", str(running))
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path))
    return lambda items: process(Work(tmp_path), items, "work")


@pytest.mark.soak
@pytest.mark.short
@pytest.mark.parametrize("many", [1, 300])
def test_results_have_the_order_of_the_items_and_failures_name_their_files(
    map_items: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(cluster, "MANY", many)
    items = [*"abcdefgh", "bad", *"ijk"]
    results, failures = map_items(items)
    assert results == [item.upper() for item in items if item != "bad"]
    assert (failures, failures.succeeded) == ([Failure("bad.tif", "bad.tif is bad")], 11)


@pytest.mark.soak
@pytest.mark.short
def test_a_full_disk_of_a_worker_ends_the_stage(map_items: Callable[..., Any]) -> None:
    with pytest.raises(StageError, match=r"^No space left on device: chip.png; free disk space"):
        map_items(["a", "full"])


@pytest.mark.soak
@pytest.mark.short
def test_a_killed_worker_costs_a_retry(map_items: Callable[..., Any], tmp_path: Path) -> None:
    def kill() -> None:
        os.kill(wait_for(lambda: runs(tmp_path, "slow"))[0], signal.SIGKILL)
        (tmp_path / "go").touch()

    killer = threading.Thread(target=kill)
    killer.start()
    results, failures = map_items(["slow", "a", "b"])
    killer.join()
    assert (results, failures) == (["SLOW", "A", "B"], [])
    assert len(set(runs(tmp_path, "slow"))) == 2


@pytest.mark.soak
@pytest.mark.short
@pytest.mark.parametrize("many", [1, 300])
def test_a_file_that_kills_its_workers_fails_and_no_other_is_blamed(
    map_items: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(cluster, "MANY", many)  # sent one by one, or in chunks
    results, failures = map_items(["a", "deadly", "b", "c"])
    assert results == ["A", "B", "C"]
    assert [failure.file for failure in failures] == ["deadly.tif"]
    assert failures[0].reason.startswith(
        "deadly.tif killed 2 Dask workers one after another, probably by its need for "
    )


@pytest.mark.soak
@pytest.mark.short
def test_a_lost_scheduler_is_one_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_FILE", f"{tmp_path}/dask.json")
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path))
    with scheduler(tmp_path) as started, worker(tmp_path):
        killer = threading.Thread(target=lambda: wait_for(lambda: runs(tmp_path, "slow")) and started.kill())
        killer.start()
        with pytest.raises(StageError, match="^the Dask scheduler was lost; finished work is kept: start it and its"):
            process(Work(tmp_path), ["slow"], "work")
        killer.join()
        (tmp_path / "go").touch()


@pytest.mark.soak
@pytest.mark.short
@pytest.mark.parametrize(
    ("of_scheduler", "of_worker", "message"),
    [
        ({"PYTHONPATH": ""}, {}, "^the Dask scheduler cannot import the pipeline .*; start it with PYTHONPATH={root}$"),
        (
            {},
            {"PYTHONPATH": ""},
            "^the Dask worker tcp:.* failed .*, see its log; if it lacks the pipeline, start it with PYTHON.*={root}$",
        ),
    ],
)
def test_a_process_that_cannot_import_the_pipeline_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, of_scheduler: Any, of_worker: Any, message: str
) -> None:
    monkeypatch.setenv("DASK_SCHEDULER_FILE", f"{tmp_path}/dask.json")
    monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path))
    monkeypatch.chdir(tmp_path)  # else Dask's processes would find it there
    with (
        scheduler(tmp_path, **of_scheduler),
        worker(tmp_path, **of_worker),
        pytest.raises(StageError, match=message.format(root=ROOT)),
    ):
        process(Work(tmp_path), ["a"], "work")


@pytest.mark.parametrize(
    ("variable", "value", "reason"),
    [
        ("DASK_SCHEDULER_ADDRESS", "tcp://127.0.0.1:9", "Timed out trying to connect to tcp://127.0.0.1:9 after 1 s"),
        ("DASK_SCHEDULER_ADDRESS", "127.0.0.1:nine", "invalid literal for int"),
        ("DASK_SCHEDULER_ADDRESS", "tls://127.0.0.1:9", "TLS expects"),
        ("DASK_SCHEDULER_FILE", "/nowhere/dask.json", r"\[Errno 2\] No such file or directory"),
    ],
)
def test_a_scheduler_that_cannot_be_reached_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, value: str, reason: str
) -> None:
    monkeypatch.setattr(cluster, "PATIENCE", "1s")
    monkeypatch.setenv(variable, value)
    advice = f"correct it, start the scheduler, or unset {variable} "
    message = f"^{variable} is {value}, but the Dask scheduler cannot be reached: {reason}.*; {advice}"
    with pytest.raises(StageError, match=message):
        process(Work(tmp_path), ["a"], "work")


def job(folder: Path, reads: Sequence[Path] = (), **differences: str) -> Job[str, str]:
    (folder / "token").touch()
    return Job(Work(folder, tuple(reads)), environment() | differences, ROOT, folder, "token")


def test_a_worker_like_this_process_has_no_problem(tmp_path: Path) -> None:
    assert job(tmp_path, [tmp_path]).problem() is None


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        (CODE, f"runs other code than {ROOT} contains now; restart it with PYTHONPATH={ROOT}"),
        ("rasterio", "has rasterio {own}, and this process 0; start both in the same environment"),
        ("Python", "has Python {own}, and this process 0; start both in the same environment"),
    ],
)
def test_other_code_and_versions_are_refused(tmp_path: Path, name: str, problem: str) -> None:
    assert job(tmp_path, **{name: "0"}).problem() == problem.format(own=environment()[name])


def test_folders_that_a_machine_lacks_are_named(tmp_path: Path) -> None:
    missing = tmp_path / "raw"
    assert job(tmp_path, [tmp_path, missing]).problem() == (
        f"cannot read the folder {missing}; all machines need it at the path it has here, on shared storage"
    )


def test_a_cache_of_the_same_path_on_another_machine_is_refused(tmp_path: Path) -> None:
    other = replace(job(tmp_path), token="another token")
    message = f"does not share {tmp_path}; use a folder on shared storage"
    assert str(other.problem()).startswith(message)
    late = rf"^a Dask worker on .*, process {os.getpid()}, {message}"  # that joined after the check
    with pytest.raises(StageError, match=late):
        other.run("a")
