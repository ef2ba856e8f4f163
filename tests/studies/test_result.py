"""Scores of an experiment are read as they were written, or refused in one line."""

import json
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.evaluation.verdict import Result
from pipeline.scoring.counts import to_table
from pipeline.studies.result import parse_result
from tests.evaluation.test_intervals import make_groups

COUNTS = make_groups(0.25, 0.5)
UNITS = to_table(["a", "b"], COUNTS, ("NA", "wood")).to_csv(index=False)


EVALUATE: dict[str, Any] = {"mean_iou": 0.25, "iou": {"NA": 0.25, "wood": 0.25}, "test_list": "list"}
EVALUATE |= {"seed": 5, "fold": "none", "arithmetic": {"scored": "bf16"}}


def parse(**changes: Any) -> Result:
    return parse_result("mine", json.dumps(EVALUATE | changes), UNITS)


def test_counts_are_read_by_group_and_class() -> None:
    result = parse(fold="1/3")
    assert (result.name, result.seed, result.test_list) == ("mine", 5, "list")
    assert (result.classes, result.groups) == (("NA", "wood"), ("a", "b"))
    np.testing.assert_array_equal(result.counts_G3K, COUNTS)
    assert (result.mean_iou, result.precision, result.fold) == (0.25, "bf16", "1/3")
    assert parse().fold is None


@pytest.mark.parametrize("text", ["", "<html>", "[]", "5"])
def test_a_file_of_another_program_is_one_line(text: str) -> None:
    with pytest.raises(
        PipelineError, match=r"^mine: metrics/evaluate.json \(.*\) is not a file of the stage evaluate; "
    ):
        parse_result("mine", text, UNITS)


@pytest.mark.parametrize("change", [{"mean_iou": "high"}, {"iou": None}, {"arithmetic": "bf16"}, {"seed": None}])
def test_values_of_another_type_are_one_line(change: dict[str, Any]) -> None:
    with pytest.raises(PipelineError, match=rf"^mine: metrics/evaluate.json \({next(iter(change))}: .*; run dvc repro"):
        parse(**change)


def test_counts_without_a_column_are_one_line() -> None:
    with pytest.raises(PipelineError, match=r"^mine: metrics/units.csv is not a file of the stage evaluate; run dvc"):
        parse_result("mine", json.dumps(EVALUATE), UNITS.replace("hits", "found"))
