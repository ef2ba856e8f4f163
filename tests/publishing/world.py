"""Publications for the tests of what is published."""

from dataclasses import replace
from typing import Any

from pipeline.formats.chips import Imagery
from pipeline.learning.calibration import Calibration
from pipeline.learning.model import Model, TrainingData
from pipeline.publishing.onnx_model import Check
from pipeline.publishing.publication import Publication, Scores
from tests.inference.world import untrained_model

SENTINEL_2 = Imagery(("B04", "B03", "B02"), 0.0001, -0.1, (0.0, 0.3))
PARAMS = {
    "architecture": "unet",
    "encoder": "resnet18",
    "encoder_weights": "imagenet",
    "loss": "focal",
    "seed": 7,
    "train": {"epochs": 5, "optimizer": "adam", "lr": 0.001, "gamma": 2.0},
}
BY_CLASS = {
    "users_accuracy": 0.9,
    "users_accuracy_low": 0.8,
    "users_accuracy_high": 0.95,
    "producers_accuracy": 0.7,
    "producers_accuracy_low": None,
    "producers_accuracy_high": None,
}
SCORES: dict[str, Any] = {
    "mean_iou": 0.604164,
    "mean_iou_low": 0.5,
    "mean_iou_high": 0.7,
    "pixel_accuracy": 0.8225,
    "quantity_disagreement": 0.1,
    "allocation_disagreement": 0.0775,
    "iou": {"field": 0.7, "water": 0.5, "forest & scrub": None},
    "classes": {"field": BY_CLASS, "water": BY_CLASS, "forest & scrub": dict.fromkeys(BY_CLASS)},
    "interval": {"units": 12, "why_null": None, "approximate": False},
    "calibration": {"error_before": 0.163, "error_after": 0.021, "error_after_low": 0.01, "error_after_high": 0.04},
    "chips": 12,
    "leak_share": 0.25,
    "leak_share_at_least": 0.25,
    "split_strategy": "block",
    "model_sha256": "digest 0",
}


def data(dataset: str = "landcovernet", source: str = "archive", licence: str = "CC BY 4.0") -> TrainingData:
    return TrainingData(dataset, source, licence, 38, 5)


def model(**changes: Any) -> Model:
    """Return a calibrated network trained on LandCoverNet, except for `changes`."""
    known = {"params": PARAMS, "calibration": Calibration(0.5, 4, 0.32, 0.61), "data": data(), "imagery": SENTINEL_2}
    return replace(untrained_model().model, **(known | changes))


def publication(scores: dict[str, Any] | None = SCORES, why_no_scores: str = "", **changes: Any) -> Publication:
    found = None if scores is None else Scores.model_validate(scores)
    return Publication(model(**changes), found, why_no_scores, Check(0.99999, 3e-6))
