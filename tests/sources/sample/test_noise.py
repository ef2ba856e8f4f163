import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.sample.noise import (
    TOP,
    Dice,
    derive,
    displaced,
    fractal_noise,
    quantile,
    signed,
    softened,
    value_noise,
    white_noise,
)

SEEDS = st.integers(0, 2**32 - 1)


def test_known_values_stay() -> None:
    assert derive(1, "fields", 2) == 2058922980
    assert [Dice(1).below(1000), Dice(2).below(1000)] == [465, 110]
    assert white_noise((2, 3), 5).tolist() == [[808, 81, 130], [11, 317, 838]]


@given(seed=SEEDS, low=st.integers(-50, 50), width=st.integers(0, 90))
def test_dice_stay_within_their_limits(seed: int, low: int, width: int) -> None:
    dice = Dice(seed)
    assert all(low <= dice.between(low, low + width) <= low + width for _ in range(20))


@given(seed=SEEDS)
def test_shuffling_keeps_every_value(seed: int) -> None:
    assert sorted(Dice(seed).shuffled(range(30))) == list(range(30))


def test_dice_fall_on_every_side_about_as_often() -> None:
    dice = Dice(3)
    counts = np.bincount([dice.below(6) for _ in range(6000)])
    assert counts == pytest.approx(np.full(6, 1000), abs=120)


def test_names_give_independent_seeds() -> None:
    assert len({derive(seed, name) for seed in range(50) for name in ("a", "b", "ab")}) == 150


@given(seed=SEEDS, cell=st.integers(2, 70), octaves=st.integers(1, 6))
def test_noises_are_whole_numbers_of_ten_bits(seed: int, cell: int, octaves: int) -> None:
    for noise in (
        white_noise((40, 50), seed),
        value_noise((40, 50), cell, seed),
        fractal_noise((40, 50), cell, octaves, seed),
    ):
        assert noise.shape == (40, 50)
        assert noise.dtype == np.int32
        assert noise.min() >= 0
        assert noise.max() <= TOP


def test_white_noise_is_even_and_without_neighbours() -> None:
    noise = white_noise((200, 200), 9)
    assert np.bincount(noise.ravel() >> 7, minlength=8) == pytest.approx(np.full(8, 5000), abs=400)
    assert abs(np.corrcoef(noise[:, 1:].ravel(), noise[:, :-1].ravel())[0, 1]) < 0.02


def test_value_noise_is_smooth_and_octaves_make_it_rough() -> None:
    smooth, rough = value_noise((200, 200), 50, 4), fractal_noise((200, 200), 50, 5, 4)
    steps = [np.abs(np.diff(noise, axis=1)).max() for noise in (smooth, rough)]
    assert steps[0] < 35 < steps[1]


def test_noise_is_spread_around_zero() -> None:
    assert signed(np.array([0, 512, 1023]), 100).tolist() == [-100, 0, 99]


def test_displacing_moves_values_and_stays_on_the_grid() -> None:
    values = np.arange(6).reshape(2, 3)
    ones, zeros = np.ones((2, 3), int), np.zeros((2, 3), int)
    assert displaced(values, ones, zeros).tolist() == [[3, 4, 5], [3, 4, 5]]
    assert displaced(values, zeros, -2 * ones).tolist() == [[0, 0, 0], [3, 3, 3]]


def test_softening_keeps_even_ground_and_spreads_a_point() -> None:
    assert (softened(np.full((5, 5), 80, np.int32)) == 80).all()
    point = np.zeros((5, 5), np.int32)
    point[2, 2] = 160
    assert softened(point)[1:4, 1:4].tolist() == [[10, 20, 10], [20, 40, 20], [10, 20, 10]]


def test_a_quantile_is_the_value_that_so_many_are_below() -> None:
    values = np.tile(np.arange(1000, dtype=np.int32)[:, None], (1, 40))
    assert [quantile(values, permille) for permille in (0, 500, 1000)] == [0, 500, 996]
