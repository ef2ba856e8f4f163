"""95 % confidence intervals of the mean IoU and of its differences: delete-one jackknife over groups.

A group is what was sampled independently: an orthophoto, a Sentinel tile, or images that overlap. Chips of one group
share light, season and landscape, so treating chips as independent would make the intervals too narrow. They cover
the sampling of the test set; those of differences also cover the chance of training when there are several trainings.

Leave out each of G groups in turn, and let d be how far the score over the others lies from the mean of such scores.
Then

- the variance of the score is the sum of d**2. The textbook's jackknife multiplies it by (G-1)/G;
- its degrees of freedom are 2 G / (k - (G-3)/(G-1)), at most G-1, where k is the kurtosis of d (O'Neill 2014, "Some
  useful moment results in sampling problems"). A few large groups, or a class that lies in few of them, make k large;
- limits are at Student's t on the logit of the score, which keeps them within 0 and 1; of differences as they are.

`python -m benchmarks.coverage` simulates how often such intervals hold the truth and compares other methods. Where
every class lies in about half of the groups or more, these do in 93 to 97 % from 11 groups on (of two classes at 11
groups in 89.5 to 92 %), the textbook's jackknife with G-1 degrees of freedom in 88 to 95 %, bootstraps in 67 to 94 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

from pipeline.scoring.counts import TRUE
from pipeline.scoring.scores import class_iou

LEAST_UNITS = 10
"""Fewer groups say too little of how they vary."""
LEAST_SEEDS = 5
"""Fewer paired trainings say too little of how training varies."""
LEAST_GROUPS_OF_A_CLASS = 3
"""A class with true pixels in fewer groups keeps its IoU of the whole test set: they say too little of how it varies.
In `benchmarks/coverage.py` nominal 95 % intervals then hold the truth in 43 to 85 % of the test sets of 11 to 30
groups, and more seldom in larger ones, which is why they are called approximate. So are those with a class in just
three groups: of two classes at 10 or 11 groups, 84 to 85 % of them hold the truth."""
UPPER = 0.975
"""Quantile of the upper limit of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval, rounded to six digits."""

    low: float
    high: float
    held_fixed: tuple[str, ...] = ()
    """Classes in fewer than `LEAST_GROUPS_OF_A_CLASS` groups, whose IoU was taken as known."""
    scarce: tuple[str, ...] = ()
    """Classes in just so many groups."""

    @property
    def why_approximate(self) -> str | None:
        """Why fewer than 90 % of such intervals may hold the truth; None when there is no reason."""
        if self.held_fixed:
            return f"{', '.join(self.held_fixed)} held fixed, in fewer than {LEAST_GROUPS_OF_A_CLASS} groups"
        if self.scarce:
            return f"{', '.join(self.scarce)} in only {LEAST_GROUPS_OF_A_CLASS} groups"
        return "the groups show no variation" if self.low == self.high else None

    def in_words(self, form: str = ".4f") -> str:
        """The limits in the given format, and whether and why they are approximate."""
        limits = f"95 % interval {self.low:{form}} to {self.high:{form}}"
        return f"approximate {limits}: {self.why_approximate}" if self.why_approximate else limits


@dataclass(frozen=True)
class _Variance:
    """A variance, and with how many degrees of freedom it is known."""

    value: float
    freedom: float


def mean_iou(counts_3K: np.ndarray, scored_K: np.ndarray) -> np.ndarray:
    """Mean IoU over a fixed set of classes; leading dimensions stay. NaN when there is no class.

    Args:
        counts_3K: see `pipeline.scoring.counts`.
        scored_K: bool, the classes with true pixels in the whole set.
    """
    iou_K = class_iou(counts_3K)[..., scored_K]
    return np.asarray(iou_K.mean(axis=-1)) if scored_K.any() else np.full(iou_K.shape[:-1], np.nan)


def counted(counts_U3K: np.ndarray) -> np.ndarray:
    """The groups that have pixels that count; others say nothing."""
    return np.asarray(counts_U3K[_labelled(counts_U3K)])


def interval(counts_U3K: np.ndarray, names: Sequence[str]) -> Interval | None:
    """95 % interval of the mean IoU, which it always holds; None with fewer than `LEAST_UNITS` groups that count.

    Args:
        counts_U3K: see `pipeline.scoring.counts`.
        names: of the K classes.
    """
    counts_U3K = counted(counts_U3K)
    if len(counts_U3K) < LEAST_UNITS:
        return None
    score = float(mean_iou(counts_U3K.sum(axis=0), _scored(counts_U3K)))
    low = high = score
    if 0 < score < 1:  # otherwise there is no logit, and no group differs from another
        half = _half_width(_jackknife(_left_out(counts_U3K))) / (score * (1 - score))
        low, high = min(expit(logit(score) - half), score), max(expit(logit(score) + half), score)
    return _interval(low, high, counts_U3K, names)


def difference(ours_SU3K: np.ndarray, theirs_SU3K: np.ndarray) -> float:
    """Mean over the paired trainings of how much higher the mean IoU of `theirs` is."""
    return float(_gains(ours_SU3K, theirs_SU3K).mean())


def difference_interval(ours_SU3K: np.ndarray, theirs_SU3K: np.ndarray, names: Sequence[str]) -> Interval | None:
    """95 % interval of `difference`.

    Its variance is the sum of two: the jackknife's, of the mean gain over the groups of the test set, and that of the
    gains of S trainings about their mean, divided by S, with S-1 degrees of freedom; those of the sum are
    Satterthwaite's. What a single training does better in one group than in another is in both, so the interval is
    rather too wide: in `benchmarks/coverage.py` 95 to 99 % of those over five trainings hold the truth. With that
    part estimated and taken out once, some held it in only 90 %, which a verdict should not risk.

    Args:
        ours_SU3K: counts of S trainings in U groups.
        theirs_SU3K: in the same groups, with the same true pixels; trainings are paired in order.
        names: of the K classes.

    Returns:
        None with fewer than `LEAST_UNITS` groups that count. With one training it covers the test set alone.
    """
    labelled_U = _labelled(ours_SU3K[0])
    if labelled_U.sum() < LEAST_UNITS:
        return None
    ours_SU3K, theirs_SU3K = ours_SU3K[:, labelled_U], theirs_SU3K[:, labelled_U]
    pairs = zip(ours_SU3K, theirs_SU3K, strict=True)
    sampling = _jackknife(np.mean([_left_out(theirs) - _left_out(ours) for ours, theirs in pairs], axis=0))
    gains_S = _gains(ours_SU3K, theirs_SU3K)
    trainings = len(gains_S)
    chance = _Variance(gains_S.var(ddof=1) / trainings, trainings - 1) if trainings > 1 else _Variance(0, 1)
    gain, half = gains_S.mean(), _half_width(_sum(sampling, chance))
    return _interval(max(gain - half, -1), min(gain + half, 1), ours_SU3K[0], names)


def _labelled(counts_U3K: np.ndarray) -> np.ndarray:
    return np.asarray(counts_U3K[:, TRUE].any(axis=1))


def _scored(counts_U3K: np.ndarray) -> np.ndarray:
    return np.asarray(counts_U3K[:, TRUE].any(axis=0))


def _held_fixed(counts_U3K: np.ndarray) -> np.ndarray:
    """Which classes lie in too few groups, (K,)."""
    groups_K = _groups_of(counts_U3K)
    return np.asarray((groups_K > 0) & (groups_K < LEAST_GROUPS_OF_A_CLASS))


def _groups_of(counts_U3K: np.ndarray) -> np.ndarray:
    """In how many groups each class lies, (K,)."""
    return np.asarray((counts_U3K[:, TRUE] > 0).sum(axis=0))


def _gains(ours_SU3K: np.ndarray, theirs_SU3K: np.ndarray) -> np.ndarray:
    """How much higher the mean IoU of `theirs` is, by training."""
    scored_K = _scored(ours_SU3K[0])
    ours_S, theirs_S = (mean_iou(side.sum(axis=1), scored_K) for side in (ours_SU3K, theirs_SU3K))
    return np.asarray(theirs_S - ours_S)


def _left_out(counts_U3K: np.ndarray) -> np.ndarray:
    """Mean IoU over all groups but one, for each (U,); classes in too few groups keep their IoU over all."""
    total_3K = counts_U3K.sum(axis=0)
    iou_UK = np.where(_held_fixed(counts_U3K), class_iou(total_3K), class_iou(total_3K - counts_U3K))
    return np.asarray(iou_UK[:, _scored(counts_U3K)].mean(axis=1))


def _jackknife(left_out_U: np.ndarray) -> _Variance:
    """Variance of a score of which the values with each group left out are given."""
    units, off_U = len(left_out_U), left_out_U - left_out_U.mean()
    value = float((off_U**2).sum())
    if not value:
        return _Variance(0, units - 1)
    kurtosis = units * float((off_U**4).sum()) / value**2
    excess = kurtosis - (units - 3) / (units - 1)
    return _Variance(value, min(2 * units / excess, units - 1))


def _sum(one: _Variance, other: _Variance) -> _Variance:
    """The sum of independent variances; degrees of freedom after Satterthwaite (1946)."""
    value = one.value + other.value
    spread = one.value**2 / one.freedom + other.value**2 / other.freedom
    return _Variance(value, value**2 / spread if spread else one.freedom)


def _half_width(variance: _Variance) -> float:
    return float(stdtrit(variance.freedom, UPPER) * np.sqrt(variance.value))


def _interval(low: float, high: float, counts_U3K: np.ndarray, names: Sequence[str]) -> Interval:
    held_K, scarce_K = _held_fixed(counts_U3K), _groups_of(counts_U3K) == LEAST_GROUPS_OF_A_CLASS
    held, scarce = (
        tuple(name for name, is_so in zip(names, are_K, strict=True) if is_so) for are_K in (held_K, scarce_K)
    )
    return Interval(round(float(low), 6), round(float(high), 6), held, scarce)
