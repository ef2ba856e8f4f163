"""Scores from counts of pixels by class; see `pipeline.scoring.counts` for their layout."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.scoring.counts import HITS, PREDICTED, TRUE

PAPER_BATCH = 32
"""Chips in a batch of the study, over which it averaged."""


def scores(counts_3K: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """The scores of a whole set, rounded to six digits.

    A class counts in the means when it has true pixels, whatever the model says: a model cannot leave a class out of
    its score by never predicting it, nor bring one in by predicting what is not there. Other classes have null.

    Returns:
        `mean_iou`: macro mean of the classes' intersection over union; `micro_iou`: all intersections over all
        unions; `frequency_weighted_iou`: mean weighted by the classes' true pixels; `pixel_accuracy`: share of right
        pixels; `precision`, `recall`, `f_score`: macro means (precision is 0 for a class that is never predicted);
        `classes_scored`: how many classes the means are over; `iou`: by class name. Everything but `classes_scored`
        is null when no pixel counts.
    """
    true_K, there_K = counts_3K[TRUE].astype(np.float64), counts_3K[TRUE] > 0
    iou_K = class_iou(counts_3K)
    precision_K, recall_K, f_K = _retrieval(counts_3K)
    total, right = int(counts_3K[TRUE].sum()), int(counts_3K[HITS].sum())
    return {
        "mean_iou": _mean(iou_K, there_K),
        "micro_iou": round(right / (2 * total - right), 6) if total else None,
        "frequency_weighted_iou": round(float((iou_K * true_K).sum() / total), 6) if total else None,
        "pixel_accuracy": round(right / total, 6) if total else None,
        "precision": _mean(precision_K, there_K),
        "recall": _mean(recall_K, there_K),
        "f_score": _mean(f_K, there_K),
        "classes_scored": int(there_K.sum()),
        "iou": _by_name(names, iou_K, there_K),
    }


def class_scores(counts_3K: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """`pixels`, `precision`, `recall` and `f_score` of each class; null for a class without true pixels."""
    there_K = counts_3K[TRUE] > 0
    columns = [_by_name(names, values_K, there_K) for values_K in _retrieval(counts_3K)]
    return {
        name: {"pixels": int(pixels)}
        | {key: column[name] for key, column in zip(("precision", "recall", "f_score"), columns, strict=True)}
        for name, pixels in zip(names, counts_3K[TRUE], strict=True)
    }


def class_iou(counts_3K: np.ndarray) -> np.ndarray:
    """Intersection over union by class; 0 where there is neither. Leading dimensions stay."""
    true, predicted, hits = (counts_3K[..., row, :] for row in (TRUE, PREDICTED, HITS))
    return _share(hits, true + predicted - hits)


def paper_iou(counts_N3K: np.ndarray) -> float | None:
    """The study's own "mean IoU", for comparison with its tables and with nothing else.

    Intersections and unions are summed over all pixels and classes of a batch of 32 chips, in the order of the list;
    the batches' ratios are averaged, a last, smaller one weighted like the rest. Ignored pixels are left out here
    too. None when no pixel counts.
    """
    batches = [counts_N3K[start : start + PAPER_BATCH].sum(axis=0) for start in range(0, len(counts_N3K), PAPER_BATCH)]
    pairs = [(int(counts_3K[HITS].sum()), int(counts_3K[TRUE].sum())) for counts_3K in batches]
    ratios = [right / (2 * total - right) for right, total in pairs if total]
    return round(float(np.mean(ratios)), 6) if ratios else None


def _retrieval(counts_3K: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Precision, recall and F-score by class."""
    true_K, predicted_K, hits_K = counts_3K
    return _share(hits_K, predicted_K), _share(hits_K, true_K), _share(2 * hits_K, true_K + predicted_K)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """`part / whole`, 0 where there is nothing."""
    return np.asarray(np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0))


def _mean(values_K: np.ndarray, there_K: np.ndarray) -> float | None:
    return round(float(values_K[there_K].mean()), 6) if there_K.any() else None


def _by_name(names: Sequence[str], values_K: np.ndarray, there_K: np.ndarray) -> dict[str, float | None]:
    return {
        name: round(float(value), 6) if there else None
        for name, value, there in zip(names, values_K, there_K, strict=True)
    }
