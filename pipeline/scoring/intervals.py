"""How far a score could be off because the test set is only a sample: bootstrap over independent units.

Chips of one orthophoto, or of one Sentinel tile, share light, season and landscape, so resampling chips would feign
more independence than there is. The intervals cover the sampling of the test set, not the chance of training.
"""

import numpy as np

from pipeline.scoring.counts import HITS, PREDICTED, TRUE

LEAST_UNITS = 10
"""Fewer independent units say too little of how they vary."""
LEAST_SEEDS = 5
"""Fewer paired trainings say too little of how training varies."""
DRAWS = 4000
LEVELS = (2.5, 97.5)
"""Percentiles: a 95 % interval."""


def mean_iou(counts_3K: np.ndarray, scored_K: np.ndarray) -> np.ndarray:
    """Mean IoU over a fixed set of classes; leading dimensions stay.

    A class of the set that is neither there nor predicted has no IoU and is left out of that one mean; NaN when that
    holds for all.

    Args:
        counts_3K: see `pipeline.scoring.counts`.
        scored_K: bool, the classes with true pixels in the whole set.
    """
    true, predicted, hits = (counts_3K[..., row, :][..., scored_K] for row in (TRUE, PREDICTED, HITS))
    union = true + predicted - hits
    iou = np.divide(hits, union, out=np.zeros(union.shape), where=union > 0)
    classes = (union > 0).sum(axis=-1)
    return np.asarray(np.divide(iou.sum(axis=-1), classes, out=np.full(classes.shape, np.nan), where=classes > 0))


def interval(counts_U3K: np.ndarray, seed: int = 0) -> tuple[float, float] | None:
    """95 % interval of the mean IoU over resampled units; None with fewer than `LEAST_UNITS`."""
    if len(counts_U3K) < LEAST_UNITS:
        return None
    scored_K = counts_U3K[:, TRUE].sum(axis=0) > 0
    weights_DU = _draws(len(counts_U3K), seed)
    totals_D3K = np.tensordot(weights_DU, counts_U3K, axes=1)
    return _percentiles(mean_iou(totals_D3K, scored_K))


def difference(ours_SU3K: np.ndarray, theirs_SU3K: np.ndarray) -> float:
    """Mean over the paired trainings of how much higher the mean IoU of `theirs` is."""
    scored_K = _scored(ours_SU3K)
    return float((mean_iou(theirs_SU3K.sum(axis=1), scored_K) - mean_iou(ours_SU3K.sum(axis=1), scored_K)).mean())


def difference_interval(ours_SU3K: np.ndarray, theirs_SU3K: np.ndarray, seed: int = 0) -> tuple[float, float] | None:
    """95 % interval of `difference`: units are resampled, the same for both, and so are the paired trainings.

    Args:
        ours_SU3K: counts of S trainings on U units.
        theirs_SU3K: the same units, trainings paired in order.
        seed: of the resampling.

    Returns:
        Low and high; None with fewer than `LEAST_UNITS` units. With one training it covers the test set alone.
    """
    trainings, units = ours_SU3K.shape[:2]
    if units < LEAST_UNITS:
        return None
    scored_K = _scored(ours_SU3K)
    weights_DU = _draws(units, seed)
    # (draws, trainings): how much higher theirs are on the resampled units
    gains_DS = np.stack(
        [
            mean_iou(np.tensordot(weights_DU, theirs, axes=1), scored_K)
            - mean_iou(np.tensordot(weights_DU, ours, axes=1), scored_K)
            for ours, theirs in zip(ours_SU3K, theirs_SU3K, strict=True)
        ],
        axis=1,
    )
    weights_DS = _draws(trainings, seed + 1)
    return _percentiles((gains_DS * weights_DS).sum(axis=1) / trainings)


def _scored(counts_SU3K: np.ndarray) -> np.ndarray:
    return np.asarray(counts_SU3K[0, :, TRUE].sum(axis=0) > 0)


def _draws(count: int, seed: int) -> np.ndarray:
    """How often each of `count` is drawn, with replacement: (DRAWS, count)."""
    return np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS)


def _percentiles(values_D: np.ndarray) -> tuple[float, float]:
    low, high = np.nanpercentile(values_D, LEVELS)
    return round(float(low), 6), round(float(high), 6)
