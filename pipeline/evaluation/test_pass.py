"""Run a trained network over a set of chips and count its predictions."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from pipeline.learning.confusion import argmax, confusion_matrices, reliability
from pipeline.learning.data import Batch, unwrap_worker_errors
from pipeline.learning.device import Device
from pipeline.learning.model import Model
from pipeline.scoring.counts import counts_of

BINS = 20
"""Bins of the reliability curve."""


@dataclass(frozen=True)
class PredictionCounts:
    """Pixel counts of one pass: 24 bytes per chip and class, whatever the size of the chips."""

    matrix_KK: np.ndarray
    """Confusion matrix, int64; rows: true class, columns: predicted class."""
    counts_N3K: np.ndarray
    """int64, by chip in the order of the list; see `pipeline.scoring.counts`."""
    reliability_3B: np.ndarray
    """float64, by bin of the predicted probability: pixels, sum of their probabilities, correct pixels."""


def count_predictions(model: Model, batches: Iterable[Batch], device: Device) -> PredictionCounts:
    """Predict every chip once and count its pixels.

    Raises:
        PipelineError: a chip cannot be read.
    """
    classes = len(model.table.classes)
    matrix_KK = np.zeros((classes, classes), np.int64)
    counts, reliability_3B = [], np.zeros((3, BINS))
    with unwrap_worker_errors():
        for images, masks in batches:
            logits_NKHW = model.segmenter.predict_logits(images, device)
            target_NHW = masks.to(logits_NKHW.device)
            matrix_NKK = confusion_matrices(argmax(logits_NKHW), target_NHW, classes).cpu().numpy()
            matrix_KK += matrix_NKK.sum(axis=0)
            counts.append(counts_of(matrix_NKK))
            reliability_3B += reliability(logits_NKHW, target_NHW, BINS).cpu().numpy()
    return PredictionCounts(matrix_KK, np.concatenate(counts), reliability_3B)
