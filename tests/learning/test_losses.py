import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from pipeline.classes import IGNORE
from pipeline.learning.losses import LOSSES

EACH_LOSS = pytest.mark.parametrize("loss", LOSSES.values(), ids=LOSSES.keys())


def drawn(seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of 2 x 4 x 4 px and targets, of which every third is ignored."""
    random = torch.Generator().manual_seed(seed)
    targets_NHW = torch.randint(classes, (2, 4, 4), generator=random)
    targets_NHW.view(-1)[::3] = IGNORE
    return 3 * torch.randn(2, classes, 4, 4, generator=random), targets_NHW


def labelled(logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    """logits (pixel, class) and one-hot targets of the pixels that count."""
    logits_PK = logits_NKHW.permute(0, 2, 3, 1).reshape(-1, logits_NKHW.shape[1]).double().numpy()
    targets_P = targets_NHW.flatten().numpy()
    keep_P = targets_P != IGNORE
    return logits_PK[keep_P], np.eye(logits_PK.shape[1])[targets_P[keep_P]]


def softmax(logits_PK: np.ndarray) -> np.ndarray:
    powers_PK = np.exp(logits_PK - logits_PK.max(axis=1, keepdims=True))
    shares_PK: np.ndarray = powers_PK / powers_PK.sum(axis=1, keepdims=True)
    return shares_PK


def focal_of(logits_PK: np.ndarray, hot_PK: np.ndarray) -> float:
    """Lin et al. 2017, equation 4 with gamma 2, each class against the rest."""
    sure_PK = 1 / (1 + np.exp(-logits_PK))
    right_PK = np.where(hot_PK == 1, sure_PK, 1 - sure_PK)
    return float((-((1 - right_PK) ** 2) * np.log(right_PK)).mean())


def dice_of(logits_PK: np.ndarray, hot_PK: np.ndarray) -> float:
    shares_PK = softmax(logits_PK)
    there_K = hot_PK.sum(axis=0) > 0
    dice_K = 2 * (shares_PK * hot_PK).sum(axis=0) / (shares_PK + hot_PK).sum(axis=0)
    return float(((1 - dice_K) * there_K).mean())


def cross_entropy_of(logits_PK: np.ndarray, hot_PK: np.ndarray) -> float:
    return float(-np.log((softmax(logits_PK) * hot_PK).sum(axis=1)).mean())


def test_the_losses_are_these_three() -> None:
    assert sorted(LOSSES) == ["ce", "dice", "focal"]


@pytest.mark.parametrize(
    ("name", "formula"), [("focal", focal_of), ("dice", dice_of), ("ce", cross_entropy_of)], ids=["focal", "dice", "ce"]
)
@given(seed=st.integers(0, 10_000))
def test_a_loss_is_its_formula_over_the_pixels_that_count(name: str, formula: object, seed: int) -> None:
    logits, targets = drawn(seed)
    expected = formula(*labelled(logits, targets))  # type: ignore[operator]
    assert float(LOSSES[name](logits, targets)) == pytest.approx(expected, rel=1e-4)  # type: ignore[index]


def test_values_by_head() -> None:
    # two classes that are equally likely in each of two pixels, one of each class
    logits, targets = torch.zeros(1, 2, 1, 2), torch.tensor([[[0, 1]]])
    assert float(LOSSES["ce"](logits, targets)) == pytest.approx(math.log(2))
    assert float(LOSSES["dice"](logits, targets)) == pytest.approx(1 - 2 * 0.5 / (1 + 1))
    assert float(LOSSES["focal"](logits, targets)) == pytest.approx(0.25 * math.log(2))


@EACH_LOSS
def test_a_perfect_answer_costs_nothing_and_a_wrong_one_much(loss: nn.Module) -> None:
    targets = torch.tensor([[[0, 1, IGNORE]]])
    right = torch.tensor([[[[30.0, -30.0, 0.0]], [[-30.0, 30.0, 0.0]]]])
    assert float(loss(right, targets)) == pytest.approx(0, abs=1e-4)
    assert float(loss(-right, targets)) > 0.9


@EACH_LOSS
@given(seed=st.integers(0, 10_000))
def test_logits_of_ignored_pixels_change_nothing(loss: nn.Module, seed: int) -> None:
    logits, targets = drawn(seed)
    other = torch.where((targets == IGNORE)[:, None], 50 * torch.randn(logits.shape), logits)
    assert not torch.equal(other, logits)
    assert float(loss(other, targets)) == float(loss(logits, targets))


@EACH_LOSS
def test_ignored_pixels_have_no_gradient_and_the_others_have(loss: nn.Module) -> None:
    logits, targets = drawn(5)
    logits.requires_grad_()
    loss(logits, targets).backward()
    assert logits.grad is not None
    pulled_NHW = logits.grad.abs().sum(dim=1)
    assert pulled_NHW[targets == IGNORE].unique().tolist() == [0.0]
    assert bool((pulled_NHW[targets != IGNORE] > 0).all())


@EACH_LOSS
def test_a_batch_that_lacks_a_class_is_finite(loss: nn.Module) -> None:
    logits, _ = drawn(1)
    assert bool(torch.isfinite(loss(logits, torch.ones(2, 4, 4, dtype=torch.long))))
