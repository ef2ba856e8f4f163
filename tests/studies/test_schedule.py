"""A sweep runs each experiment once, whatever an interrupted one left running, and says how long it will take."""

import time
from collections import deque
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from pipeline.studies.schedule import SECONDS_BESIDE_TRAINING, Schedule, distinct, duration, estimate, run_all
from pipeline.studies.study import Arm, Run
from pipeline.studies.workers import Worker


def make_run(name: str, **overrides: object) -> Run:
    return Run(name, Arm({"loss": "focal"}, {}), 1, "none", dict(overrides))


def test_missing_runs_take_as_long_as_those_that_are_done() -> None:
    costs = [{"seconds": 3600 - SECONDS_BESIDE_TRAINING, "model_mb": 50}, {"seconds": 0, "model_mb": 150}]
    # 5 runs, two at a time: three times the mean, (3600 + 34) / 2 s
    assert estimate(costs, missing=5, jobs=2) == "about 91 min and 0.5 GB of cache"
    assert estimate(costs, missing=2, jobs=8) == estimate(costs, missing=2, jobs=2)  # no more jobs than runs


def test_durations_are_rounded() -> None:
    assert [duration(seconds) for seconds in (0, 99.4, 100, 5900, 9000)] == ["0 s", "99 s", "2 min", "98 min", "2.5 h"]


def test_runs_of_two_studies_that_are_the_same_run_once() -> None:
    runs = [make_run("a", loss="focal"), make_run("b", loss="dice"), make_run("c", loss="focal")]
    assert [run.study for run in distinct(runs)] == ["a", "b"]


def test_each_run_is_taken_once(tmp_path: Path) -> None:
    first, second = make_run("a", seed=1), make_run("b", seed=2)
    schedule = Schedule(tmp_path, "HEAD", deque([first, second]))
    assert schedule.take("unknown") is None
    assert schedule.take(replace(second, study="another").name) is second  # the same experiment
    assert schedule.take() is first
    assert schedule.take() is None


class Clone:
    """A worker without a repository."""

    def __init__(self, number: int, running: str | None, log: list[str]) -> None:
        self.number, self._running, self.log = number, running, log

    @property
    def running(self) -> str | None:
        time.sleep(0.1)  # the thread of an earlier worker would already have taken a run
        return self._running

    def locked(self) -> AbstractContextManager[None]:
        return nullcontext()

    def collect(self) -> None:
        self.log.append(f"{self.number} collects")

    def run(self, run: Run) -> None:
        self.log.append(f"{self.number} runs {run.study}")


def test_what_an_interrupted_sweep_left_running_is_not_run_by_another_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Schedule, "is_done", lambda *_: True)
    monkeypatch.setattr(Schedule, "finish", lambda *_: None)
    first, second = make_run("a", seed=1), make_run("b", seed=2)
    schedule, log = Schedule(tmp_path, "HEAD", deque([first, second])), list[str]()
    workers = [Clone(1, None, log), Clone(2, first.name, log)]
    run_all(schedule, cast(list[Worker], workers), jobs=2)
    assert sorted(log) == ["1 runs b", "2 collects"] or sorted(log) == ["2 collects", "2 runs b"]
