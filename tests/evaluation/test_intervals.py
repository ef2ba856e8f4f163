"""95 % intervals of scores and of their differences, against plain loops and the t intervals of scipy."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats

from pipeline.evaluation.intervals import (
    MIN_GROUPS,
    Interval,
    difference,
    difference_interval,
    error_limits,
    mean_iou,
    mean_iou_interval,
    share_limits,
)
from pipeline.scoring.counts import HITS, PREDICTED, TRUE

NAMES = ("field", "wood")
THREE = ("field", "wood", "water")


def make_groups(*shares: float, pixels: int = 1000) -> np.ndarray:
    """Groups with two classes of `pixels` each; `shares` of them are predicted correctly."""
    correct = np.round(np.array(shares) * pixels).astype(np.int64)
    ones = np.ones((len(shares), 2), np.int64)
    hits = correct[:, None] * ones
    return np.stack([pixels * ones, pixels * ones, hits], axis=1)


def required(result: Interval | None) -> Interval:
    assert result is not None
    return result


def with_rare(present: int, count: int = 12) -> np.ndarray:
    """Groups of three classes; the last is in `present` groups and is predicted in all."""
    counts_G3K = np.zeros((count, 3, 3), np.int64)
    counts_G3K[:, :, :2] = make_groups(*np.linspace(0.4, 0.8, count))
    counts_G3K[:, PREDICTED, 2] = 10
    for number in range(present):
        counts_G3K[number, :, 2] = (100, 80, 30 + 20 * number % 40)
    return counts_G3K


def naive_iou(groups: list[np.ndarray], number: int) -> float:
    true, predicted, hits = (sum(int(group[row, number]) for group in groups) for row in (TRUE, PREDICTED, HITS))
    return hits / (true + predicted - hits)


def naive_left_out(counts_G3K: np.ndarray) -> list[float]:
    """Mean IoU without each group, class by class, in plain Python."""
    groups, means = list(counts_G3K), []
    for left in range(len(groups)):
        rest, values = groups[:left] + groups[left + 1 :], []
        for number in range(counts_G3K.shape[2]):
            present = sum(group[TRUE, number] > 0 for group in groups)
            if present:
                values.append(naive_iou(rest if present >= 3 else groups, number))
        means.append(sum(values) / len(values))
    return means


def naive_t(values: list[float]) -> float:
    """Half the width of the t interval of a jackknife."""
    count, mean = len(values), sum(values) / len(values)
    second, fourth = (sum((value - mean) ** power for value in values) / count for power in (2, 4))
    freedom = 2 * count / (fourth / second**2 - (count - 3) / (count - 1))
    return float(stats.t.ppf(0.975, min(freedom, count - 1))) * math.sqrt(second * count)


def test_too_few_groups_with_labels_have_no_interval() -> None:
    some, none = make_groups(*np.linspace(0.4, 0.8, MIN_GROUPS)), np.zeros((3, 3, 2), np.int64)
    both, few = np.concatenate([some, none]), np.concatenate([some[1:], none])
    assert required(mean_iou_interval(both, NAMES)) == mean_iou_interval(some, NAMES)
    assert difference_interval(both[None], both[None], NAMES) == difference_interval(some[None], some[None], NAMES)
    assert mean_iou_interval(few, NAMES) is difference_interval(few[None], few[None], NAMES) is None


@pytest.mark.parametrize("share", [0, 0.5, 1])
def test_equal_groups_give_an_approximate_interval_of_no_width(share: float) -> None:
    result = required(mean_iou_interval(make_groups(*[share] * 12), NAMES))
    assert result.low == result.high == pytest.approx(share / (2 - share), abs=1e-6)
    limits = f"{result.low:.4f} to {result.low:.4f}"
    assert result.describe() == f"approximate 95 % interval {limits}: the groups show no variation"


@settings(max_examples=60, deadline=None)
@given(
    arrays(np.int64, st.tuples(st.integers(10, 14), st.just(3), st.just(3)), elements=st.integers(0, 9)),
    st.integers(0, 3),
)
def test_it_agrees_with_a_plain_loop_and_contains_the_score(parts_G3K: np.ndarray, without: int) -> None:
    missed, wrong, hits = parts_G3K.transpose(1, 0, 2)
    counts_G3K = np.stack([missed + hits, wrong + hits, hits], axis=1)
    counts_G3K[without:, [TRUE, HITS], 2] = 0  # the last class is in few groups, or in none
    counts_G3K[:, TRUE, 0] += 1  # every group is labelled
    result = required(mean_iou_interval(counts_G3K, THREE))
    score = float(mean_iou(counts_G3K.sum(axis=0), counts_G3K[:, TRUE].any(axis=0)))
    assert 0 <= result.low <= round(score, 6) <= result.high <= 1
    left_out = naive_left_out(counts_G3K)
    if 0 < score < 1 and np.ptp(left_out) > 1e-9:
        half = naive_t(left_out) / (score * (1 - score))
        assert result.low == pytest.approx(1 / (1 + (1 - score) / score * math.exp(half)), abs=2e-6)
        assert result.high == pytest.approx(1 / (1 + (1 - score) / score * math.exp(-half)), abs=2e-6)


@pytest.mark.parametrize(("present", "held"), [(1, ("water",)), (2, ("water",)), (3, ()), (12, ())])
def test_a_class_in_fewer_than_three_groups_is_held_fixed_and_named(present: int, held: tuple[str, ...]) -> None:
    result = required(mean_iou_interval(with_rare(present), THREE))
    assert result.held_fixed == held
    reasons = {1: "water held fixed, in fewer than 3 groups", 3: "water in only 3 groups"}
    assert result.why_approximate == {**reasons, 2: reasons[1], 12: None}[present]


def test_a_constant_gain_has_a_narrow_interval() -> None:
    random = np.random.default_rng(2)
    shares = random.uniform(0.2, 0.8, 15)
    ours, theirs = make_groups(*shares)[None], make_groups(*(shares + 0.1))[None]
    result, own = required(difference_interval(ours, theirs, NAMES)), required(mean_iou_interval(ours[0], NAMES))
    assert 0 < result.low < difference(ours, theirs) < result.high
    assert result.high - result.low < (own.high - own.low) / 3


def test_training_noise_widens_the_interval() -> None:
    shares = np.full(12, 0.5)
    ours = np.stack([make_groups(*shares)] * 6)
    steady = np.stack([make_groups(*(shares + 0.05))] * 6)
    steps = np.array([-0.2, -0.1, -0.05, 0.05, 0.1, 0.2])
    noisy = np.stack([make_groups(*(shares + 0.05 + step)) for step in steps])
    result = required(difference_interval(ours, steady, NAMES))
    assert result.low == result.high > 0
    # all groups are equal, so there is only training noise: the t interval of a mean of six
    result = required(difference_interval(ours, noisy, NAMES))
    gains = (0.55 + steps) / (1.45 - steps) - 0.5 / 1.5
    expected = stats.t.interval(0.95, 5, gains.mean(), stats.sem(gains))
    assert (result.low, result.high) == pytest.approx(expected, abs=2e-6)
    assert result.low < 0 < result.high


def test_variances_of_groups_and_trainings_add_up() -> None:
    spread, steps = np.linspace(-0.1, 0.1, 12), (-0.03, 0.0, 0.03)
    ours = np.stack([make_groups(*np.full(12, 0.5), pixels=100000)] * 3)
    both = np.stack([make_groups(*(0.5 + spread + step), pixels=100000) for step in steps])
    groups = np.stack([make_groups(*(0.5 + spread), pixels=100000)] * 3)
    trainings = np.stack([make_groups(*np.full(12, 0.5 + step), pixels=100000) for step in steps])

    def half(theirs: np.ndarray) -> float:
        result = required(difference_interval(ours, theirs, NAMES))
        return (result.high - result.low) / 2

    of_groups, of_trainings = half(groups) / stats.t.ppf(0.975, 11), half(trainings) / stats.t.ppf(0.975, 2)
    error = math.hypot(of_groups, of_trainings)
    freedom = error**4 / (of_groups**4 / 11 + of_trainings**4 / 2)
    assert half(both) == pytest.approx(stats.t.ppf(0.975, freedom) * error, rel=0.01)


@settings(max_examples=30, deadline=None)
@given(arrays(np.float64, (2, 3, 11), elements=st.floats(0, 1)))
def test_the_difference_is_antisymmetric_and_within_its_interval(shares: np.ndarray) -> None:
    ours, theirs = (np.stack([make_groups(*shares_G) for shares_G in side]) for side in shares)
    gain, result = difference(ours, theirs), required(difference_interval(ours, theirs, NAMES))
    assert difference(theirs, ours) == pytest.approx(-gain)
    assert -1 <= result.low <= gain + 1e-6
    assert gain - 1e-6 <= result.high <= 1
    back = required(difference_interval(theirs, ours, NAMES))
    assert (back.low, back.high) == pytest.approx((-result.high, -result.low), abs=1e-6)


def test_the_limits_of_a_share_are_those_of_a_mean_iou_with_the_same_values() -> None:
    # of one class without false alarms, IoU is the share of its pixels that are found
    found, pixels = np.arange(40, 64, 2), np.arange(100, 124, 2)
    counts_G3K = np.stack([pixels, found, found], axis=1)[:, :, None]
    result = required(mean_iou_interval(counts_G3K, ("field",)))
    low, high = share_limits(found[:, None], pixels[:, None])
    assert (low.tolist(), high.tolist()) == ([result.low], [result.high])


def test_shares_without_limits() -> None:
    part = np.tile(np.arange(1, 13)[:, None], 4)
    whole = np.full_like(part, 20)
    part[2:, 1] = whole[2:, 1] = 0  # in two groups
    part[3:, 2] = whole[3:, 2] = 0  # in three
    part[:, 3] = whole[:, 3]  # 1 in all groups
    assert np.isnan(share_limits(part, whole)).tolist() == [[False, True, False, True]] * 2
    assert np.isnan(share_limits(part[:9], whole[:9])).all()


def test_limits_of_an_error_are_symmetric_until_they_reach_0_or_1() -> None:
    values = np.linspace(0.09, 0.11, 12)  # the score without each group
    half = naive_t(values.tolist())
    assert error_limits(0.1, values) == pytest.approx((0.1 - half, 0.1 + half), abs=1e-6)
    low, high = error_limits(half / 2, values) or (None, None)
    assert (low, high) == (0, pytest.approx(1.5 * half, abs=1e-6))
    assert error_limits(0.1, values[: MIN_GROUPS - 1]) is None
