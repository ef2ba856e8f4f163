"""Temperature scaling: one number that makes the probabilities of a trained network match its accuracy.

Probabilities are softmax(logits / T). T minimises the negative log-likelihood of the labels of the validation chips:
Guo et al. 2017, "On Calibration of Modern Neural Networks". It changes no predicted class. T is below 1 for a network
that is less confident than accurate, as after focal loss, and above 1 for one that is too confident.

Only sums by chip are kept: the derivative of the negative log-likelihood by 1/T at fixed values of 1/T. It increases
with 1/T, so that T of any set of chips is the one root of their summed derivatives.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Protocol

import numpy as np
import torch
from pydantic import Field
from scipy.interpolate import PchipInterpolator
from scipy.optimize import brentq

from pipeline.formats.classes import IGNORE
from pipeline.learning.data import Batch
from pipeline.learning.device import Device
from pipeline.learning.loaders import unwrap_worker_errors
from pipeline.scoring.counts import sum_by_group

LOG2_BETAS = np.arange(-5, 5.01, 0.25)
"""Logarithms of 1/T at which derivatives are computed: T is between 1/32 and 32."""
STRIDE = 4
"""Every fourth row and column is used: neighbours add time and little information."""
Temperature = Annotated[float, Field(ge=2.0 ** -LOG2_BETAS[-1], le=2.0 ** -LOG2_BETAS[0])]


@dataclass(frozen=True)
class Calibration:
    """The temperature of a network, and how much it varies over groups of chips; in `model.json`."""

    temperature: Temperature
    """Divides the logits; fitted on all validation chips."""
    groups: Annotated[int, Field(ge=0)]
    """Independent groups of validation chips whose labels determine a temperature."""
    lowest: Temperature
    """Lowest temperature of a single group."""
    highest: Temperature


class Network(Protocol):
    """What predicts logits: `pipeline.learning.model.Segmenter`."""

    def predict_logits(self, images_NCHW: torch.Tensor, device: Device) -> torch.Tensor:
        """Predict logits_NKHW, float32."""


def calibrate(
    network: Network, batches: Iterable[Batch], device: Device, ids: Sequence[str], group_of: Mapping[str, str]
) -> Calibration:
    """Fit the temperature of a network in one pass over the validation chips.

    Args:
        network: in evaluation mode on `device`.
        batches: of the chips `ids`, in order.
        device: where the network is.
        ids: of the chips.
        group_of: by chip id.

    Raises:
        PipelineError: a chip cannot be read.
    """
    with unwrap_worker_errors():
        slopes = [likelihood_slopes(network.predict_logits(images, device), masks) for images, masks in batches]
    slopes_NB = torch.cat(slopes).cpu().numpy()  # only now: a GPU is not waited for between batches
    _, slopes_GB = sum_by_group(slopes_NB, [group_of[chip] for chip in ids])
    of_all = temperature(slopes_NB.sum(axis=0))
    single = [temperature(slopes_B) for slopes_B in slopes_GB if slopes_B.any()]
    return Calibration(of_all, len(single), min(single, default=of_all), max(single, default=of_all))


def likelihood_slopes(logits_NKHW: torch.Tensor, target_NHW: torch.Tensor) -> torch.Tensor:
    """Differentiate the negative log-likelihood of each chip's labels by 1/T, at each 1/T of `LOG2_BETAS`.

    Args:
        logits_NKHW: float32.
        target_NHW: class indices, or `IGNORE`.

    Returns:
        slopes_NB, float64, on the device of the logits: the sum over labelled pixels, of which every `STRIDE`-th row
        and column is used, of the expected logit under softmax(logits / T) minus the logit of the true class. Pixels
        with an infinite logit, as overflows of fp16 leave them, are not used.
    """
    target_NHW = target_NHW.to(logits_NKHW.device, non_blocking=True)  # whole: a part is no longer pinned
    target_NP = target_NHW[:, ::STRIDE, ::STRIDE].flatten(1).long()
    logits_NKP = logits_NKHW[:, :, ::STRIDE, ::STRIDE].flatten(2).double()
    is_used_NP = (target_NP != IGNORE) & logits_NKP.isfinite().all(dim=1)
    logits_NKP = logits_NKP.where(is_used_NP[:, None], 0)  # equal logits add nothing to any sum
    true_NP = logits_NKP.gather(1, target_NP.where(is_used_NP, 0)[:, None])[:, 0]
    slopes = []
    for beta in 2**LOG2_BETAS:
        expected_NP = ((beta * logits_NKP).softmax(dim=1) * logits_NKP).sum(dim=1)
        slopes.append((expected_NP - true_NP).sum(dim=1))
    return torch.stack(slopes, dim=1)


def temperature(slopes_B: np.ndarray) -> float:
    """Return T at which the summed derivatives are 0, rounded to six digits; else the nearest T in range.

    1 if all of them are 0: without labelled pixels, or with a single class.
    """
    if not slopes_B.any():
        return 1.0
    if slopes_B[0] >= 0:
        return float(2 ** -LOG2_BETAS[0])
    if slopes_B[-1] <= 0:
        return float(2 ** -LOG2_BETAS[-1])
    root = brentq(PchipInterpolator(LOG2_BETAS, slopes_B), LOG2_BETAS[0], LOG2_BETAS[-1], xtol=1e-9)
    return round(float(2**-root), 6)
