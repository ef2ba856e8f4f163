"""Segmentation scores from pixel counts by class; see `pipeline.scoring.counts` for their layout.

torchmetrics and scikit-learn score pixels, not counts: they would need every pixel again for each group that an
interval leaves out, and have no null for a class without true pixels. `benchmarks/score_oracles.py` compares with them.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from pipeline.scoring.counts import HITS, PREDICTED, TRUE

PAPER_BATCH = 32
"""Batch size of the study, which averaged its scores over batches."""


def scores(counts_3K: np.ndarray, names: Sequence[str]) -> dict[str, Any]:
    """Score a whole set, rounded to six digits.

    The means are over the classes with true pixels, whatever the model predicts: it can neither exclude a class by
    never predicting it nor add one by predicting it wrongly. Other classes are null.

    Returns:
        `mean_iou`: macro mean of the intersection over union; `micro_iou`: sum of intersections over sum of unions;
        `frequency_weighted_iou`: mean weighted by true pixels; `pixel_accuracy`: share of correct pixels;
        `precision`, `recall`, `f_score`: macro means (precision is 0 for a class that is never predicted);
        `classes_scored`: number of classes in the means; `iou`: by class name. All but `classes_scored` are null
        if there are no labelled pixels.
    """
    true_K, present_K = counts_3K[TRUE].astype(np.float64), counts_3K[TRUE] > 0
    iou_K = class_iou(counts_3K)
    precision_K, recall_K, f_K = _retrieval(counts_3K)
    total, correct = int(counts_3K[TRUE].sum()), int(counts_3K[HITS].sum())
    return {
        "mean_iou": _mean(iou_K, present_K),
        "micro_iou": round(correct / (2 * total - correct), 6) if total else None,
        "frequency_weighted_iou": round(float((iou_K * true_K).sum() / total), 6) if total else None,
        "pixel_accuracy": round(correct / total, 6) if total else None,
        "precision": _mean(precision_K, present_K),
        "recall": _mean(recall_K, present_K),
        "f_score": _mean(f_K, present_K),
        "classes_scored": int(present_K.sum()),
        "iou": by_name(names, iou_K, present_K),
    }


def disagreement(counts_3K: np.ndarray) -> dict[str, float | None]:
    """Divide the share of wrong pixels into two, rounded to six digits; null if there are no labelled pixels.

    Pontius and Millones 2011, "Death to Kappa". `quantity_disagreement`: what remains if predicted pixels may be
    rearranged, because a class has too many or too few; `allocation_disagreement`: what rearranging would correct.
    """
    true_K, predicted_K, hits_K = counts_3K
    total = int(true_K.sum())
    quantity, allocation = np.abs(true_K - predicted_K).sum() / 2, (np.minimum(true_K, predicted_K) - hits_K).sum()
    return {
        "quantity_disagreement": round(float(quantity / total), 6) if total else None,
        "allocation_disagreement": round(float(allocation / total), 6) if total else None,
    }


def class_scores(counts_3K: np.ndarray, names: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Score each class; null for a class without true pixels.

    Returns:
        by class name: `pixels`; `users_accuracy`, which is its precision; `producers_accuracy`, its recall; `f_score`.
    """
    present_K = counts_3K[TRUE] > 0
    users, producers, f_score = (by_name(names, values_K, present_K) for values_K in _retrieval(counts_3K))
    return {
        name: {
            "pixels": int(pixels),
            "users_accuracy": users[name],
            "producers_accuracy": producers[name],
            "f_score": f_score[name],
        }
        for name, pixels in zip(names, counts_3K[TRUE], strict=True)
    }


def class_iou(counts_3K: np.ndarray) -> np.ndarray:
    """Compute intersection over union by class, 0 if the union is empty; keep leading dimensions."""
    true, predicted, hits = (counts_3K[..., row, :] for row in (TRUE, PREDICTED, HITS))
    return _share(hits, true + predicted - hits)


def paper_iou(counts_N3K: np.ndarray) -> float | None:
    """Compute the study's own "mean IoU", only to compare with its tables.

    Intersections and unions are summed over all pixels and classes of a batch of 32 chips, in the order of the list,
    and the ratios averaged over batches, a smaller last batch with the same weight. Ignored pixels are not counted.
    None if there are no labelled pixels.
    """
    batches = [counts_N3K[start : start + PAPER_BATCH].sum(axis=0) for start in range(0, len(counts_N3K), PAPER_BATCH)]
    pairs = [(int(counts_3K[HITS].sum()), int(counts_3K[TRUE].sum())) for counts_3K in batches]
    ratios = [correct / (2 * total - correct) for correct, total in pairs if total]
    return round(float(np.mean(ratios)), 6) if ratios else None


def _retrieval(counts_3K: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Compute precision, recall and F-score by class."""
    true_K, predicted_K, hits_K = counts_3K
    return _share(hits_K, predicted_K), _share(hits_K, true_K), _share(2 * hits_K, true_K + predicted_K)


def _share(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Divide `part` by `whole`, 0 where `whole` is 0."""
    return np.asarray(np.divide(part, whole, out=np.zeros(part.shape), where=whole > 0))


def _mean(values_K: np.ndarray, present_K: np.ndarray) -> float | None:
    return round(float(values_K[present_K].mean()), 6) if present_K.any() else None


def by_name(names: Sequence[str], values_K: np.ndarray, known_K: np.ndarray) -> dict[str, float | None]:
    """Map each class to its value, rounded to six digits, or to None where it is not known."""
    return {
        name: round(float(value), 6) if known else None
        for name, value, known in zip(names, values_K, known_K, strict=True)
    }
