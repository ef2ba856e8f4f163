"""The losses that params.yaml may name: of logits_NKHW and targets_NHW (int64), without pixels that are `IGNORE`.

The same values as those of segmentation-models-pytorch (within 1e-5, see the tests), but without a loop over classes
and without boolean indexing, for which a GPU synchronises; and 0, not NaN, if every pixel is ignored.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn
from torch.nn import functional as F  # noqa: N812 - the usual name

from pipeline.formats.classes import IGNORE

LossName = Literal["focal", "dice", "ce"]
Weighting = Literal["none", "inverse", "effective"]
BETA, SAMPLES = 0.9999, 100_000


@dataclass(frozen=True)
class LossConfig:
    """Loss weighting options."""

    gamma: float = 2.0
    """Of focal loss: focusing parameter; the higher, the less weight on pixels that are classified well."""
    alpha: float | None = None
    """Of focal loss: weight of a class's positive pixels, 1 - alpha of its negative ones; None: equal weights."""
    weights: tuple[float, ...] | None = None
    """By class in the order of the outputs; None: equal weights."""


class Loss(nn.Module):
    """A loss that is a function of sums over the pixels of a batch, so that ranks can add up their sums."""

    name: LossName
    weight_K: torch.Tensor | None

    def __init__(self, config: LossConfig) -> None:
        super().__init__()
        self.config = config
        weights = None if config.weights is None else torch.tensor(config.weights)
        self.register_buffer("weight_K", weights, persistent=False)

    def forward(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """Return the loss of a batch."""
        return self.value(self.sums(logits_NKHW, targets_NHW))

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """Sum over the pixels: (quantities,), or (quantities, K) by class."""
        raise NotImplementedError

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        """Compute the loss from these sums."""
        raise NotImplementedError

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the labelled pixels behind these sums, by which to average the losses of micro-batches.

        For focal loss and cross entropy the average is the loss of the whole batch; dice is not a mean over pixels.
        """
        raise NotImplementedError

    def prior_logits(self, share_K: torch.Tensor) -> torch.Tensor:
        """Return the logits of a network that predicts the probability `share_K` everywhere.

        The inverse of softmax; of the sigmoid for focal loss, which is one-vs-rest.
        """
        return share_K.log()

    def weighted_mean(self, loss_K: torch.Tensor) -> torch.Tensor:
        """Average over classes."""
        return loss_K.mean() if self.weight_K is None else (loss_K * self.weight_K).sum() / self.weight_K.sum()


class Focal(Loss):
    """One-vs-rest focal loss: Lin et al. 2017, "Focal Loss for Dense Object Detection", equation 5."""

    name: LossName = "focal"

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """Sum the loss and the labelled pixels by class: (2, K)."""
        one_hot_NKHW, labelled_N1HW = _one_hot(logits_NKHW, targets_NHW)
        # logit of the wrong answer: 1 - p_t = sigmoid(wrong), -log(p_t) = softplus(wrong)
        wrong_NKHW = torch.where(one_hot_NKHW, -logits_NKHW, logits_NKHW)
        loss_NKHW = torch.sigmoid(wrong_NKHW).pow(self.config.gamma) * F.softplus(wrong_NKHW)
        if (alpha := self.config.alpha) is not None:
            loss_NKHW = loss_NKHW * torch.where(one_hot_NKHW, alpha, 1 - alpha)
        loss_K = (loss_NKHW * labelled_N1HW).sum((0, 2, 3))
        return torch.stack([loss_K, labelled_N1HW.sum().expand_as(loss_K)])

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        """Average over pixels and classes."""
        loss_K, labelled_K = sums
        return self.weighted_mean(loss_K / labelled_K.clamp(min=1))

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the labelled pixels."""
        return sums[1, 0]

    def prior_logits(self, share_K: torch.Tensor) -> torch.Tensor:
        """Return the log odds."""
        return share_K.logit()


class Dice(Loss):
    """1 - 2 |A ∩ B| / (|A| + |B|) of softmax probabilities, by class over the batch; 0 for classes not in the batch."""

    name: LossName = "dice"

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """Return |A ∩ B|, |A| and |B| by class: (3, K)."""
        one_hot_NKHW, labelled_N1HW = _one_hot(logits_NKHW, targets_NHW)
        probability_NKHW = logits_NKHW.softmax(dim=1) * labelled_N1HW
        intersection_K = (probability_NKHW * one_hot_NKHW).sum((0, 2, 3))
        return torch.stack([intersection_K, probability_NKHW.sum((0, 2, 3)), one_hot_NKHW.sum((0, 2, 3))])

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        """Average over classes."""
        intersection_K, predicted_K, true_K = sums
        dice_K = 2 * intersection_K / (predicted_K + true_K).clamp(min=1e-7)
        return self.weighted_mean((1 - dice_K) * (true_K > 0))

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the labelled pixels."""
        return sums[2].sum()


class CrossEntropy(Loss):
    """Negative log-likelihood of the true class under softmax."""

    name: LossName = "ce"

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        """Return the class-weighted sum over pixels, and the sum of the weights: (2,)."""
        labelled_NHW = targets_NHW != IGNORE
        targets_NHW = torch.where(labelled_NHW, targets_NHW, 0)
        # not F.cross_entropy, which is not deterministic on CUDA
        log_NHW = logits_NKHW.log_softmax(dim=1).gather(1, targets_NHW[:, None])[:, 0]
        weight_NHW = labelled_NHW if self.weight_K is None else self.weight_K[targets_NHW] * labelled_NHW
        return torch.stack([-(log_NHW * weight_NHW).sum(), weight_NHW.sum()])

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        """Average over pixels, weighted."""
        return sums[0] / sums[1].clamp(min=1e-7)

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        """Return the labelled pixels, weighted by class."""
        return sums[1]


LOSSES: dict[LossName, Callable[[LossConfig], Loss]] = {"focal": Focal, "dice": Dice, "ce": CrossEntropy}


def class_weights(kind: Weighting, pixels: Sequence[int]) -> tuple[float, ...] | None:
    """Return class weights with mean 1, higher for rarer classes; one without pixels counts as the rarest.

    Args:
        kind: `inverse`: inverse frequency; `effective`: Cui et al. 2019, "Class-Balanced Loss Based on Effective
            Number of Samples", equation 5 with beta 0.9999, scaled to 100,000 samples: neighbouring pixels are
            nearly duplicates, and with billions of samples all classes would weigh the same.
        pixels: of each class in the training chips.
    """
    if kind == "none":
        return None
    rarest = min(count for count in pixels if count)
    shares = [max(count, rarest) / sum(pixels) for count in pixels]
    if kind == "inverse":
        weights = [1 / share for share in shares]
    else:
        weights = [(1 - BETA) / (1 - BETA ** (share * SAMPLES)) for share in shares]
    mean = sum(weights) / len(weights)
    return tuple(weight / mean for weight in weights)


def _one_hot(logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
    """Return one-hot targets (N, K, H, W), and which pixels are labelled (N, 1, H, W); both bool."""
    indices_1K11 = torch.arange(logits_NKHW.shape[1], device=logits_NKHW.device)[None, :, None, None]
    targets_N1HW = targets_NHW[:, None]
    return targets_N1HW == indices_1K11, targets_N1HW != IGNORE
