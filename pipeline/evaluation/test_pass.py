"""Run a trained network over a set of chips and count its predictions."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.evaluation.calibration import reliability
from pipeline.learning.confusion import argmax, confusion_matrices
from pipeline.learning.data import Batch
from pipeline.learning.device import Device
from pipeline.learning.loaders import unwrap_worker_errors
from pipeline.learning.model import Model


@dataclass(frozen=True)
class PredictionCounts:
    """Pixel counts of one pass: a kilobyte per chip, whatever its size."""

    matrix_KK: np.ndarray
    """Confusion matrix, int64; rows: true class, columns: predicted class."""
    counts_N3K: np.ndarray
    """int64, by chip in the order of the list; see `pipeline.scoring.counts`."""
    before_N3B: np.ndarray
    """By chip and bin of confidence at temperature 1; see `pipeline.evaluation.calibration`."""
    after_N3B: np.ndarray
    """The same at the temperature of the model."""


def count_predictions(model: Model, batches: Iterable[Batch], device: Device) -> PredictionCounts:
    """Predict every chip once and count its pixels.

    The counts stay on the device until the end, 1.1 kB a chip with five classes, so that a GPU is not waited for.

    Raises:
        PipelineError: a chip cannot be read.
    """
    classes = len(model.table.classes)
    matrix_KK = torch.zeros((classes, classes), dtype=torch.int64)
    counts, bins = [], []
    with unwrap_worker_errors():
        for images, masks in batches:
            logits_NKHW = model.segmenter.predict_logits(images, device)
            predicted_NHW, target_NHW = argmax(logits_NKHW), masks.to(logits_NKHW.device, non_blocking=True)
            matrix_NKK = confusion_matrices(predicted_NHW, target_NHW, classes)
            matrix_KK = matrix_KK.to(matrix_NKK.device) + matrix_NKK.sum(dim=0)
            counts.append(_counts_of(matrix_NKK))
            bins.append(reliability(logits_NKHW, predicted_NHW, target_NHW, (1.0, model.temperature)))
    before_N3B, after_N3B = torch.cat(bins, dim=1).cpu().numpy()
    return PredictionCounts(matrix_KK.cpu().numpy(), torch.cat(counts).cpu().numpy(), before_N3B, after_N3B)


def _counts_of(matrix_NKK: torch.Tensor) -> torch.Tensor:
    """Do what `pipeline.scoring.counts.counts_of` does, on the device: 255 classes have matrices of 520 kB a chip."""
    hits_NK = matrix_NKK.diagonal(dim1=1, dim2=2)
    return torch.stack([matrix_NKK.sum(dim=2), matrix_NKK.sum(dim=1), hits_NK], dim=1)
