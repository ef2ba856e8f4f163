"""Scores are those of scikit-learn, torchmetrics and a calculation by hand, null where there is nothing to score."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from benchmarks.score_oracles import ORACLES, Case, degenerate_cases, deviations
from pipeline.scoring.counts import counts_of
from pipeline.scoring.scores import class_scores, disagreement, paper_iou, scores

NAMES = ("field", "wood", "water", "road")
K = len(NAMES)
ROUNDING = 1e-6

cases = st.tuples(st.integers(1, 70), st.integers(1, 6)).flatmap(
    lambda shape: st.tuples(
        arrays(np.uint8, (shape[0], 1, shape[1]), elements=st.integers(0, K - 1)),
        arrays(np.uint8, (shape[0], 1, shape[1]), elements=st.sampled_from([0, 1, 2, 3, 255])),
        st.just(K),
    )
)


def scored(matrix: list[list[int]] | np.ndarray) -> dict[str, Any]:
    return scores(counts_of(np.array(matrix)), NAMES)


def test_scores_of_a_confusion_matrix() -> None:
    # field: 6 true, 5 correct, 1 predicted as wood; wood: 4 true, 3 correct, 1 predicted as water; no water, no road
    assert scored([[5, 1, 0, 0], [0, 3, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]]) == {
        "mean_iou": round((5 / 6 + 3 / 5) / 2, 6),
        "micro_iou": round(8 / 12, 6),
        "frequency_weighted_iou": round((6 * 5 / 6 + 4 * 3 / 5) / 10, 6),
        "pixel_accuracy": 0.8,
        "precision": round((5 / 5 + 3 / 4) / 2, 6),
        "recall": round((5 / 6 + 3 / 4) / 2, 6),
        "f_score": round((10 / 11 + 6 / 8) / 2, 6),
        "classes_scored": 2,
        "iou": {"field": round(5 / 6, 6), "wood": 0.6, "water": None, "road": None},
    }


def test_class_scores_of_a_confusion_matrix() -> None:
    matrix = np.array([[5, 1, 0, 0], [0, 3, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    by_class = class_scores(counts_of(matrix), NAMES)
    assert by_class["field"] == {
        "pixels": 6,
        "users_accuracy": 1.0,  # all that is mapped as field is field
        "producers_accuracy": round(5 / 6, 6),
        "f_score": round(10 / 11, 6),
    }
    unknown = {"pixels": 0, "users_accuracy": None, "producers_accuracy": None, "f_score": None}
    assert by_class["water"] == by_class["road"] == unknown


def test_quantity_and_allocation_disagreement() -> None:
    # wood is mapped twice too often: of 10 px, 2 of field would have to be mapped as field instead, wherever they lie;
    # the other 2 wrong pixels are a swap of field and wood
    matrix = np.array([[3, 3, 0, 0], [1, 3, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert disagreement(counts_of(matrix)) == {"quantity_disagreement": 0.2, "allocation_disagreement": 0.2}
    swap = np.array([[0, 5, 0, 0], [5, 0, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert disagreement(counts_of(swap)) == {"quantity_disagreement": 0.0, "allocation_disagreement": 1.0}
    nothing = disagreement(np.zeros((3, K), np.int64))
    assert nothing == {"quantity_disagreement": None, "allocation_disagreement": None}


def test_all_scores_are_null_if_all_pixels_are_ignored() -> None:
    result = scored(np.zeros((K, K), int))
    assert result.pop("iou") == dict.fromkeys(NAMES)
    assert result.pop("classes_scored") == 0
    assert set(result.values()) == {None}
    assert paper_iou(np.zeros((40, 3, K), np.int64)) is None


def test_large_counts_do_not_overflow() -> None:
    result = scored(np.diag([2**60, 2**58, 1, 1]))
    assert (result["pixel_accuracy"], result["mean_iou"], result["micro_iou"]) == (1.0, 1.0, 1.0)


@given(cases)
def test_scores_equal_those_of_the_oracles_up_to_rounding(case: Case) -> None:
    assert max(deviations(case).values()) <= ROUNDING


@pytest.mark.parametrize("case", list(degenerate_cases()))
def test_scores_equal_those_of_the_oracles_on_degenerate_input(case: Case) -> None:
    assert deviations(case).keys() == ORACLES.keys()
    assert max(deviations(case).values()) <= ROUNDING


def test_paper_iou_is_an_unweighted_mean_over_batches_of_32() -> None:
    correct, wrong = np.array([[4, 0], [4, 0], [4, 0]]), np.array([[4, 0], [0, 4], [0, 0]])
    chips = np.stack([correct] * 32 + [wrong])
    assert paper_iou(chips) == 0.5  # batches of 1.0 and 0.0; over all pixels it is 128 / 136
    assert scores(chips.sum(axis=0), ("a", "b"))["micro_iou"] == round(128 / 136, 6)
    assert paper_iou(np.stack([wrong, *[correct] * 32])) == round((124 / 132 + 1) / 2, 6)
