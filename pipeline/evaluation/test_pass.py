"""One pass of a trained network over a set of chips."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.learning.confusion import argmax, confusions, reliability
from pipeline.learning.data import Batch, plain_errors
from pipeline.learning.device import Device
from pipeline.learning.model import Model
from pipeline.scoring.counts import counts_of

BINS = 20
"""Steps of the reliability curve."""


@dataclass(frozen=True)
class Survey:
    """What a pass counted: 24 bytes a chip and class, however large the chips are."""

    matrix_KK: np.ndarray
    """int64; row: the true class, column: the predicted one."""
    counts_N3K: np.ndarray
    """int64, of each chip in the order of the list; see `pipeline.scoring.counts`."""
    reliability_3B: np.ndarray
    """float64; pixels, sum of their probabilities, pixels that are right, by steps of the probability."""


def logits_of(model: Model, images_NCHW: torch.Tensor, device: Device) -> torch.Tensor:
    """What the network says of pictures, uint8 RGB: logits_NKHW, float32, on the device if that can count with them."""
    with torch.inference_mode(), device.autocast():
        images = images_NCHW.to(device.name).contiguous(memory_format=device.memory_format)
        logits_NKHW: torch.Tensor = model.segmenter(images)
    return logits_NKHW.cpu() if device.name == "mps" else logits_NKHW  # Apple's GPU lacks float64


def survey(model: Model, batches: Iterable[Batch], device: Device) -> Survey:
    """Predict every chip once and count.

    Raises:
        PipelineError: a chip cannot be read.
    """
    classes = len(model.table.classes)
    matrix_KK = np.zeros((classes, classes), np.int64)
    counts, reliability_3B = [], np.zeros((3, BINS))
    with plain_errors():
        for images, masks in batches:
            logits_NKHW = logits_of(model, images, device)
            target_NHW = masks.to(logits_NKHW.device)
            matrix_NKK = confusions(argmax(logits_NKHW), target_NHW, classes).cpu().numpy()
            matrix_KK += matrix_NKK.sum(axis=0)
            counts.append(counts_of(matrix_NKK))
            reliability_3B += reliability(logits_NKHW, target_NHW, BINS).cpu().numpy()
    return Survey(matrix_KK, np.concatenate(counts), reliability_3B)
