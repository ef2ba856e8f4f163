import warnings
from typing import Any

import numpy as np
import pytest
import segmentation_models_pytorch as smp
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics
from torchmetrics.classification import MulticlassConfusionMatrix, MulticlassJaccardIndex

from pipeline.learning.scores import confusion, scores

NAMES = ("field", "wood", "water", "road")
K = len(NAMES)

pairs = st.integers(1, 40).flatmap(
    lambda pixels: st.tuples(
        arrays(np.uint8, pixels, elements=st.sampled_from([0, 1, 2, 3, 255])),
        arrays(np.int64, pixels, elements=st.integers(0, K - 1)),
    )
)
labelled_pairs = pairs.filter(lambda pair: (pair[0] != 255).any())


def counted(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    matrix_KK: np.ndarray = confusion(torch.from_numpy(predicted), torch.from_numpy(target), K).numpy()
    return matrix_KK


def scored(target: np.ndarray, predicted: np.ndarray) -> dict[str, Any]:
    return scores(counted(target, predicted), NAMES)


def test_pixels_are_counted_by_true_class_then_by_predicted_class() -> None:
    target = np.array([0, 0, 0, 1, 3, 255], np.uint8)
    predicted = np.array([0, 2, 2, 1, 0, 3])
    assert counted(target, predicted).tolist() == [[1, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


def test_scores_by_head() -> None:
    # field: 6 true, 5 of them found, 1 taken for wood; wood: 4 true, 3 found, 1 taken for water; no true water or road
    matrix_KK = np.array([[5, 1, 0, 0], [0, 3, 1, 0], [0, 0, 0, 0], [0, 0, 0, 0]])
    assert scores(matrix_KK, NAMES) == {
        "mean_iou": round((5 / 6 + 3 / 5) / 2, 6),
        "micro_iou": round(8 / 12, 6),
        "pixel_accuracy": 0.8,
        "precision": round((5 / 5 + 3 / 4) / 2, 6),
        "recall": round((5 / 6 + 3 / 4) / 2, 6),
        "f_score": round((10 / 11 + 6 / 8) / 2, 6),
        "iou": {"field": round(5 / 6, 6), "wood": 0.6, "water": None, "road": None},
    }


def test_a_class_that_is_never_predicted_counts_0() -> None:
    result = scores(np.diag([4, 0, 0, 0]) + np.array([[0] * 4, [2, 0, 0, 0], [0] * 4, [0] * 4]), NAMES)
    assert result["iou"] == {"field": round(4 / 6, 6), "wood": 0.0, "water": None, "road": None}
    assert result["mean_iou"] == round(4 / 6 / 2, 6)
    assert (result["precision"], result["recall"]) == (round(4 / 6 / 2, 6), 0.5)


@given(labelled_pairs, st.integers(0, K - 1))
def test_a_class_without_truth_is_null_whatever_the_model_says(pair: tuple[Any, Any], absent: int) -> None:
    target, predicted = pair
    target = np.where(target == absent, 255, target).astype(np.uint8)
    assert scored(target, predicted)["iou"][NAMES[absent]] is None
    assert scored(target, np.full_like(predicted, absent))["iou"][NAMES[absent]] is None


def test_everything_is_null_when_all_is_ignored() -> None:
    result = scored(np.full(9, 255, np.uint8), np.zeros(9, np.int64))
    assert result.pop("iou") == dict.fromkeys(NAMES)
    assert set(result.values()) == {None}


@given(labelled_pairs, st.integers(0, K - 1))
def test_what_is_predicted_for_ignored_pixels_changes_nothing(pair: tuple[Any, Any], value: int) -> None:
    target, predicted = pair
    assert scored(target, np.where(target == 255, value, predicted)) == scored(target, predicted)


@given(labelled_pairs)
def test_two_halves_add_up_to_the_whole(pair: tuple[Any, Any]) -> None:
    target, predicted = pair
    half = len(target) // 2
    parts = counted(target[:half], predicted[:half]) + counted(target[half:], predicted[half:])
    assert parts.tolist() == counted(target, predicted).tolist()


@given(labelled_pairs)
def test_scikit_learn_agrees(pair: tuple[Any, Any]) -> None:
    target, predicted = (array[pair[0] != 255] for array in pair)
    ours, labels = scored(target, predicted), np.unique(target)
    averaged = {"labels": labels, "average": "macro", "zero_division": 0}
    assert counted(target, predicted).tolist() == metrics.confusion_matrix(target, predicted, labels=range(K)).tolist()
    assert ours["mean_iou"] == pytest.approx(metrics.jaccard_score(target, predicted, **averaged), abs=1e-6)
    assert ours["precision"] == pytest.approx(metrics.precision_score(target, predicted, **averaged), abs=1e-6)
    assert ours["recall"] == pytest.approx(metrics.recall_score(target, predicted, **averaged), abs=1e-6)
    assert ours["f_score"] == pytest.approx(metrics.f1_score(target, predicted, **averaged), abs=1e-6)
    assert ours["pixel_accuracy"] == pytest.approx(metrics.accuracy_score(target, predicted), abs=1e-6)
    each = metrics.jaccard_score(target, predicted, labels=labels, average=None, zero_division=0)
    assert [ours["iou"][NAMES[label]] for label in labels] == pytest.approx(each.tolist(), abs=1e-6)


@given(labelled_pairs)
def test_torchmetrics_agrees(pair: tuple[Any, Any]) -> None:
    target, predicted = (torch.from_numpy(array.astype(np.int64)) for array in pair)
    theirs = MulticlassConfusionMatrix(K, ignore_index=255)(predicted, target)
    assert counted(*pair).tolist() == theirs.tolist()
    micro = MulticlassJaccardIndex(K, average="micro", ignore_index=255)(predicted, target)
    assert scored(*pair)["micro_iou"] == pytest.approx(float(micro), abs=1e-6)
    each = MulticlassJaccardIndex(K, average="none", ignore_index=255)(predicted, target)
    there = sorted(set(pair[0].tolist()) - {255})
    assert [scored(*pair)["iou"][NAMES[index]] for index in there] == pytest.approx(each[there].tolist(), abs=1e-6)


@given(labelled_pairs)
def test_segmentation_models_pytorch_agrees_on_the_micro_iou(pair: tuple[Any, Any]) -> None:
    keep = pair[0] != 255
    target, predicted = (torch.from_numpy(array[keep].astype(np.int64))[None] for array in pair)
    counts = smp.metrics.get_stats(predicted, target, mode="multiclass", num_classes=K)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = smp.metrics.iou_score(*counts, reduction="micro")
    assert scored(*pair)["micro_iou"] == pytest.approx(float(theirs), abs=1e-6)


def test_counts_of_a_large_set_do_not_overflow() -> None:
    matrix_KK = np.diag([2**40, 2**40, 1, 1]).astype(np.int64)
    assert scores(matrix_KK, NAMES)["pixel_accuracy"] == 1.0
