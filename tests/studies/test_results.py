"""Finished runs are read with what they wrote; what is missing or unreadable is counted or named, not invented."""

import json
from typing import Any

import pytest
import yaml

from pipeline.scoring.counts import to_table
from pipeline.studies.experiments import Experiment
from pipeline.studies.results import StudyResults, read_study
from pipeline.studies.study import Run, Study, plan
from tests.evaluation.test_intervals import make_groups
from tests.studies.made import CLASSES, GROUPS, STUDY, evaluation, finished, paper_params, study_results

CURVE = "step\tloss\n1\t0.5\n2\tnan\n"


def files(run: Run) -> dict[str, str]:
    """What a run writes."""
    lock = {"stages": {"evaluate": {"deps": [{"path": "data/chips/landcoverai", "md5": "0123"}]}}}
    return {
        "params.yaml": yaml.safe_dump(paper_params()),
        "dvc.lock": yaml.safe_dump(lock),
        "metrics/evaluate.json": json.dumps(evaluation(0.25, seed=run.seed)),
        "metrics/units.csv": to_table(GROUPS, make_groups(*[0.4] * 12), CLASSES).to_csv(index=False),
        "metrics/cost.json": '{"seconds": 60}',
        "metrics/split/landcoverai.json": '{"train": {"chips": 40}}',
        "plots/train/plots/metrics/val/loss.tsv": CURVE,
    }


class Made:
    """Experiments made by hand: seed 1 is done, seed 2 outdated, others are missing."""

    def __init__(self, **changes: str | None) -> None:
        self.changes = changes

    def done(self, run: Run) -> Experiment | None:
        self.run = run
        return Experiment(run.name, "rev") if run.seed == 1 else None

    def state(self, run: Run) -> str:
        return {1: "done", 2: "outdated"}.get(run.seed, "missing")

    def read(self, rev: str, path: str) -> bytes:
        text = (files(self.run) | self.changes).get(path)
        if text is None:
            raise FileNotFoundError(f"{path} of {rev}: it is in no cache")
        return text.encode()


def read(experiments: Any, seeds: int = 3) -> StudyResults:
    study = Study.model_validate(yaml.safe_load(STUDY))
    return read_study("mine", study, plan("mine", study, {}, seeds), experiments)


def test_finished_runs_are_read_and_others_are_counted() -> None:
    dice, focal = read(Made()).arms
    assert (dice.arm.name, dice.progress) == ("dice", "1 of 3 runs, 1 outdated")
    (run,) = focal.finished
    assert run.result.mean_iou == 0.25
    assert run.result.groups == tuple(GROUPS)
    assert run.dataset == "landcoverai"
    assert (run.cost, run.split, run.data) == ({"seconds": 60}, {"train": {"chips": 40}}, "0123")
    assert list(run.curves) == [("val", "loss")]
    assert run.curves["val", "loss"][0] == (1, 0.5)


def test_what_is_missing_beside_the_scores_is_left_empty() -> None:
    made = Made(**{"metrics/cost.json": None, "metrics/split/landcoverai.json": None, "dvc.lock": "{}"})
    run = read(made).arms[0].finished[0]
    assert (run.cost, run.split, run.data) == ({}, {}, "")


@pytest.mark.parametrize(
    ("path", "text", "problem"),
    [
        ("metrics/units.csv", None, "metrics/units.csv of rev: it is in no cache; dvc exp remove "),
        (
            "metrics/evaluate.json",
            json.dumps(evaluation(0.5, mean_iou=None)),
            ": the test chips have no label",
        ),
        (
            "metrics/evaluate.json",
            '{"mean_iou": "high"}',
            ": metrics/evaluate.json (mean_iou: ",
        ),
    ],
)
def test_scores_that_cannot_be_read_are_a_problem_of_the_arm(path: str, text: str | None, problem: str) -> None:
    dice = read(Made(**{path: text})).arms[0]
    assert (dice.finished, dice.progress) == ((), "0 of 3 runs, 1 outdated")
    assert problem in dice.problems[0]
    assert "\n" not in dice.problems[0]


def test_results_are_pooled_by_seed_and_only_with_all_folds() -> None:
    results = study_results(
        seeds=2, folds=2, make=lambda run: None if (run.seed, run.fold) == (2, "1/2") else finished(run, 0.5)
    )
    (pooled,) = results.arms[0].by_seed
    assert (pooled.seed, pooled.folds, len(pooled.groups)) == (1, 2, 24)
    assert results.folds
