"""Process files in parallel: with threads, processes, or the workers of a running Dask cluster."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, TypeVar

from pipeline.core.cli import progress
from pipeline.core.cpus import available_cpus
from pipeline.core.errors import StageError
from pipeline.core.failures import Failure, Failures, catch_failures, partition_results
from pipeline.core.interrupt import open_pool

T = TypeVar("T")
R = TypeVar("R")
Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result", covariant=True)

CLUSTER = ("DASK_SCHEDULER_ADDRESS", "DASK_SCHEDULER_FILE")
"""Environment variables of which one names a running Dask cluster: by address, or by the scheduler's file."""


MANY = 300
"""Items from which on processes, which take half a second to start, are faster than threads."""
CHUNK = 8
"""Of many items, as many are sent to a process or to a worker of the cluster at once."""
_worker_task: "Task[Any, Any] | None" = None
"""In a worker process, its task."""


class Task(Protocol[Item, Result]):
    """Work on one item, as data that can be sent to another machine: paths are absolute.

    It is defined in a package, not in a stage's module, which is `__main__` there and cannot be imported by a worker.
    """

    @property
    def reads(self) -> Sequence[Path]:
        """Folders that every machine must have."""

    @property
    def writes(self) -> Sequence[Path]:
        """Folders that all machines must share, besides the cache folder."""

    def file(self, item: Item, /) -> str:
        """Return the item's file for messages."""

    def __call__(self, item: Item, /) -> Result:
        """Process an item; twice is as good as once."""


def has_cluster() -> bool:
    """Return whether a Dask cluster is named."""
    return any(map(os.environ.get, CLUSTER))


def process(task: Task[T, R], items: Sequence[T], description: str) -> tuple[list[R], Failures]:
    """Process items on the Dask cluster named by `CLUSTER`, or on all CPUs of this machine.

    Few items, such as scenes, are processed by threads; from `MANY` on by processes, since small files keep Python's
    lock busy: a thread for each of two cores took 8.2 s for 1,000 Sentinel-2 chips, one core alone 9.4 s.

    Args:
        task: what to do with each.
        items: what to process.
        description: for the progress bar.

    Returns:
        The results in the order of the items, whatever the number of workers, and the failures.

    Raises:
        StageError: an error that affects every item, a process died, or the cluster cannot be used.
    """
    if has_cluster():
        from pipeline.core.cluster import map_on_cluster  # Dask takes most of a second to import

        return partition_results(map_on_cluster(task, items, description))
    attempt = catch_failures(task, task.file)
    outcomes = parallel_map(attempt, items) if len(items) < MANY else _map_in_processes(task, items)
    return partition_results(progress(outcomes, description, len(items)))


def parallel_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Apply `function` to each item with one thread per CPU; yield results in the order of the items."""
    with open_pool(ThreadPoolExecutor(available_cpus())) as pool:
        futures = [pool.submit(function, item) for item in items]
        for future in futures:
            yield future.result()


def _map_in_processes(task: Task[T, R], items: Sequence[T]) -> Iterator[R | Failure]:
    """Process items with one process per CPU, each of which gets the task once; yield outcomes in order."""
    workers = ProcessPoolExecutor(available_cpus(), get_context("spawn"), _start_worker, (task,))
    try:
        with open_pool(workers) as pool:
            yield from pool.map(_attempt, items, chunksize=CHUNK)
    except BrokenProcessPool:
        raise StageError(
            "a worker process was killed, probably for its need of memory; finished work is kept: run again, on fewer "
            "CPUs if it needs less memory (taskset)"
        ) from None


def _start_worker(task: Task[Any, Any]) -> None:
    """Prepare a worker process: leave Ctrl-C to the stage, and end with it, however it ends."""
    global _worker_task
    _worker_task = task
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _attempt(item: Any) -> Any:
    assert _worker_task is not None
    return catch_failures(_worker_task, _worker_task.file)(item)
