"""Calibration: whether 80 % of the pixels with confidence 0.8 are correct, before and after temperature scaling.

Confidence is the probability of the predicted class. bins_3B: float64, by bin of confidence; row 0: pixels, row 1: sum
of their confidence, row 2: correct pixels. Leading dimensions: N, chips; G, groups. Ignored pixels do not count.

torchmetrics' `MulticlassCalibrationError` has no bins by chip, which the intervals need, keeps 8 bytes for each pixel,
and takes 774 ms rather than 395 ms for eight chips of 512 px and five classes.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import torch

from pipeline.evaluation.intervals import error_limits, share_limits
from pipeline.formats.classes import IGNORE
from pipeline.learning.calibration import Calibration
from pipeline.scoring.counts import sum_by_group

BINS = 20
"""Of equal width from 0 to 1."""
PIXELS, CONFIDENCE, CORRECT = range(3)


def reliability(
    logits_NKHW: torch.Tensor, predicted_NHW: torch.Tensor, target_NHW: torch.Tensor, temperatures: Sequence[float]
) -> torch.Tensor:
    """Count the pixels of each chip by the confidence of their prediction, at several temperatures.

    Args:
        logits_NKHW: float32.
        predicted_NHW: index of the largest logit.
        target_NHW: class indices, or `IGNORE`.
        temperatures: T values by which the logits are divided.

    Returns:
        bins_TN3B on the device of the logits. Pixels with a logit of infinity or NaN, as overflows of fp16 leave them,
        have no confidence and do not count.
    """
    chips, size = len(logits_NKHW), 2 * BINS  # a cell for wrong and one for correct pixels of each bin
    below_NKHW = logits_NKHW - logits_NKHW.amax(dim=1, keepdim=True)
    first_NHW = (predicted_NHW == target_NHW) + size * torch.arange(chips, device=target_NHW.device)[:, None, None]
    first_NHW.masked_fill_(target_NHW == IGNORE, size * chips)
    bins = []
    for temperature in temperatures:
        confidence_NHW = (below_NKHW / temperature).exp_().sum(dim=1).reciprocal()  # faster than softmax and maximum
        is_known_NHW = confidence_NHW.isfinite()
        confidence_NHW.masked_fill_(~is_known_NHW, 0)
        bin_NHW = (confidence_NHW * BINS).long().clamp_(max=BINS - 1)
        cells_NHW = (first_NHW + 2 * bin_NHW).where(is_known_NHW, size * chips)
        # float32 cannot add up millions of probabilities
        pixels, confidence = (
            _bincount(cells_NHW, weights_NHW, size * (chips + 1))[: size * chips].double().view(chips, BINS, 2)
            for weights_NHW in (None, confidence_NHW.double())
        )
        bins.append(torch.stack([pixels.sum(dim=2), confidence.sum(dim=2), pixels[..., 1]], dim=1))
    return torch.stack(bins)


def _bincount(cells_NHW: torch.Tensor, weights_NHW: torch.Tensor | None, size: int) -> torch.Tensor:
    """Count as `torch.bincount` does, which on a GPU synchronises."""
    if cells_NHW.device.type == "cpu":
        return torch.bincount(cells_NHW.flatten(), None if weights_NHW is None else weights_NHW.flatten(), size)
    return _sum_by_column(cells_NHW, weights_NHW, size)


def _sum_by_column(cells_NHW: torch.Tensor, weights_NHW: torch.Tensor | None, size: int) -> torch.Tensor:
    """Sum the weights of each cell, float64, first by column of pixels.

    Most pixels of a chip are in one cell, and threads of a GPU that add to one number wait for each other. Float64 adds
    up 4 million float32 from 1/255 to 1 without rounding: the order, which a GPU does not fix, changes nothing.
    """
    if weights_NHW is None:
        weights_NHW = torch.ones_like(cells_NHW, dtype=torch.float64)
    sums_SW = weights_NHW.new_zeros(size, cells_NHW.shape[-1])
    return sums_SW.scatter_add_(0, cells_NHW.flatten(0, 1), weights_NHW.flatten(0, 1)).sum(dim=1)


def calibration_error(bins_3B: np.ndarray) -> np.ndarray:
    """Compute the expected calibration error; NaN without pixels; keep leading dimensions.

    The mean over bins, weighted by their pixels, of the difference between mean confidence and share of correct pixels:
    Naeini et al. 2015, "Obtaining Well Calibrated Probabilities Using Bayesian Binning"; Guo et al. 2017. It is biased
    upwards: chance differences of bins and groups do not cancel.
    """
    gap = np.abs(bins_3B[..., CORRECT, :] - bins_3B[..., CONFIDENCE, :]).sum(axis=-1)
    pixels = bins_3B[..., PIXELS, :].sum(axis=-1)
    return np.asarray(np.divide(gap, pixels, out=np.full(pixels.shape, np.nan), where=pixels > 0))


@dataclass(frozen=True)
class Reliability:
    """The reliability of the test set's groups with labelled pixels."""

    before_G3B: np.ndarray
    """At temperature 1."""
    after_G3B: np.ndarray
    """At the temperature of the model."""

    @classmethod
    def by_group(cls, before_N3B: np.ndarray, after_N3B: np.ndarray, group_N: Sequence[str]) -> "Reliability":
        """Sum by the group of each chip, and omit the groups without labelled pixels."""
        before_G3B, after_G3B = (sum_by_group(bins_N3B, group_N)[1] for bins_N3B in (before_N3B, after_N3B))
        is_labelled_G = before_G3B[:, PIXELS].any(axis=1)
        return cls(before_G3B[is_labelled_G], after_G3B[is_labelled_G])

    @property
    def errors(self) -> tuple[float | None, float | None]:
        """The calibration error before and after, rounded to six digits; None without labelled pixels."""
        before, after = (float(calibration_error(bins.sum(axis=0))) for bins in (self.before_G3B, self.after_G3B))
        return (round(before, 6), round(after, 6)) if len(self.before_G3B) else (None, None)

    def metrics(self, fitted: Calibration) -> dict[str, Any]:
        """Describe temperature and calibration error, with the 95 % interval of the error after scaling."""
        before, after = self.errors
        total_3B = self.after_G3B.sum(axis=0)
        limits = None if after is None else error_limits(after, calibration_error(total_3B - self.after_G3B))
        low, high = limits or (None, None)
        return {
            "temperature": fitted.temperature,
            "temperature_groups": fitted.groups,
            "temperature_lowest": fitted.lowest,
            "temperature_highest": fitted.highest,
            "error_before": before,
            "error_after": after,
            "error_after_low": low,
            "error_after_high": high,
        }


def reliability_table(bins_G3B: np.ndarray) -> pd.DataFrame:
    """Tabulate the non-empty bins.

    Returns:
        `confidence` (mean), `accuracy` (share correct) with the limits `low` and `high` of its 95 % interval over
        groups, NaN where `share_limits` has none, and `pixels`.
    """
    total_3B = bins_G3B.sum(axis=0)
    used_B = total_3B[PIXELS] > 0
    pixels, confidence, correct = total_3B[:, used_B]
    low, high = share_limits(bins_G3B[:, CORRECT], bins_G3B[:, PIXELS])[:, used_B]
    columns = {"confidence": confidence / pixels, "accuracy": correct / pixels, "low": low, "high": high}
    return pd.DataFrame(columns).round(6).assign(pixels=pixels.astype(np.int64))
