"""Every pixel of farmland lies in a field of the asked size, at a known distance from its border."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.sample.noise import Rng
from pipeline.sources.sample.parcels import SUBPIXELS, generate_parcels

SHAPE = (120, 150)


def test_the_width_of_parcels_is_within_its_range() -> None:
    parcels = generate_parcels(SHAPE, 0, (10, 20), (40, 60), Rng(1))
    widths = [np.diff(np.flatnonzero(np.diff(column))) for column in parcels.field_HW.T]
    assert 10 <= min(width.min() for width in widths) <= max(width.max() for width in widths) <= 20


@settings(max_examples=25)
@given(heading=st.integers(0, 63), seed=st.integers(0, 1000))
def test_every_pixel_has_a_field_and_a_position_in_it(heading: int, seed: int) -> None:
    parcels = generate_parcels(SHAPE, heading, (5, 12), (9, 20), Rng(seed))
    assert parcels.field_HW.shape == SHAPE
    assert 0 <= parcels.field_HW.min() <= parcels.field_HW.max() < parcels.count
    assert parcels.across_HW.min() == 0
    assert 0 <= parcels.border_HW.min() <= parcels.border_HW.max() <= 6


@pytest.mark.parametrize("heading", [0, 7, 16, 40])
def test_distances_across_the_rows_are_in_16ths_of_a_pixel(heading: int) -> None:
    parcels = generate_parcels(SHAPE, heading, (5, 12), (9, 20), Rng(2))
    down, right = np.gradient(parcels.across_HW.astype(float) / SUBPIXELS)
    assert np.hypot(down, right).mean() == pytest.approx(1, abs=0.01)


def test_the_border_distance_is_0_on_both_sides_of_a_border() -> None:
    parcels = generate_parcels((60, 1), 0, (6, 9), (50, 60), Rng(3))
    changes = np.flatnonzero(np.diff(parcels.field_HW[:, 0]))
    assert (parcels.border_HW[changes, 0] == 0).all()
    assert (parcels.border_HW[changes + 1, 0] == 0).all()
