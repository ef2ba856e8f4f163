from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from sklearn import metrics
from torchmetrics.classification import MulticlassConfusionMatrix

from pipeline.learning.confusion import argmax, confusion_matrices, confusion_matrix

K = 4

pairs = st.integers(1, 40).flatmap(
    lambda pixels: st.tuples(
        arrays(np.uint8, pixels, elements=st.sampled_from([0, 1, 2, 3, 255])),
        arrays(np.int64, pixels, elements=st.integers(0, K - 1)),
    )
)
labelled_pairs = pairs.filter(lambda pair: (pair[0] != 255).any())


def count(target: np.ndarray, predicted: np.ndarray) -> np.ndarray:
    matrix_KK: np.ndarray = confusion_matrix(torch.from_numpy(predicted), torch.from_numpy(target), K).numpy()
    return matrix_KK


def test_pixels_are_counted_by_true_class_then_by_predicted_class() -> None:
    target = np.array([0, 0, 0, 1, 3, 255], np.uint8)
    predicted = np.array([0, 2, 2, 1, 0, 3])
    assert count(target, predicted).tolist() == [[1, 0, 2, 0], [0, 1, 0, 0], [0, 0, 0, 0], [1, 0, 0, 0]]


@given(labelled_pairs, st.integers(0, K - 1))
def test_predictions_for_ignored_pixels_do_not_count(pair: tuple[Any, Any], value: int) -> None:
    target, predicted = pair
    assert np.array_equal(count(target, np.where(target == 255, value, predicted)), count(target, predicted))


@given(labelled_pairs)
def test_two_halves_add_up_to_the_whole(pair: tuple[Any, Any]) -> None:
    target, predicted = pair
    half = len(target) // 2
    parts = count(target[:half], predicted[:half]) + count(target[half:], predicted[half:])
    assert parts.tolist() == count(target, predicted).tolist()


@given(pairs)
def test_scikit_learn_and_torchmetrics_agree(pair: tuple[Any, Any]) -> None:
    target, predicted = (array[pair[0] != 255] for array in pair)
    if len(target):
        assert count(*pair).tolist() == metrics.confusion_matrix(target, predicted, labels=range(K)).tolist()
    tensors = [torch.from_numpy(array.astype(np.int64)) for array in pair]
    assert count(*pair).tolist() == MulticlassConfusionMatrix(K, ignore_index=255)(*tensors[::-1]).tolist()


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_argmax_takes_the_first_of_equal_logits(layout: torch.memory_format) -> None:
    logits_NKHW = torch.randint(0, 3, (2, 5, 40, 30), generator=torch.Generator().manual_seed(0)).float()
    predicted = argmax(logits_NKHW.contiguous(memory_format=layout))
    assert np.array_equal(predicted.numpy(), logits_NKHW.numpy().argmax(axis=1))  # NumPy's takes the first


@given(st.integers(1, 5), st.integers(0, 99))
def test_matrices_are_computed_chip_by_chip(chips: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    target = torch.from_numpy(random.choice([0, 1, 2, 3, 255], (chips, 3, 4)).astype(np.uint8))
    predicted = torch.from_numpy(random.integers(0, K, (chips, 3, 4)))
    separate = [confusion_matrix(predicted[index], target[index], K) for index in range(chips)]
    assert torch.equal(confusion_matrices(predicted, target, K), torch.stack(separate))
