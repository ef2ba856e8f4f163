"""Run a trained network over a set of chips and count its predictions."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.evaluation.calibration import reliability
from pipeline.learning.confusion import argmax, confusion_matrices
from pipeline.learning.data import Batch
from pipeline.learning.device import Device
from pipeline.learning.loaders import unwrap_worker_errors
from pipeline.learning.model import Model
from pipeline.scoring.counts import counts_of


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

    Raises:
        PipelineError: a chip cannot be read.
    """
    classes = len(model.table.classes)
    matrix_KK = np.zeros((classes, classes), np.int64)
    counts, bins = [], []
    with unwrap_worker_errors():
        for images, masks in batches:
            logits_NKHW = model.segmenter.predict_logits(images, device)
            predicted_NHW, target_NHW = argmax(logits_NKHW), masks.to(logits_NKHW.device)
            matrix_NKK = confusion_matrices(predicted_NHW, target_NHW, classes).cpu().numpy()
            matrix_KK += matrix_NKK.sum(axis=0)
            counts.append(counts_of(matrix_NKK))
            bins_TN3B = reliability(logits_NKHW, predicted_NHW, target_NHW, (1.0, model.temperature))
            bins.append(bins_TN3B.cpu().numpy())
    before_N3B, after_N3B = np.concatenate(bins, axis=1)
    return PredictionCounts(matrix_KK, np.concatenate(counts), before_N3B, after_N3B)
