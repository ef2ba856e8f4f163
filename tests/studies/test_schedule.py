from collections import deque
from dataclasses import replace
from pathlib import Path

from pipeline.studies.schedule import SECONDS_BESIDE_TRAINING, Schedule, distinct, duration, estimate
from pipeline.studies.study import Arm, Run


def make_run(name: str, **overrides: object) -> Run:
    return Run(name, Arm({"loss": "focal"}, {}), 1, "none", dict(overrides))


def test_missing_runs_take_as_long_as_those_that_are_done() -> None:
    costs = [{"seconds": 3600 - SECONDS_BESIDE_TRAINING, "model_mb": 50}, {"seconds": 0, "model_mb": 150}]
    result = estimate(costs, 5, 2, "by 2 finished runs")
    mean = (3600 + SECONDS_BESIDE_TRAINING) / 2
    assert result.hours == 3 * mean / 3600  # 5 runs, two at a time
    assert result.gigabytes == 5 * 0.1
    assert str(result) == "about 91 min and 0.5 GB of cache (by 2 finished runs)"


def test_more_jobs_than_runs_are_no_faster() -> None:
    cost = [{"seconds": 75, "model_mb": 1}]
    assert estimate(cost, 2, 8, "").hours == estimate(cost, 2, 2, "").hours


def test_durations_are_rounded() -> None:
    assert [duration(seconds) for seconds in (0, 99.4, 100, 5900, 9000)] == ["0 s", "99 s", "2 min", "98 min", "2.5 h"]


def test_runs_of_two_studies_that_are_the_same_run_once() -> None:
    runs = [make_run("a", loss="focal"), make_run("b", loss="dice"), make_run("c", loss="focal")]
    assert [run.study for run in distinct(runs)] == ["a", "b"]


def test_each_run_is_taken_once(tmp_path: Path) -> None:
    first, second = make_run("a", seed=1), make_run("b", seed=2)
    schedule = Schedule(str(tmp_path), "HEAD", deque([first, second]), print)
    assert schedule.take("unknown") is None
    assert schedule.take(replace(second, study="another").name) is second  # the same experiment
    assert schedule.take() is first
    assert schedule.take() is None
