"""Pixels are counted by true and predicted class as scikit-learn does, chip by chip, without the ignored ones."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics

from pipeline.learning.confusion import argmax, confusion_matrices, confusion_matrix

K = 4


@given(st.integers(1, 5), st.integers(0, 99))
def test_scikit_learn_agrees_chip_by_chip_and_over_all(chips: int, seed: int) -> None:
    random = np.random.default_rng(seed)
    target_NHW = random.choice([0, 1, 2, 3, 255], (chips, 3, 4)).astype(np.uint8)
    target_NHW[:, 0, 0] = 0  # scikit-learn needs a label
    predicted_NHW = random.integers(0, K, (chips, 3, 4))
    matrices_NKK = confusion_matrices(torch.from_numpy(predicted_NHW), torch.from_numpy(target_NHW), K)
    for target, predicted, matrix_KK in zip(target_NHW, predicted_NHW, matrices_NKK, strict=True):
        kept = target != 255
        assert matrix_KK.tolist() == metrics.confusion_matrix(target[kept], predicted[kept], labels=range(K)).tolist()
    whole_KK = confusion_matrix(torch.from_numpy(predicted_NHW), torch.from_numpy(target_NHW), K)
    assert torch.equal(matrices_NKK.sum(dim=0), whole_KK)


@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_argmax_takes_the_first_of_equal_logits(layout: torch.memory_format) -> None:
    logits_NKHW = torch.randint(0, 3, (2, 5, 40, 30), generator=torch.Generator().manual_seed(0)).float()
    predicted = argmax(logits_NKHW.contiguous(memory_format=layout))
    assert np.array_equal(predicted.numpy(), logits_NKHW.numpy().argmax(axis=1))  # NumPy's takes the first
