"""The losses that params.yaml may name: of logits_NKHW and targets_NHW (int64), `IGNORE` counted nowhere.

The same values as those of segmentation-models-pytorch (within 1e-5, which a test holds), without its loop over the
classes and without selecting pixels, for which a GPU would have to wait; and 0, not NaN, where everything is ignored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - as all of torch's users call it

from pipeline.formats.classes import IGNORE

LossName = Literal["focal", "dice", "ce"]
Weighting = Literal["none", "inverse", "effective"]
BETA, SAMPLES = 0.9999, 100_000


@dataclass(frozen=True)
class LossConfig:
    """What a loss makes more of."""

    gamma: float = 2.0
    """Of focal loss: the more, the less a pixel counts that is right already."""
    alpha: float | None = None
    """Of focal loss: the weight of a class's own pixels, and 1 less that for all others; None weighs them alike."""
    weights: tuple[float, ...] | None = None
    """By class in the order of the outputs; None weighs all alike."""


class Loss(nn.Module):
    """A loss with its emphasis: a function of sums over a batch, which may be added up over several processes."""

    name: LossName
    weight_K: torch.Tensor | None

    def __init__(self, emphasis: LossConfig) -> None:
        super().__init__()
        self.emphasis = emphasis
        weights = None if emphasis.weights is None else torch.tensor(emphasis.weights)
        self.register_buffer("weight_K", weights, persistent=False)

    def forward(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """The loss of a batch."""
        return self.value(self.sums(logits_NKHW, targets_NHW))

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """What is added up over the pixels: some quantities, or (quantities, K) by class."""
        raise NotImplementedError

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        """The loss, from those sums."""
        raise NotImplementedError

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        """The labelled pixels behind those sums, by which losses of parts of a batch are averaged.

        For focal loss and cross entropy the average is the loss of the whole; dice is no mean over pixels.
        """
        raise NotImplementedError

    def prior_logits(self, share_K: torch.Tensor) -> torch.Tensor:
        """The logits of a network that gives each class the probability `share_K` everywhere.

        The inverse of softmax; of the sigmoid for focal loss, which compares each class with the rest.
        """
        return share_K.log()

    def mean(self, loss_K: torch.Tensor) -> torch.Tensor:
        """The mean over classes, weighted."""
        return loss_K.mean() if self.weight_K is None else (loss_K * self.weight_K).sum() / self.weight_K.sum()


class Focal(Loss):
    """Each class against the rest: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5."""

    name = "focal"

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """(2, K): of each class the sum over pixels, and the number of pixels."""
        hot_NKHW, counted_N1HW = _hot(logits_NKHW, targets_NHW)
        # how far the answer is from right: 1 - p_t = sigmoid(wrong), -log(p_t) = softplus(wrong)
        wrong_NKHW = torch.where(hot_NKHW, -logits_NKHW, logits_NKHW)
        loss_NKHW = torch.sigmoid(wrong_NKHW).pow(self.emphasis.gamma) * F.softplus(wrong_NKHW)
        if (alpha := self.emphasis.alpha) is not None:
            loss_NKHW = loss_NKHW * torch.where(hot_NKHW, alpha, 1 - alpha)
        loss_K = (loss_NKHW * counted_N1HW).sum((0, 2, 3))
        return torch.stack([loss_K, counted_N1HW.sum().expand_as(loss_K)])

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        """The mean over pixels and classes."""
        loss_K, counted_K = sums
        return self.mean(loss_K / counted_K.clamp(min=1))

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        """Labelled pixels."""
        return sums[1, 0]

    def prior_logits(self, share_K: torch.Tensor) -> torch.Tensor:
        """Log odds."""
        return share_K.logit()


class Dice(Loss):
    """1 - 2 |A ∩ B| / (|A| + |B|) of softmax probabilities, by class over the batch; a class that it lacks counts 0."""

    name = "dice"

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """(3, K): of each class |A ∩ B|, |A| and |B|."""
        hot_NKHW, counted_N1HW = _hot(logits_NKHW, targets_NHW)
        share_NKHW = logits_NKHW.softmax(dim=1) * counted_N1HW
        both_K = (share_NKHW * hot_NKHW).sum((0, 2, 3))
        return torch.stack([both_K, share_NKHW.sum((0, 2, 3)), hot_NKHW.sum((0, 2, 3))])

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        """The mean over classes."""
        both_K, share_K, there_K = sums
        dice_K = 2 * both_K / (share_K + there_K).clamp(min=1e-7)
        return self.mean((1 - dice_K) * (there_K > 0))

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        """Labelled pixels."""
        return sums[2].sum()


class CrossEntropy(Loss):
    """Minus the logarithm of the true class's softmax probability."""

    name = "ce"

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """(2,): the sum over pixels, each with the weight of its class, and the sum of the weights."""
        counted_NHW = targets_NHW != IGNORE
        targets_NHW = torch.where(counted_NHW, targets_NHW, 0)
        # not F.cross_entropy, which on CUDA does not repeat itself
        log_NHW = logits_NKHW.log_softmax(dim=1).gather(1, targets_NHW[:, None])[:, 0]
        weight_NHW = counted_NHW if self.weight_K is None else self.weight_K[targets_NHW] * counted_NHW
        return torch.stack([-(log_NHW * weight_NHW).sum(), weight_NHW.sum()])

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        """The weighted mean over pixels."""
        return sums[0] / sums[1].clamp(min=1e-7)

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        """Labelled pixels, each with the weight of its class."""
        return sums[1]


LOSSES: dict[LossName, Callable[[LossConfig], Loss]] = {"focal": Focal, "dice": Dice, "ce": CrossEntropy}


def class_weights(kind: Weighting, pixels: Sequence[int]) -> tuple[float, ...] | None:
    """Weights with a mean of 1 that make more of rare classes; a class without a pixel counts as the rarest one.

    Args:
        kind: `inverse` of the share of the pixels; `effective`: Cui et al. 2019, "Class-Balanced Loss Based on
            Effective Number of Samples", equation 5 with beta 0.9999, as if there were 100,000 samples in all: of
            billions of pixels, most tell what their neighbours tell, and each class would have all it can.
        pixels: of each class in the training chips.
    """
    if kind == "none":
        return None
    least = min(count for count in pixels if count)
    shares = [max(count, least) / sum(pixels) for count in pixels]
    if kind == "inverse":
        raw = [1 / share for share in shares]
    else:
        raw = [(1 - BETA) / (1 - BETA ** (share * SAMPLES)) for share in shares]
    mean = sum(raw) / len(raw)
    return tuple(weight / mean for weight in raw)


def _hot(logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Whether a pixel is of each class, (N, K, H, W), and whether it counts, (N, 1, H, W)."""
    ids_1K11 = torch.arange(logits_NKHW.shape[1], device=logits_NKHW.device)[None, :, None, None]
    targets_N1HW = targets_NHW[:, None]
    return targets_N1HW == ids_1K11, targets_N1HW != IGNORE
