"""Threads and processes give the same results in the same order, and end with their stage."""

import os
import signal
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from pipeline.core import parallel
from pipeline.core.cpus import available_cpus
from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure
from pipeline.core.interrupt import MESSAGE
from pipeline.core.parallel import parallel_map, process
from tests.cluster import ROOT, wait_for
from tests.core.work import Work, runs


def test_results_keep_the_order_of_the_items() -> None:
    second_done = threading.Event()

    def work(item: int) -> int:
        if item == 0:
            assert second_done.wait(timeout=30)
        else:
            second_done.set()
        return item * 10

    assert list(parallel_map(work, [0, 1])) == [0, 10]


def test_the_first_error_is_raised_and_pending_items_are_cancelled(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started, cancelled, shutdown = [], threading.Event(), ThreadPoolExecutor.shutdown

    def cancel(pool: ThreadPoolExecutor, wait: bool, cancel_futures: bool = False) -> None:
        shutdown(pool, wait=False, cancel_futures=cancel_futures)
        cancelled.set()
        shutdown(pool, wait=wait)

    def work(item: int) -> int:
        started.append(item)
        if item in (1, 3):
            raise PipelineError(f"item {item}")
        if item > 1:
            assert cancelled.wait(timeout=30)
        return item

    monkeypatch.setattr(ThreadPoolExecutor, "shutdown", cancel)
    results = parallel_map(work, range(1000))
    assert next(results) == 0
    with pytest.raises(PipelineError, match="item 1"):
        list(results)
    assert len(started) <= 3 + available_cpus()


@pytest.mark.parametrize("many", [3, 300])
def test_threads_and_processes_have_the_same_results(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, many: int
) -> None:
    monkeypatch.setattr(parallel, "MANY", many)
    items = [*"abcdefgh", "bad", *"ijk"]
    results, failures = process(Work(tmp_path), items, "work")
    assert results == [item.upper() for item in items if item != "bad"]
    assert (failures, failures.succeeded) == ([Failure("bad.tif", "bad.tif is bad")], 11)
    processes = {process for item in items for process in runs(tmp_path, item)}
    assert (os.getpid() in processes) == (many == 300)


def test_an_error_that_affects_every_item_ends_the_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parallel, "MANY", 1)
    with pytest.raises(StageError, match=r"^No space left on device: chip.png; free disk space"):
        process(Work(tmp_path), ["a", "full"], "work")
    with pytest.raises(StageError, match="^a worker process was killed, probably for its need of memory; finished "):
        process(Work(tmp_path), ["a", "deadly"], "work")


STAGE = """
import sys
from pathlib import Path
from pipeline.core import parallel
from pipeline.core.interrupt import exit_on_interrupt
from tests.core.work import Work
if __name__ == "__main__":
    parallel.MANY = 1
    with exit_on_interrupt("work"):
        parallel.process(Work(Path(sys.argv[1])), ["slow"], "work")
"""


@pytest.mark.soak
@pytest.mark.short
@pytest.mark.parametrize("reason", [signal.SIGKILL, signal.SIGINT])
def test_worker_processes_end_with_their_stage(tmp_path: Path, reason: signal.Signals) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    with subprocess.Popen(
        [sys.executable, tmp_path / "stage.py", tmp_path],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    ) as stage:
        (worker,) = wait_for(lambda: runs(tmp_path, "slow"))
        if reason == signal.SIGINT:
            os.killpg(stage.pid, reason)  # as a terminal does
        else:
            stage.send_signal(reason)
        _, error = stage.communicate()
    wait_for(lambda: not Path(f"/proc/{worker}").exists())
    if reason == signal.SIGINT:  # else Python's resource tracker reports what the stage could not release
        assert error == f"work: error: {MESSAGE}\n"
