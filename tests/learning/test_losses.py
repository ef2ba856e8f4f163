"""Every loss equals its library's, and ignored pixels never count."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch.losses import DiceLoss, FocalLoss
from torch import nn

from pipeline.formats.classes import IGNORE
from pipeline.learning.losses import LOSSES, LossConfig, class_weights

PLAIN = {name: make(LossConfig()) for name, make in LOSSES.items()}
EACH_LOSS = pytest.mark.parametrize("loss", PLAIN.values(), ids=PLAIN.keys())


def drawn(seed: int, classes: int = 3) -> tuple[torch.Tensor, torch.Tensor]:
    """Logits of 2 x 4 x 4 px and targets, every third ignored."""
    random = torch.Generator().manual_seed(seed)
    targets_NHW = torch.randint(classes, (2, 4, 4), generator=random)
    targets_NHW.view(-1)[::3] = IGNORE
    return 3 * torch.randn(2, classes, 4, 4, generator=random), targets_NHW


@EACH_LOSS
@given(seed=st.integers(0, 10_000))
def test_logits_of_ignored_pixels_do_not_count(loss: nn.Module, seed: int) -> None:
    logits, targets = drawn(seed)
    other = torch.where((targets == IGNORE)[:, None], 50 * torch.randn(logits.shape), logits)
    assert not torch.equal(other, logits)
    assert float(loss(other, targets)) == float(loss(logits, targets))


@EACH_LOSS
def test_a_batch_without_some_class_has_a_finite_loss(loss: nn.Module) -> None:
    logits, _ = drawn(1)
    assert bool(torch.isfinite(loss(logits, torch.ones(2, 4, 4, dtype=torch.long))))


WEIGHTS = (0.2, 1.0, 1.8)


def library_loss(name: str, config: LossConfig) -> nn.Module:
    """segmentation-models-pytorch's own, and torch's."""
    weights = None if config.weights is None else list(config.weights)
    if name == "focal":
        options = {"alpha": config.alpha, "gamma": config.gamma, "class_weights": weights}
        return FocalLoss("multiclass", ignore_index=IGNORE, **options)
    if name == "dice":
        return DiceLoss("multiclass", ignore_index=IGNORE, class_weights=weights)
    return nn.CrossEntropyLoss(None if weights is None else torch.tensor(weights), ignore_index=IGNORE)


@pytest.mark.parametrize("weights", [None, WEIGHTS])
@pytest.mark.parametrize(("gamma", "alpha"), [(2.0, None), (2.0, 0.25), (0.5, 0.9), (0.0, None)])
@pytest.mark.parametrize("name", list(LOSSES))
@given(seed=st.integers(0, 10_000))
@settings(max_examples=10)
def test_values_and_gradients_equal_those_of_the_library(
    name: str, gamma: float, alpha: float | None, weights: tuple[float, ...] | None, seed: int
) -> None:
    config = LossConfig(gamma, alpha, weights)
    results = []
    for loss in (LOSSES[name](config), library_loss(name, config)):  # type: ignore[index]
        logits, targets = drawn(seed)
        logits.requires_grad_()
        value = loss(logits, targets)
        value.backward()
        assert logits.grad is not None
        results.append((value.detach(), logits.grad))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-5, rtol=1e-5)


@EACH_LOSS
def test_a_batch_without_labels_has_no_loss_and_no_gradient(loss: nn.Module) -> None:
    logits = torch.randn(2, 3, 4, 4, requires_grad=True)
    value = loss(logits, torch.full((2, 4, 4), IGNORE))
    value.backward()
    assert float(value.detach()) == 0
    assert logits.grad is not None
    assert float(logits.grad.abs().max()) == 0


@EACH_LOSS
def test_extreme_logits_give_finite_losses_and_gradients(loss: nn.Module) -> None:
    logits = torch.tensor([[[[1e4, -1e4]], [[-1e4, 1e4]]]], requires_grad=True)
    for targets in ([[[0, 1]]], [[[1, 0]]]):
        value = loss(logits, torch.tensor(targets))
        value.backward()
        assert bool(torch.isfinite(value))
    assert logits.grad is not None
    assert bool(torch.isfinite(logits.grad).all())


def test_class_weights() -> None:
    assert class_weights("none", [1, 2]) is None
    assert class_weights("inverse", [30, 10]) == pytest.approx((0.5, 1.5))
    assert class_weights("inverse", [30, 10, 0]) == pytest.approx((3 / 7, 9 / 7, 9 / 7))
    common, rare = (1 - 0.9999) / (1 - 0.9999**99_000), (1 - 0.9999) / (1 - 0.9999**1000)
    mean = (common + rare) / 2
    assert class_weights("effective", [990, 10]) == pytest.approx((common / mean, rare / mean))
