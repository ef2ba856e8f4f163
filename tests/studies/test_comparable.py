import copy
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.studies.comparable import ARCHIVE_SHA256, SETTINGS, why_not_comparable
from pipeline.studies.experiments import merged
from pipeline.studies.study import Sampling, load_settings, load_study, plan
from tests.studies.made import paper_params

ROOT = Path(__file__).parents[2]
REAL = {"synthetic": False, "source": "archive"}
OTHERS: dict[str, Any] = {
    "encoder_weights": "none",
    "tile.size": 256,
    "tile.partial": "pad",
    "tile.bands": [3, 2, 1],
    "split.strategy": "scene",
    "split.train": 0.7,
    "split.val": 0.2,
    "split.test": 0.2,
    "split.fold": "1/3",
    "split.skew.class": "woodland",
    "split.subsample": 40,
    "split.neighbours": "without",
    "train.epochs": 3,
    "train.steps": 400,
    "train.early_stop": 5,
    "train.batch_size": 16,
    "train.optimizer": "sgd",
    "train.lr": 0.001,
    "train.schedule": "one_cycle",
    "train.lr_step": "auto",
    "train.lr_gamma": 0.5,
    "train.class_weights": "inverse",
    "train.accumulate": 2,
    "train.clip": 1.0,
    "train.gamma": 3.0,
    "train.alpha": 0.25,
}


def changed(key: str, value: Any) -> dict[str, Any]:
    params = copy.deepcopy(paper_params())
    *sections, last = key.split(".")
    inner = params
    for section in sections:
        inner = inner[section]
    inner[last] = value
    return params


def test_the_papers_settings_on_the_official_archive_are_comparable() -> None:
    assert why_not_comparable(paper_params(), REAL) == []
    assert why_not_comparable(changed("train.lr", "1e-4"), REAL) == []  # PyYAML reads 1e-4 as text


def test_the_settings_called_paper_are_comparable_for_every_arm_with_a_published_score_on_landcoverai() -> None:
    params, settings = yaml.safe_load((ROOT / "params.yaml").read_text()), load_settings("paper")
    for study_name in ("table-iv", "losses", "encoders"):
        name, study = load_study(study_name)
        for run in plan(name, study, settings.of(name), Sampling()):
            assert why_not_comparable(merged(params, run.overrides), REAL) == []


def test_the_archive_is_the_one_that_params_name() -> None:
    archive = yaml.safe_load((ROOT / "params.yaml").read_text())["download"]["landcoverai"]["archive"]
    assert archive["sha256"] == ARCHIVE_SHA256


def test_every_setting_has_a_deviation_here() -> None:
    assert OTHERS.keys() == SETTINGS.keys()


@pytest.mark.parametrize(("key", "value"), OTHERS.items())
def test_each_deviation_is_a_reason(key: str, value: Any) -> None:
    (reason,) = why_not_comparable(changed(key, value), REAL)
    assert reason == f"{key} is {value}, not {SETTINGS[key]}"


def test_a_setting_that_is_not_recorded_is_a_reason() -> None:
    params = paper_params()
    del params["train"]["steps"]
    assert why_not_comparable(params, REAL) == ["train.steps is not recorded, not none"]


@pytest.mark.parametrize(
    ("key", "value", "evaluate", "reason"),
    [
        ("dataset", "ghana", {}, "the paper scored unlabelled pixels of ghana as a class, which are ignored here"),
        ("dataset", "landcoverai", {"synthetic": True}, "the images are synthetic"),
        (
            "dataset",
            "landcoverai",
            {"source": "archive, an excerpt, not for benchmarking"},
            "the images are from archive, an excerpt, not for benchmarking",
        ),
        (
            "download.landcoverai.source",
            "local",
            {"source": "local"},
            "download.landcoverai.source is local, not archive",
        ),
        (
            "download.landcoverai.archive.sha256",
            "0" * 64,
            {},
            "download.landcoverai.archive.sha256 is not that of the official archive",
        ),
    ],
)
def test_other_data_are_a_reason(key: str, value: Any, evaluate: dict[str, Any], reason: str) -> None:
    assert why_not_comparable(changed(key, value), REAL | evaluate) == [reason]


def test_a_source_that_evaluate_does_not_record_is_that_of_the_params() -> None:
    assert why_not_comparable(paper_params(), {"synthetic": False}) == []
    assert why_not_comparable(paper_params(), {}) == ["the images are synthetic"]
