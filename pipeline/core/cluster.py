"""Process items on the workers of a running Dask cluster, with the same results as with threads.

The machines share the checkout, the raw folder and `PIPELINE_CACHE` at the same paths. A worker that dies costs a retry
of its tasks.
"""

import hashlib
import logging
import os
import platform
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import CancelledError
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar
from uuid import uuid4

import dask
from distributed import Client, Future, KilledWorker, as_completed

from pipeline.core.cache import cache_folder
from pipeline.core.cli import progress
from pipeline.core.errors import StageError
from pipeline.core.failures import Failure, catch_failures
from pipeline.core.files import read_json
from pipeline.core.fingerprint import IMAGING, versions
from pipeline.core.parallel import CHUNK, CLUSTER, MANY, Task

T = TypeVar("T")
R = TypeVar("R")

ROOT = Path(__file__).resolve().parents[2]
BATCH = 10_000
"""Tasks of Dask sent to the scheduler at once."""
PATIENCE = "10s"
"""Longest wait for the scheduler."""
CODE = "code of the pipeline"
_checked: set[str] = set()
"""Tokens of the jobs that this process has passed as a worker."""


def environment() -> dict[str, str]:
    """Return what affects the results of a process: its code when this module was loaded, and versions."""
    own = {CODE: _LOADED_CODE, "Python": platform.python_version(), "processor type": platform.machine()}
    return own | versions((*IMAGING, "dask", "distributed"))


def _code_digest() -> str:
    files = sorted((ROOT / "pipeline").rglob("*.py"))
    return hashlib.sha256(b"\0".join(file.read_bytes() for file in files)).hexdigest()[:12]


_LOADED_CODE = _code_digest()


@dataclass(frozen=True)
class Job(Generic[T, R]):
    """A task, and what a worker needs for the same results as here."""

    task: Task[T, R]
    environment: dict[str, str]
    root: Path
    """The checkout."""
    cache: Path
    """The cache folder."""
    token: str
    """Name of a file of this run in the shared folders, which tells them from others of the same path."""

    def problem(self) -> str | None:
        """Return why this process cannot do the job, and what to do about it; None if it can."""
        own = environment()
        for name, expected in self.environment.items():
            if name == CODE and own[CODE] != expected:
                return f"runs other code than {self.root} contains now; restart it with PYTHONPATH={self.root}"
            if own[name] != expected:
                return f"has {name} {own[name]}, and this process {expected}; start both in the same environment"
        for folder in self.task.reads:
            if not os.access(folder, os.R_OK | os.X_OK):
                return (
                    f"cannot read the folder {folder}; all machines need it at the path it has here, on shared storage"
                )
        for folder in (self.cache, *self.task.writes):
            if not os.access(folder / self.token, os.R_OK):
                return (
                    f"does not share {folder}; use a folder on shared storage that all machines have at the same path "
                    "(PIPELINE_CACHE for the cache)"
                )
            if not os.access(folder, os.W_OK):
                return f"may not write to {folder}"
        return None

    def run(self, item: T) -> R | Failure:
        """Process an item in this worker.

        Raises:
            StageError: this worker cannot do the job, or an error that affects every item.
        """
        if self.token not in _checked:  # workers may join at any time
            if problem := self.problem():
                raise StageError(f"a Dask worker on {platform.node()}, process {os.getpid()}, {problem}")
            _checked.add(self.token)
        os.environ["PIPELINE_CACHE"] = str(self.cache)
        return catch_failures(self.task, self.task.file)(item)


def run_items(items: Sequence[T], job: Job[T, R]) -> list[R | Failure]:
    """Run a job on items."""
    return [job.run(item) for item in items]


def problem_of(job: Job[Any, Any]) -> str | None:
    """Return why this worker cannot do a job."""
    return job.problem()


def map_on_cluster(task: Task[T, R], items: Sequence[T], description: str) -> list[R | Failure]:
    """Process items on the cluster named by `CLUSTER`; return results and failures in the order of the items.

    Raises:
        StageError: the cluster cannot be reached, its machines lack something, or an error that affects every item.
    """
    cache = cache_folder().absolute()
    with _connected() as client, _token((cache, *task.writes)) as token:
        job = Job(task, environment(), ROOT, cache, token)
        _wait_for_workers(client, description)
        _require_suitable(client, job)
        shared = client.submit(_same, job, pure=False)  # once a worker; unlike scattered data, made again if it is lost
        size = CHUNK if len(items) >= MANY else 1
        chunks = [items[start : start + size] for start in range(0, len(items), size)]
        futures = client.map(run_items, chunks, job=shared, pure=False, batch_size=BATCH)
        numbers = {future.key: number for number, future in enumerate(futures)}
        outcomes: dict[int, list[R | Failure]] = {}
        suspects: list[int] = []
        done = as_completed(futures, raise_errors=False)
        for future in progress(done, description, len(chunks), lambda: _status(client, len(outcomes), len(chunks))):
            try:
                outcomes[numbers[future.key]] = future.result()
            except KilledWorker:
                suspects.append(numbers[future.key])
            future.release()
        for number in suspects:
            outcomes[number] = [_run_alone(client, shared, task, item) for item in chunks[number]]
    return [outcome for number in range(len(chunks)) for outcome in outcomes[number]]


@contextmanager
def _token(folders: Sequence[Path]) -> Iterator[str]:
    """Write a file of a new name into each folder during the block."""
    name = f".shared-{uuid4().hex}"
    try:
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
            (folder / name).touch()
        yield name
    finally:
        for folder in folders:
            (folder / name).unlink(missing_ok=True)


def _run_alone(client: Client, shared: Future, task: Task[T, R], item: T) -> R | Failure:
    """Run an item whose workers died once more, alone: Dask blames all tasks of a worker that dies."""
    try:
        outcomes: list[R | Failure] = client.submit(run_items, [item], job=shared, pure=False).result()
        return outcomes[0]
    except KilledWorker as error:
        return Failure(
            task.file(item),
            f"{task.file(item)} killed {error.allowed_failures + 1} Dask workers one after another, probably by its "
            "need for memory; give the workers more, or run it without Dask",
        )


@contextmanager
def _connected() -> Iterator[Client]:
    """Connect to the scheduler.

    Raises:
        StageError: it cannot be reached, or was lost in the block.
    """
    for name in ("distributed", "distributed.client", "distributed.batched", "distributed.core", "distributed.comm"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    variable, value = next((name, value) for name in CLUSTER if (value := os.environ.get(name)))
    how = f"correct it, start the scheduler, or unset {variable} to use this machine alone"
    try:
        client = Client(value if variable == CLUSTER[0] else _address_in(Path(value)), timeout=PATIENCE)
    except (OSError, ValueError, TypeError, KeyError, ImportError, RuntimeError) as error:
        raise StageError(f"{variable} is {value}, but the Dask scheduler cannot be reached: {error}; {how}") from None
    try:
        with dask.config.set({"distributed.admin.large-graph-warning-threshold": "1 GB"}), client:
            yield client
    except (CancelledError, OSError) as error:
        if isinstance(error, OSError) and error.errno is not None:  # of a file, not of the connection
            raise
        raise StageError(
            "the Dask scheduler was lost; finished work is kept: start it and its workers again, and run again"
        ) from None


def _address_in(file: Path) -> str:
    """Return the address in a scheduler's file.

    Raises:
        ValueError: it is no such file.
    """
    try:
        return str(read_json(file)["address"])
    except (ValueError, TypeError, KeyError):
        raise ValueError("this is not the file of a scheduler") from None


def _wait_for_workers(client: Client, description: str) -> None:
    """Wait for the first worker, since jobs of a cluster may be queued for hours; print the number of workers."""
    if not client.scheduler_info(n_workers=1)["n_workers"]:
        print(f"{description}: waiting for the cluster's first worker", file=sys.stderr, flush=True)
    client.submit(int, pure=False).result()  # a task, for which an adaptive cluster starts a worker
    print(f"{description}: {_workers(client)} of Dask", file=sys.stderr, flush=True)


def _require_suitable(client: Client, job: Job[Any, Any]) -> None:
    """Check scheduler and workers before anything is sent.

    Raises:
        StageError: one of them cannot do the job; names it.
    """
    start = f"start it with PYTHONPATH={ROOT}"
    try:
        found = client.run_on_scheduler(environment)
    except (ImportError, AttributeError) as error:
        raise StageError(f"the Dask scheduler cannot import the pipeline ({error}); {start}") from None
    if found[CODE] != job.environment[CODE]:
        raise StageError(
            f"the Dask scheduler runs other code than {ROOT} contains now; restart it and its workers with "
            f"PYTHONPATH={ROOT}"
        )
    for worker, problem in sorted(client.run(problem_of, job, on_error="return").items()):
        if isinstance(problem, BaseException):
            raise StageError(
                f"the Dask worker {worker} failed ({problem}), see its log; if it lacks the pipeline, {start}"
            )
        if problem:
            raise StageError(f"the Dask worker {worker} {problem}")


def _same(job: Job[T, R]) -> Job[T, R]:
    return job


def _status(client: Client, done: int, total: int) -> str:
    return f"{100 * done // total} % on {_workers(client)}"


def _workers(client: Client) -> str:
    try:
        count = client.scheduler_info(n_workers=1)["n_workers"]
    except (OSError, RuntimeError, KeyError):  # it is shown beside the bar: the tasks report what is wrong
        return "workers"
    return f"{count} worker{'s' * (count != 1)}"
