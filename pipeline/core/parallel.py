"""Process files in parallel: with threads, or on the workers of a running Dask cluster."""

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol, TypeVar

from pipeline.core.cli import progress
from pipeline.core.cpus import available_cpus
from pipeline.core.failures import Failures, catch_failures, partition_results
from pipeline.core.interrupt import thread_pool

T = TypeVar("T")
R = TypeVar("R")
Item = TypeVar("Item", contravariant=True)
Result = TypeVar("Result", covariant=True)

CLUSTER = ("DASK_SCHEDULER_ADDRESS", "DASK_SCHEDULER_FILE")
"""Environment variables of which one names a running Dask cluster: by address, or by the scheduler's file."""


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
    """Process items with one thread per CPU, or on the Dask cluster named by `CLUSTER`.

    Threads are enough: GDAL, OpenCV and Pillow release the GIL.

    Args:
        task: what to do with each.
        items: what to process.
        description: for the progress bar.

    Returns:
        The results in the order of the items, whatever the number of workers, and the failures.

    Raises:
        StageError: an error that affects every item, or the cluster cannot be used.
    """
    if has_cluster():
        from pipeline.core.cluster import map_on_cluster  # Dask takes most of a second to import

        return partition_results(map_on_cluster(task, items, description))
    outcomes = parallel_map(catch_failures(task, task.file), items)
    return partition_results(progress(outcomes, description, len(items)))


def parallel_map(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """Apply `function` to each item with one thread per CPU; yield results in the order of the items."""
    with thread_pool(available_cpus()) as pool:
        futures = [pool.submit(function, item) for item in items]
        for future in futures:
            yield future.result()
