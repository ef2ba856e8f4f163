"""Run the missing runs of a sweep on several workers."""

import time
from collections import deque
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import mean
from threading import Lock
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.core.interrupt import thread_pool
from pipeline.studies.experiments import reread
from pipeline.studies.study import Run
from pipeline.studies.workers import Worker

SECONDS_BESIDE_TRAINING = 34
"""For starting, checking, restoring chips, evaluating and saving an experiment: mean of the 45 runs of `make
paper-losses JOBS=2` on two cores."""


@dataclass
class Schedule:
    """The runs that are left, and what became of the others; shared by the threads of the workers."""

    root: Path
    """The repository."""
    commit: str
    """What the runs are based on."""
    todo: deque[Run]
    count: int = field(init=False)
    finished: int = 0
    failures: list[str] = field(default_factory=list)
    lock: Lock = field(default_factory=Lock)

    def __post_init__(self) -> None:
        self.count, self._start = len(self.todo), time.monotonic()

    def take(self, name: str | None = None) -> Run | None:
        """Remove and return the next run, or the one with this name or, in another study, its hash; None if absent."""
        own_hash = name and name.rpartition("-")[2]
        with self.lock:
            index = next((index for index, run in enumerate(self.todo) if own_hash in (None, run.hash)), None)
            if index is None:
                return None
            run = self.todo[index]
            del self.todo[index]
            return run

    def finish(self, run: Run) -> None:
        """Record a run that a worker has collected.

        Raises:
            PipelineError: it is not what it should be.
        """
        with self.lock, reread(self.root, self.commit) as experiments:
            score = experiments.score(run)
            self.finished += 1
            left = (time.monotonic() - self._start) / self.finished * (self.count - self.finished)
            _print(f"[{self.finished + len(self.failures)}/{self.count}] {run.name}: {score}, {duration(left)} left")

    def is_done(self, run: Run) -> bool:
        """Look a run up among the experiments that there are now."""
        with reread(self.root, self.commit) as experiments:
            return experiments.done(run) is not None

    def fail(self, error: PipelineError | OSError) -> None:
        """Record a run that failed; the others go on."""
        with self.lock:
            self.failures.append(str(error))
            _print(f"[{self.finished + len(self.failures)}/{self.count}] {error}")


def run_all(schedule: Schedule, workers: Sequence[Worker], jobs: int) -> None:
    """Run everything on the first `jobs` workers; the others only wait for what an interrupted sweep left running."""
    # before any worker starts, lest another one takes what is still running
    left = [schedule.take(worker.running) if worker.running else None for worker in workers]
    with thread_pool(len(workers)) as pool:
        futures = [
            pool.submit(_work, worker, schedule, run, index < jobs)
            for index, (worker, run) in enumerate(zip(workers, left, strict=True))
        ]
        for future in futures:
            future.result()


def _work(worker: Worker, schedule: Schedule, run: Run | None, goes_on: bool) -> None:
    if worker.running:
        _print(f"worker {worker.number} still runs {worker.running} of an interrupted sweep; waiting for it")
        with worker.locked():
            worker.collect()
        if run is not None and schedule.is_done(run):
            schedule.finish(run)
            run = None
    while run is not None or (goes_on and (run := schedule.take()) is not None):
        try:
            worker.run(run)
            schedule.finish(run)
        except (PipelineError, OSError) as error:
            schedule.fail(error)
        run = None


def estimate(costs: Sequence[dict[str, Any]], missing: int, jobs: int) -> str:
    """Estimate time and disk space from the `metrics/cost.json` of similar runs."""
    seconds = mean(cost["seconds"] for cost in costs) + SECONDS_BESIDE_TRAINING
    megabytes = mean(cost["model_mb"] for cost in costs)
    rounds = -(-missing // jobs)
    return f"about {duration(rounds * seconds)} and {missing * megabytes / 1000:.1f} GB of cache"


def _print(text: str) -> None:
    print(text, flush=True)


def duration(seconds: float) -> str:
    """Round to seconds, minutes or hours."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 6000 else f"{seconds / 3600:.1f} h"


def distinct(runs: Iterable[Run]) -> list[Run]:
    """Drop runs that are the same experiment as an earlier one."""
    by_hash: dict[str, Run] = {}
    for run in runs:
        by_hash.setdefault(run.hash, run)
    return list(by_hash.values())
