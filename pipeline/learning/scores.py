"""Scores from one confusion matrix over a whole set.

matrix_KK: int64; row: the true class, column: the predicted one; ignored pixels are in no cell.
"""

from typing import Any

import numpy as np
import torch

from pipeline.classes import IGNORE


def confusion(predicted_NHW: torch.Tensor, target_NHW: torch.Tensor, classes: int) -> torch.Tensor:
    """Count pixels by true and predicted class.

    Args:
        predicted_NHW: class indices below `classes`.
        target_NHW: class indices, or `IGNORE`.
        classes: their number, K.

    Returns:
        matrix_KK.
    """
    cells = target_NHW.long() * classes + predicted_NHW
    # one more cell takes the ignored pixels: cheaper than picking the others out
    cells = torch.where(target_NHW == IGNORE, classes * classes, cells)
    return torch.bincount(cells.flatten(), minlength=classes * classes + 1)[:-1].reshape(classes, classes)


def scores(matrix_KK: np.ndarray, names: tuple[str, ...]) -> dict[str, Any]:
    """The scores of a confusion matrix, rounded to six digits.

    A class counts in the means when it has true pixels, whatever the model says: a model cannot leave a class out of
    its score by never predicting it, nor bring one in by predicting what is not there. Other classes have null.

    Returns:
        `mean_iou`: macro mean of the classes' intersection over union; `micro_iou`: all intersections over all
        unions; `pixel_accuracy`: share of right pixels; `precision`, `recall`, `f_score`: macro means (precision is 0
        for a class that is never predicted); `iou`: by class name. Everything is null when no pixel counts.
    """
    hits_K = np.diag(matrix_KK).astype(np.float64)
    true_K, predicted_K = matrix_KK.sum(axis=1), matrix_KK.sum(axis=0)
    there_K = true_K > 0
    iou_K = _share(hits_K, true_K + predicted_K - hits_K)
    precision_K, recall_K = _share(hits_K, predicted_K), _share(hits_K, true_K)
    f_K = _share(2 * hits_K, true_K + predicted_K)
    total, right = int(matrix_KK.sum()), hits_K.sum()
    return {
        "mean_iou": _mean(iou_K, there_K),
        "micro_iou": round(right / (2 * total - right), 6) if total else None,
        "pixel_accuracy": round(right / total, 6) if total else None,
        "precision": _mean(precision_K, there_K),
        "recall": _mean(recall_K, there_K),
        "f_score": _mean(f_K, there_K),
        "iou": {
            name: round(float(iou), 6) if there else None
            for name, iou, there in zip(names, iou_K, there_K, strict=True)
        },
    }


def _share(part_K: np.ndarray, whole_K: np.ndarray) -> np.ndarray:
    """`part / whole`, 0 where there is nothing."""
    return np.asarray(np.divide(part_K, whole_K, out=np.zeros(len(part_K)), where=whole_K > 0))


def _mean(values_K: np.ndarray, there_K: np.ndarray) -> float | None:
    return round(float(values_K[there_K].mean()), 6) if there_K.any() else None
