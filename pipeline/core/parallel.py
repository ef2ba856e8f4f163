"""Process files in parallel: with threads, processes, or the workers of a running Dask cluster."""

import os
import signal
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from pathlib import Path
from threading import Thread
from typing import Any, Protocol, TypeVar

from pipeline.core.cli import progress
from pipeline.core.cpus import available_cpus
from pipeline.core.errors import StageError
from pipeline.core.failures import Failure, Failures, catch_failures, partition_results
from pipeline.core.interrupt import thread_pool

T = TypeVar("T")
R = TypeVar("R")
Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result", covariant=True)

CLUSTER = ("DASK_SCHEDULER_ADDRESS", "DASK_SCHEDULER_FILE")
"""Environment variables of which one names a running Dask cluster: by address, or by the scheduler's file."""


MANY = 300
"""Items from which on processes, which import everything again, are as fast as threads (measured on two cores)."""
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

    Fewer than `MANY` items are processed by threads, more by processes, since small files keep Python's lock busy:
    1,000 Sentinel-2 chips took 9.4 s on one core, 8.2 s in a thread for each of two, 5.5 s in a process for each. If
    a process is killed, the stage ends without the name of the file; on a cluster the file is named.

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
    with thread_pool(available_cpus()) as pool:
        futures = [pool.submit(function, item) for item in items]
        for future in futures:
            yield future.result()


def _map_in_processes(task: Task[T, R], items: Sequence[T]) -> Iterator[R | Failure]:
    """Process items with one process per CPU, each of which gets the task once; yield outcomes in order."""
    workers = ProcessPoolExecutor(available_cpus(), get_context("spawn"), _start_worker, (task,))
    try:
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])  # inherited: only the stage handles Ctrl-C
        outcomes = workers.map(_attempt, items, chunksize=CHUNK)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGINT])
        yield from outcomes
    except (KeyboardInterrupt, GeneratorExit):
        for child in active_children():
            child.kill()
        raise
    except BrokenProcessPool:
        raise StageError(
            "a worker process was killed, probably for its need of memory; finished work is kept: run again, on fewer "
            "CPUs if it needs less memory (taskset)"
        ) from None
    finally:
        workers.shutdown(cancel_futures=True)


def _start_worker(task: Task[Any, Any]) -> None:
    """Prepare a worker process, which ends with the stage, however that ends."""
    global _worker_task
    _worker_task = task
    Thread(target=_exit_with_parent, daemon=True).start()


def _exit_with_parent() -> None:
    parent = parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _attempt(item: Any) -> Any:
    assert _worker_task is not None
    return catch_failures(_worker_task, _worker_task.file)(item)
