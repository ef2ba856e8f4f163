"""Studies with results made by hand."""

import json
from collections.abc import Callable, Sequence
from copy import deepcopy
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.params import read_yaml
from pipeline.evaluation.verdict import Result
from pipeline.scoring.counts import to_table
from pipeline.studies.comparable import SETTINGS
from pipeline.studies.experiments import Experiment
from pipeline.studies.results import ArmResults, Finished, StudyResults
from pipeline.studies.study import Run, Study, plan
from pipeline.studies.values import merged
from tests.evaluation.test_intervals import make_groups
from tests.pages import ROOT

STUDY = """
title: Losses
note: A note.
counterparts: {table: Table IV, mean_iou: Figure 2, pictures: Figure 6}
set: {dataset: landcoverai, architecture: unet}
grid:
  loss: [dice, focal]
compare: [loss]
published:
  - {arm: focal, score: mean_iou, value: 0.875, where: section VI}
  - {arm: focal, score: mean_iou, value: 0.871, where: Table IV}
"""
SHARES = {"dice": 0.4, "focal": 0.6, "ce": 0.5}
CLASSES = ("field", "road")
GROUPS = [f"u{number:02}" for number in range(12)]
PAPER = SETTINGS | {"dataset": "landcoverai", "loss": "focal", "download.landcoverai.source": "archive"}
PARAMS = merged(read_yaml(ROOT / "params.yaml"), PAPER)


def paper_params() -> dict[str, Any]:
    """Params with which a score can be compared with the published one."""
    return deepcopy(PARAMS)


def evaluation(score: float, **changes: Any) -> dict[str, Any]:
    """Contents of metrics/evaluate.json."""
    return {
        "mean_iou": score,
        "mean_iou_low": score - 0.05,
        "mean_iou_high": score + 0.05,
        "interval": {"units": 12, "why_approximate": None},
        "validation": {"paper_iou": 0.87, "pixel_accuracy": 0.9},
        "calibration": {"temperature": 0.5, "error_before": 0.125, "error_after": 0.0625},
        "iou": dict.fromkeys(CLASSES, score),
        "test_list": "list",
        "seed": 1,
        "fold": "none",
        "arithmetic": {"scored": "fp32"},
        "model_sha256": "abcdef" * 10,
        "synthetic": False,
        "source": "archive",
        "leak_share": 1.0,
    } | changes


def write_scores(
    folder: Path, share: float, groups: Sequence[str] = GROUPS, names: Sequence[str] = CLASSES, **changes: Any
) -> None:
    """Write what `evaluate` does, for groups with `share` of the pixels of each class predicted correctly."""
    folder.mkdir(parents=True, exist_ok=True)
    counts, score = make_groups(*[share] * len(groups)), share / (2 - share)
    values = evaluation(score, iou=dict.fromkeys(names, score), **changes)
    (folder / "evaluate.json").write_text(json.dumps(values))
    (folder / "summary.json").write_text(json.dumps({key: values[key] for key in values if key.startswith("mean_iou")}))
    (folder / "units.csv").write_text(to_table(groups, counts, names).to_csv(index=False))


def finished(run: Run, share: float | None = None, groups: int = 12, **changes: Any) -> Finished:
    """A finished run with `share` of the pixels of each group predicted correctly."""
    share = SHARES[run.arm.values["loss"]] + 0.01 * (-1) ** run.seed if share is None else share
    names, test_list = tuple(f"u{number:02}-{run.fold}" for number in range(groups)), f"list-{run.fold}"
    fold, counts, score = None if run.fold == "none" else run.fold, make_groups(*[share] * groups), share / (2 - share)
    result = Result(run.name, run.seed, test_list, CLASSES, names, counts, score, "fp32", fold)
    evaluate = evaluation(score, test_list=test_list, **changes.pop("evaluate", {}))
    params = paper_params() | {"loss": run.arm.values.get("loss", "focal")}
    cost = {
        "seconds": 60.4,
        "chips_per_second": 4.0,
        "peak_memory_mb": 1000,
        "model_mb": 57.5,
        "device": "cpu",
        "revision": "0123456789abcdef",
    }
    split = {"train": {"chips": 40, "classes": {"field": 0.75, "road": 0.25}}}
    curves = {
        (part, score): ((1, 0.25 + offset), (2, 0.5 + offset))
        for part, offset in (("train", 0.0), ("val", 0.125))
        for score in ("mean_iou", "loss", "f_score")
    }
    values = {
        "params": params,
        "result": result,
        "evaluate": evaluate,
        "cost": cost,
        "split": split,
        "data": "fedcba9876543210",
        "curves": curves,
    }
    return Finished(run, Experiment(run.name, "9876543210fedcba"), **(values | changes))


def study_results(
    text: str = STUDY,
    make: Callable[[Run], Finished | None] = finished,
    name: str = "mine",
    **sampling: int,
) -> StudyResults:
    """Plan a study, with seeds and folds, and make its results; None is a missing run."""
    study = Study.model_validate(yaml.safe_load(text))
    runs = plan(name, study, {}, **sampling)
    arms = []
    for arm in study.arms:
        of_arm = [run for run in runs if run.arm.name == arm.name]
        arms.append(ArmResults(arm, tuple(of_arm), tuple(each for run in of_arm if (each := make(run)))))
    return StudyResults(name, study, tuple(arms))


def missing(run: Run) -> None:
    """No run is done."""
