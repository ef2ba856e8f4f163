"""Whether a score can be compared with the published one: only with the paper's data and settings."""

from collections.abc import Iterator
from typing import Any

from pipeline.studies.values import look_up, same

ARCHIVE_SHA256 = "dd448287ff3a76291f2b159084b8a265f2ba4559bb80b0551fc8c6c0eb149a4b"
"""Of landcover.ai.v1.zip, as its authors publish it."""
SETTINGS: dict[str, Any] = {
    "encoder_weights": "imagenet",
    "tile.size": 512,
    "tile.partial": "drop",
    "tile.bands": [1, 2, 3],
    "split.strategy": "random",
    "split.train": 0.8,
    "split.val": 0.1,
    "split.test": 0.1,
    "split.fold": "none",
    "split.skew.class": "none",
    "split.subsample": "none",
    "split.neighbours": "any",
    "train.epochs": 40,
    "train.steps": "none",
    "train.early_stop": "none",
    "train.batch_size": 32,
    "train.optimizer": "adam",
    "train.lr": 1e-4,
    "train.schedule": "step",
    "train.lr_step": 15,
    "train.lr_gamma": 0.1,
    "train.class_weights": "none",
    "train.accumulate": 1,
    "train.clip": "none",
    "train.gamma": 2.0,
    "train.alpha": "none",
}
"""From key of params.yaml to the paper's value: section V of "Semantic Segmentation of Satellite Imagery", and the
script with which LandCover.ai's authors cut its images. The paper does not name the last four: they are the defaults of
its libraries."""


def why_not_comparable(params: dict[str, Any], evaluate: dict[str, Any]) -> list[str]:
    """List why a score cannot be compared with the published one; empty if it can be.

    Args:
        params: params.yaml of the experiment.
        evaluate: its metrics/evaluate.json.
    """
    return [*_data_reasons(params, evaluate), *_setting_reasons(params)]


def _data_reasons(params: dict[str, Any], evaluate: dict[str, Any]) -> Iterator[str]:
    if evaluate.get("synthetic") is not False:
        yield "the images are synthetic"
    if params.get("dataset") != "landcoverai":
        yield f"the paper scored unlabelled pixels of {params.get('dataset')} as a class, which are ignored here"
        return
    source = look_up(params, "download", "landcoverai", "source")
    used = evaluate.get("source", source)
    if source != "archive":
        yield f"download.landcoverai.source is {source}, not archive"
    elif used != "archive":
        yield f"the images are from {used}"
    elif look_up(params, "download", "landcoverai", "archive", "sha256") != ARCHIVE_SHA256:
        yield "download.landcoverai.archive.sha256 is not that of the official archive"


def _setting_reasons(params: dict[str, Any]) -> Iterator[str]:
    for key, expected in SETTINGS.items():
        if not same(actual := look_up(params, *key.split(".")), expected):
            yield f"{key} is {'not recorded' if actual is None else actual}, not {expected}"
