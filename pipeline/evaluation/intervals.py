"""95 % confidence intervals of the mean IoU and of its differences: delete-one jackknife over groups.

A group is one independent sample: an orthophoto, a Sentinel tile, or several that overlap. Chips of a group share
light, season and landscape, so that intervals over chips would be too narrow. The intervals cover the sampling of the
test set; those of differences also cover the randomness of training if there are several trainings.

Leave out each of G groups in turn; let d be the score over the rest minus the mean of these scores. Then

- the variance of the score is the sum of d**2. The textbook jackknife multiplies it by (G-1)/G;
- its degrees of freedom are 2 G / (k - (G-3)/(G-1)), at most G-1, where k is the kurtosis of d (O'Neill 2014, "Some
  useful moment results in sampling problems"). A few large groups, or a class in few groups, make k large;
- the limits use Student's t, on the logit of the score, which keeps them within 0 and 1; of differences and calibration
  errors directly. In `benchmarks/calibration_coverage.py` those of calibration errors cover 92 to 98 %, and would cover
  55 to 96 % on the logit.

`python -m benchmarks.coverage` simulates the coverage of such intervals and compares other methods. If every class is
in about half of the groups or more, coverage is 93 to 97 % from 11 groups on (with two classes and 11 groups 89.5 to
92 %); the textbook jackknife with G-1 degrees of freedom covers 88 to 95 %, bootstraps 67 to 94 %.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit, stdtrit

from pipeline.scoring.counts import TRUE
from pipeline.scoring.scores import class_iou

MIN_GROUPS = 10
"""With fewer groups their variance is too uncertain for an interval."""
MIN_SEEDS = 5
"""With fewer paired trainings their variance is too uncertain for a verdict."""
MIN_GROUPS_PER_CLASS = 3
"""A class with true pixels in fewer groups is held fixed at its IoU of the whole test set: its variance is too
uncertain. In `benchmarks/coverage.py` nominal 95 % intervals then cover the truth in 43 to 85 % of the test sets of 11
to 30 groups, and in fewer of larger ones, which is why they are called approximate. So are those with a class in just
three groups: with two classes and 10 or 11 groups their coverage is 84 to 85 %."""
UPPER = 0.975
"""Quantile of the upper limit of a two-sided 95 % interval."""


@dataclass(frozen=True)
class Interval:
    """A 95 % confidence interval, rounded to six digits."""

    low: float
    high: float
    held_fixed: tuple[str, ...] = ()
    """Classes in fewer than `MIN_GROUPS_PER_CLASS` groups, whose IoU is taken as known."""
    scarce: tuple[str, ...] = ()
    """Classes in exactly that many groups."""

    @property
    def why_approximate(self) -> str | None:
        """Why coverage may be below 90 %; None if there is no reason."""
        if self.held_fixed:
            return f"{', '.join(self.held_fixed)} held fixed, in fewer than {MIN_GROUPS_PER_CLASS} groups"
        if self.scarce:
            return f"{', '.join(self.scarce)} in only {MIN_GROUPS_PER_CLASS} groups"
        return "the groups show no variation" if self.low == self.high else None

    def describe(self, form: str = ".4f") -> str:
        """Format the limits, and add why they are approximate, if they are."""
        limits = f"95 % interval {self.low:{form}} to {self.high:{form}}"
        return f"approximate {limits}: {self.why_approximate}" if self.why_approximate else limits


@dataclass(frozen=True)
class _Variance:
    """A variance with its degrees of freedom."""

    value: float
    freedom: float


def mean_iou(counts_3K: np.ndarray, scored_K: np.ndarray) -> np.ndarray:
    """Average IoU over the given classes; keep leading dimensions.

    Args:
        counts_3K: see `pipeline.scoring.counts`.
        scored_K: bool, the classes with true pixels in the whole set, at least one.
    """
    return np.asarray(class_iou(counts_3K)[..., scored_K].mean(axis=-1))


def labelled_groups(counts_G3K: np.ndarray) -> np.ndarray:
    """Select the groups with labelled pixels; others carry no information."""
    return np.asarray(counts_G3K[_is_labelled(counts_G3K)])


def mean_iou_interval(counts_G3K: np.ndarray, names: Sequence[str]) -> Interval | None:
    """Compute the 95 % interval of the mean IoU; None with fewer than `MIN_GROUPS` labelled groups.

    The interval always contains the score.

    Args:
        counts_G3K: see `pipeline.scoring.counts`.
        names: of the K classes.
    """
    counts_G3K = labelled_groups(counts_G3K)
    if len(counts_G3K) < MIN_GROUPS:
        return None
    score = float(mean_iou(counts_G3K.sum(axis=0), _is_scored(counts_G3K)))
    low, high = logit_limits(score, _leave_one_out(counts_G3K))
    return _interval(low, high, counts_G3K, names)


def share_limits(part_GX: np.ndarray, whole_GX: np.ndarray) -> np.ndarray:
    """Compute the 95 % limits of X shares, each the sum of `part` over the labelled groups divided by that of `whole`.

    Returns:
        limits_2X, low and high, rounded to six digits. NaN with fewer than `MIN_GROUPS` groups; for a share whose
        `whole` is in fewer than `MIN_GROUPS_PER_CLASS` groups; and for one that does not vary, such as 1 in all groups.
    """
    limits_2X = np.full((2, part_GX.shape[1]), np.nan)
    if len(part_GX) < MIN_GROUPS:
        return limits_2X
    part_X, whole_X = part_GX.sum(axis=0), whole_GX.sum(axis=0)
    for share in np.flatnonzero((whole_GX > 0).sum(axis=0) >= MIN_GROUPS_PER_CLASS):
        left_out_G = (part_X - part_GX)[:, share] / (whole_X - whole_GX)[:, share]
        limits = np.round(logit_limits(part_X[share] / whole_X[share], left_out_G), 6)
        if limits[0] < limits[1]:
            limits_2X[:, share] = limits
    return limits_2X


def error_limits(error: float, left_out_G: np.ndarray) -> tuple[float, float] | None:
    """Compute the 95 % limits of an error between 0 and 1, rounded to six digits; None with fewer than `MIN_GROUPS`.

    Args:
        error: over all groups.
        left_out_G: without each group.
    """
    if len(left_out_G) < MIN_GROUPS:
        return None
    half = _half_width(_jackknife(left_out_G))
    return round(max(error - half, 0.0), 6), round(min(error + half, 1.0), 6)


def difference(first_SG3K: np.ndarray, second_SG3K: np.ndarray) -> float:
    """Subtract the mean IoU of `first` from that of `second`, averaged over the paired trainings."""
    return float(_gains(first_SG3K, second_SG3K).mean())


def difference_interval(first_SG3K: np.ndarray, second_SG3K: np.ndarray, names: Sequence[str]) -> Interval | None:
    """Compute the 95 % interval of `difference`.

    Its variance is the sum of the jackknife's, of the mean gain over the groups of the test set, and of the variance of
    the gains of S trainings divided by S, with S-1 degrees of freedom; those of the sum are Satterthwaite's. The
    interaction of training and group is in both, so that the interval is rather too wide: in `benchmarks/coverage.py`
    those over five trainings cover 95 to 99 %. With the interaction estimated and subtracted once, some covered only
    90 %, too little for a verdict.

    Args:
        first_SG3K: counts of S trainings in G groups.
        second_SG3K: in the same groups, with the same true pixels; trainings are paired in order.
        names: of the K classes.

    Returns:
        None with fewer than `MIN_GROUPS` labelled groups. With one training it covers the test set alone.
    """
    labelled_G = _is_labelled(first_SG3K[0])
    if labelled_G.sum() < MIN_GROUPS:
        return None
    first_SG3K, second_SG3K = first_SG3K[:, labelled_G], second_SG3K[:, labelled_G]
    pairs = zip(first_SG3K, second_SG3K, strict=True)
    sampling = _jackknife(np.mean([_leave_one_out(second) - _leave_one_out(first) for first, second in pairs], axis=0))
    gains_S = _gains(first_SG3K, second_SG3K)
    trainings = len(gains_S)
    training = _Variance(gains_S.var(ddof=1) / trainings, trainings - 1) if trainings > 1 else _Variance(0, 1)
    gain, half = gains_S.mean(), _half_width(_sum(sampling, training))
    return _interval(max(gain - half, -1), min(gain + half, 1), first_SG3K[0], names)


def _is_labelled(counts_G3K: np.ndarray) -> np.ndarray:
    return np.asarray(counts_G3K[:, TRUE].any(axis=1))


def _is_scored(counts_G3K: np.ndarray) -> np.ndarray:
    return np.asarray(counts_G3K[:, TRUE].any(axis=0))


def _is_held_fixed(counts_G3K: np.ndarray) -> np.ndarray:
    return np.asarray(_is_scored(counts_G3K) & (_groups_with_class(counts_G3K) < MIN_GROUPS_PER_CLASS))


def _groups_with_class(counts_G3K: np.ndarray) -> np.ndarray:
    """Count the groups with true pixels of each class, (K,)."""
    return np.asarray((counts_G3K[:, TRUE] > 0).sum(axis=0))


def _gains(first_SG3K: np.ndarray, second_SG3K: np.ndarray) -> np.ndarray:
    """Subtract the mean IoU of `first` from that of `second`, by training."""
    scored_K = _is_scored(first_SG3K[0])
    first_S, second_S = (mean_iou(side.sum(axis=1), scored_K) for side in (first_SG3K, second_SG3K))
    return np.asarray(second_S - first_S)


def _leave_one_out(counts_G3K: np.ndarray) -> np.ndarray:
    """Compute the mean IoU without each group (G,); classes held fixed keep their IoU over all groups."""
    total_3K = counts_G3K.sum(axis=0)
    iou_GK = np.where(_is_held_fixed(counts_G3K), class_iou(total_3K), class_iou(total_3K - counts_G3K))
    return np.asarray(iou_GK[:, _is_scored(counts_G3K)].mean(axis=1))


def _jackknife(left_out_G: np.ndarray) -> _Variance:
    """Estimate the variance of a score from its values without each group."""
    groups, deviation_G = len(left_out_G), left_out_G - left_out_G.mean()
    value = float((deviation_G**2).sum())
    if not value:
        return _Variance(0, groups - 1)
    kurtosis = groups * float((deviation_G**4).sum()) / value**2
    excess = kurtosis - (groups - 3) / (groups - 1)
    return _Variance(value, min(2 * groups / excess, groups - 1))


def _sum(first: _Variance, second: _Variance) -> _Variance:
    """Add independent variances; degrees of freedom after Satterthwaite (1946)."""
    value = first.value + second.value
    spread = first.value**2 / first.freedom + second.value**2 / second.freedom
    return _Variance(value, value**2 / spread if spread else first.freedom)


def logit_limits(score: float, left_out_G: np.ndarray) -> tuple[float, float]:
    """Compute the 95 % limits of a score from its values without each group; they contain the score."""
    if not 0 < score < 1:  # the logit is infinite, and all groups are equal
        return score, score
    half = _half_width(_jackknife(left_out_G)) / (score * (1 - score))
    return min(expit(logit(score) - half), score), max(expit(logit(score) + half), score)


def _half_width(variance: _Variance) -> float:
    return float(stdtrit(variance.freedom, UPPER) * np.sqrt(variance.value))


def _interval(low: float, high: float, counts_G3K: np.ndarray, names: Sequence[str]) -> Interval:
    fixed_K, scarce_K = _is_held_fixed(counts_G3K), _groups_with_class(counts_G3K) == MIN_GROUPS_PER_CLASS
    held_fixed, scarce = (
        tuple(name for name, selected in zip(names, selected_K, strict=True) if selected)
        for selected_K in (fixed_K, scarce_K)
    )
    return Interval(round(float(low), 6), round(float(high), 6), held_fixed, scarce)
