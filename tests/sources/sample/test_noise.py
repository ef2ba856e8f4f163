"""Noise is within ten bits, and borders move by every offset up to their reach."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.sources.sample.noise import (
    NOISE_MAX,
    fractal_noise,
    perturb_borders,
    smooth,
    top_share,
    value_noise,
    white_noise,
)

SEEDS = st.integers(0, 2**32 - 1)


@given(seed=SEEDS, cell=st.integers(2, 70), octaves=st.integers(1, 6))
def test_noise_is_an_integer_of_ten_bits(seed: int, cell: int, octaves: int) -> None:
    for noise in (
        white_noise((40, 50), seed),
        value_noise((40, 50), cell, seed),
        fractal_noise((40, 50), cell, octaves, seed),
    ):
        assert noise.shape == (40, 50)
        assert noise.dtype == np.int32
        assert noise.min() >= 0
        assert noise.max() <= NOISE_MAX


def test_smoothing_keeps_a_constant_and_spreads_a_point() -> None:
    assert (smooth(np.full((5, 5), 80, np.int32)) == 80).all()
    point = np.zeros((5, 5), np.int32)
    point[2, 2] = 160
    assert smooth(point)[1:4, 1:4].tolist() == [[10, 20, 10], [20, 40, 20], [10, 20, 10]]


@pytest.mark.parametrize("permille", [0, 20, 500])
def test_the_top_share_is_the_highest_pixels(permille: int) -> None:
    score_HW = np.arange(40_000).reshape(200, 200)
    top_HW = top_share(score_HW, permille)
    assert top_HW.mean() == pytest.approx(permille / 1000, abs=0.02)
    assert not top_HW.any() or score_HW[top_HW].min() > score_HW[~top_HW].max()


@pytest.mark.parametrize("reach", [1, 3])
def test_borders_are_perturbed_by_every_offset_up_to_the_reach(reach: int) -> None:
    rows_HW = np.tile(np.arange(640)[:, None], (1, 640))
    offset_HW = perturb_borders(rows_HW, reach, 37, (1, 2)) - rows_HW
    assert set(np.unique(offset_HW[reach:-reach])) == set(range(-reach, reach + 1))
