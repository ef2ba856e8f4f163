import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.scoring.intervals import LEAST_UNITS, difference, difference_interval, interval, mean_iou

BOTH = np.array([True, True])


def units(*shares: float, pixels: int = 1000) -> np.ndarray:
    """Units with two classes of `pixels` each, of which the given share is right."""
    right = np.round(np.array(shares) * pixels).astype(np.int64)
    ones = np.ones((len(shares), 2), np.int64)
    hits = right[:, None] * ones
    return np.stack([pixels * ones, pixels * ones, hits], axis=1)


def test_mean_iou_by_head() -> None:
    counts = np.array([[10, 0], [8, 2], [8, 0]])
    assert mean_iou(counts, np.array([True, False])) == pytest.approx(0.8)
    assert mean_iou(counts, BOTH) == pytest.approx(0.4)  # the second class is predicted, so it counts 0


def test_a_class_that_is_nowhere_is_left_out_and_nothing_at_all_is_nan() -> None:
    assert mean_iou(np.array([[10, 0], [8, 0], [8, 0]]), BOTH) == pytest.approx(0.8)
    assert np.isnan(mean_iou(np.zeros((3, 2)), BOTH))


def test_too_few_units_have_no_interval() -> None:
    few = units(*[0.5] * (LEAST_UNITS - 1))
    assert interval(few) is None
    assert difference_interval(few[None], few[None]) is None
    assert interval(units(*[0.5] * LEAST_UNITS)) is not None


def test_equal_units_have_no_width() -> None:
    low, high = interval(units(*[0.5] * 12)) or (0, 0)
    assert low == high == pytest.approx(500 / 1500, abs=1e-6)


def test_the_interval_is_that_of_a_mean_where_theory_knows_it() -> None:
    # IoU is h / (2 - h), nearly straight over so small a range: standard error of the mean times 1.96
    random = np.random.default_rng(1)
    shares = 0.6 + 0.02 * random.standard_normal(200)
    low, high = interval(units(*shares, pixels=100000)) or (0, 0)
    mean = shares.mean()
    slope = 2 / (2 - mean) ** 2
    width = 2 * 1.96 * shares.std() / np.sqrt(200) * slope
    assert high - low == pytest.approx(width, rel=0.08)
    assert (low + high) / 2 == pytest.approx(mean / (2 - mean), abs=width / 10)


def test_it_covers_the_truth_about_as_often_as_it_says() -> None:
    truth = interval(units(0.7))  # too few: only to name the value below
    assert truth is None
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(200):
        low, high = interval(units(*np.clip(random.normal(0.7, 0.1, 30), 0, 1))) or (0, 0)
        hits += low <= 0.7 / 1.3 <= high
    assert 0.88 <= hits / 200 <= 0.99


@settings(max_examples=20, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=10, max_size=25), st.integers(0, 99))
def test_the_score_lies_within_and_the_seed_decides(shares: list[float], seed: int) -> None:
    counts = units(*shares)
    low, high = interval(counts, seed) or (1, 0)
    assert low - 1e-6 <= mean_iou(counts.sum(axis=0), BOTH) <= high + 1e-6
    assert interval(counts, seed) == (low, high)


def test_a_constant_gain_is_certain_though_both_scores_are_not() -> None:
    random = np.random.default_rng(2)
    shares = random.uniform(0.2, 0.8, 15)
    ours, theirs = units(*shares)[None], units(*(shares + 0.1))[None]
    low, high = difference_interval(ours, theirs) or (0, 0)
    own_low, own_high = interval(ours[0]) or (0, 0)
    assert 0 < low < difference(ours, theirs) < high
    assert high - low < (own_high - own_low) / 3


def test_training_noise_widens_the_interval() -> None:
    shares = np.full(12, 0.5)
    ours = np.stack([units(*shares)] * 6)
    steady = np.stack([units(*(shares + 0.05))] * 6)
    noisy = np.stack([units(*(shares + 0.05 + step)) for step in (-0.2, -0.1, -0.05, 0.05, 0.1, 0.2)])
    low, high = difference_interval(ours, steady) or (0, 0)
    assert low == high > 0
    low, high = difference_interval(ours, noisy) or (0, 0)
    assert low < 0 < high


def test_the_difference_is_antisymmetric() -> None:
    ours, theirs = (np.stack([units(*np.linspace(a, a + 0.3, 11))] * 2) for a in (0.2, 0.5))
    assert difference(ours, theirs) == pytest.approx(-difference(theirs, ours))
    low, high = difference_interval(ours, theirs) or (0, 0)
    assert difference_interval(theirs, ours) == pytest.approx((-high, -low), abs=1e-6)
