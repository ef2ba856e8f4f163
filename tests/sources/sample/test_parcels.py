import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.sample.noise import Dice
from pipeline.sources.sample.parcels import SUB, lay_parcels

SHAPE = (120, 150)


def test_upright_parcels_are_strips_between_the_bounds() -> None:
    parcels = lay_parcels(SHAPE, 0, (10, 20), (40, 60), Dice(1))
    widths = [np.diff(np.flatnonzero(np.diff(column))) for column in parcels.field_HW.T]
    assert 10 <= min(width.min() for width in widths) <= max(width.max() for width in widths) <= 20


@settings(max_examples=25)
@given(heading=st.integers(0, 63), seed=st.integers(0, 1000))
def test_every_pixel_has_a_field_and_a_place_in_it(heading: int, seed: int) -> None:
    parcels = lay_parcels(SHAPE, heading, (5, 12), (9, 20), Dice(seed))
    assert parcels.field_HW.shape == SHAPE
    assert 0 <= parcels.field_HW.min() <= parcels.field_HW.max() < parcels.count
    assert min(parcels.across_HW.min(), parcels.along_HW.min()) == 0
    assert 0 <= parcels.border_HW.min() <= parcels.border_HW.max() <= 6


@pytest.mark.parametrize("heading", [0, 7, 16, 40])
def test_distances_along_and_across_are_in_16ths_of_a_pixel(heading: int) -> None:
    parcels = lay_parcels(SHAPE, heading, (5, 12), (9, 20), Dice(2))
    along, across = (values.astype(float) / SUB for values in (parcels.along_HW, parcels.across_HW))
    step = np.hypot(along[5, 45] - along[5, 5], across[5, 45] - across[5, 5])
    assert step == pytest.approx(40, abs=0.3)


def test_borders_are_where_the_next_field_begins() -> None:
    parcels = lay_parcels((60, 1), 0, (6, 9), (50, 60), Dice(3))
    changes = np.flatnonzero(np.diff(parcels.field_HW[:, 0]))
    assert (parcels.border_HW[changes, 0] == 0).all()
    assert (parcels.border_HW[changes + 1, 0] == 0).all()
