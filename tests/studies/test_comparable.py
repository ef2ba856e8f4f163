"""A score is shown beside the published one only with the paper's data and settings, else with the reasons why not."""

from typing import Any

import pytest

from pipeline.core.params import read_yaml
from pipeline.studies.comparable import ARCHIVE_SHA256, SETTINGS, why_not_comparable
from pipeline.studies.study import load_settings, load_study, plan
from pipeline.studies.values import merged
from tests.pages import ROOT
from tests.studies.made import paper_params

REAL = {"synthetic": False, "source": "archive"}


def test_the_settings_called_paper_are_comparable_for_every_arm_with_a_published_score_on_landcoverai() -> None:
    params, settings = read_yaml(ROOT / "params.yaml"), load_settings("paper")
    assert params["download"]["landcoverai"]["archive"]["sha256"] == ARCHIVE_SHA256
    for study_name in ("table-iv", "losses", "encoders"):
        name, study = load_study(study_name)
        for run in plan(name, study, settings.of(name)):
            assert why_not_comparable(merged(params, run.overrides), REAL) == []


def test_every_param_of_tiles_split_and_training_is_compared_but_these() -> None:
    params, compared = read_yaml(ROOT / "params.yaml"), {".".join(key.split(".")[:2]) for key in SETTINGS}
    keys = {f"{section}.{key}" for section in ("tile", "split", "train") for key in params[section]}
    assert keys - compared == {
        *("tile.stretch", "tile.alpha"),  # of no effect on the archive's 8-bit images
        *("split.seed", "split.block", "train.augment"),  # the paper does not name them
        *(f"train.{key}" for key in ("precision", "deterministic", "compile", "workers", "cache", "device", "devices")),
    }


@pytest.mark.parametrize("key", SETTINGS)
def test_each_deviation_is_a_reason(key: str) -> None:
    (reason,) = why_not_comparable(merged(paper_params(), {key: "other"}), REAL)
    assert reason == f"{key} is other, not {SETTINGS[key]}"


def test_a_setting_that_is_not_recorded_is_a_reason_and_how_a_number_is_written_is_not() -> None:
    params = merged(paper_params(), {"train.lr": "1e-4"})  # PyYAML reads it as text
    assert why_not_comparable(params, REAL) == []
    del params["train"]["steps"]
    assert why_not_comparable(params, REAL) == ["train.steps is not recorded, not none"]


@pytest.mark.parametrize(
    ("params", "evaluate", "reason"),
    [
        ({"dataset": "ghana"}, {}, "the paper scored unlabelled pixels of ghana as a class, which are ignored here"),
        ({}, {"synthetic": True}, "the images are synthetic"),
        ({}, {"source": "archive, an excerpt"}, "the images are from archive, an excerpt"),
        (
            {"download.landcoverai.source": "local"},
            {"source": "local"},
            "download.landcoverai.source is local, not archive",
        ),
        (
            {"download.landcoverai.archive.sha256": "0" * 64},
            {},
            "download.landcoverai.archive.sha256 is not that of the official archive",
        ),
    ],
)
def test_other_data_are_a_reason(params: dict[str, Any], evaluate: dict[str, Any], reason: str) -> None:
    assert why_not_comparable(merged(paper_params(), params), REAL | evaluate) == [reason]


def test_a_source_that_evaluate_does_not_record_is_that_of_the_params() -> None:
    assert why_not_comparable(paper_params(), {"synthetic": False}) == []
    assert why_not_comparable(paper_params(), {}) == ["the images are synthetic"]
