"""Studies with results made by hand."""

from collections.abc import Callable, Mapping
from typing import Any

import yaml

from pipeline.evaluation.intervals import mean_iou
from pipeline.evaluation.verdict import Result
from pipeline.studies.experiments import Experiment
from pipeline.studies.results import ArmResults, Finished, StudyResults
from pipeline.studies.study import Run, Sampling, Study, plan
from tests.evaluation.test_intervals import BOTH, make_groups

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
Changes = Mapping[str, Any]


def paper_params() -> dict[str, Any]:
    """Params with which a score can be compared with the published one."""
    archive = {"sha256": "dd448287ff3a76291f2b159084b8a265f2ba4559bb80b0551fc8c6c0eb149a4b"}
    return {
        "dataset": "landcoverai",
        "loss": "focal",
        "encoder_weights": "imagenet",
        "download": {"landcoverai": {"source": "archive", "archive": archive}},
        "tile": {"size": 512, "partial": "drop", "bands": [1, 2, 3]},
        "split": {
            "strategy": "random",
            "train": 0.8,
            "val": 0.1,
            "test": 0.1,
            "fold": "none",
            "skew": {"class": "none"},
            "subsample": "none",
            "neighbours": "any",
        },
        "train": {
            "epochs": 40,
            "steps": "none",
            "early_stop": "none",
            "batch_size": 32,
            "optimizer": "adam",
            "lr": 0.0001,
            "schedule": "step",
            "lr_step": 15,
            "lr_gamma": 0.1,
            "class_weights": "none",
            "accumulate": 1,
            "clip": "none",
            "gamma": 2.0,
            "alpha": "none",
        },
    }


def finished(run: Run, share: float | None = None, groups: int = 12, **changes: Any) -> Finished:
    """A finished run with `share` of the pixels of each group predicted correctly."""
    share = SHARES[run.arm.values["loss"]] + 0.01 * (-1) ** run.seed if share is None else share
    counts = make_groups(*[share] * groups)
    score = float(mean_iou(counts.sum(axis=0), BOTH))
    names = tuple(f"u{number:02}-{run.fold}" for number in range(groups))
    fold = None if run.fold == "none" else run.fold
    result = Result(run.name, run.seed, f"list-{run.fold}", CLASSES, names, counts, score, fold=fold)
    evaluate = {
        "mean_iou": score,
        "mean_iou_low": score - 0.05,
        "mean_iou_high": score + 0.05,
        "interval": {"units": groups, "why_approximate": None},
        "validation": {"paper_iou": 0.87, "pixel_accuracy": 0.9},
        "calibration": {"temperature": 0.5, "error_before": 0.125, "error_after": 0.0625},
        "iou": dict.fromkeys(CLASSES, score),
        "test_list": f"list-{run.fold}",
        "model_sha256": "abcdef" * 10,
        "synthetic": False,
        "source": "archive",
        "leak_share": 1.0,
    }
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
        "evaluate": evaluate | changes.pop("evaluate", {}),
        "cost": cost,
        "split": split,
        "data": "fedcba9876543210",
        "curves": curves,
    }
    return Finished(run, Experiment(run.name, "9876543210fedcba"), **(values | changes))


def study_results(
    text: str = STUDY,
    sampling: Sampling | None = None,
    make: Callable[[Run], Finished | None] = finished,
    name: str = "mine",
) -> StudyResults:
    """Plan a study and make its results; None is a missing run."""
    study = Study.model_validate(yaml.safe_load(text))
    runs = plan(name, study, {}, sampling or Sampling())
    arms = []
    for arm in study.arms:
        of_arm = [run for run in runs if run.arm.name == arm.name]
        arms.append(ArmResults(arm, tuple(of_arm), tuple(each for run in of_arm if (each := make(run)))))
    return StudyResults(name, study, tuple(arms))


def missing(run: Run) -> None:
    """No run is done."""
