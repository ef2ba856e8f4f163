import numpy as np
import pytest

from pipeline.sources.sample.shapes import direction
from pipeline.sources.sample.trees import grow

SUN = direction(16)


def chance(value: int) -> np.ndarray:
    return np.full((90, 130), value, np.int32)


def test_no_chance_no_trees_and_full_chance_a_closed_wood() -> None:
    assert not grow(chance(0), 10, SUN, 1).tree_HW.any()
    assert grow(chance(1024), 10, SUN, 1).tree_HW.mean() > 0.8


@pytest.mark.parametrize("cell", [7, 10, 21])
def test_maps_have_the_size_that_was_asked_for(cell: int) -> None:
    assert {values.shape for values in vars(grow(chance(500), cell, SUN, 1)).values()} == {(90, 130)}


def test_a_crown_is_of_one_kind_and_about_as_wide_as_a_cell() -> None:
    canopy = grow(chance(60), 12, SUN, 4)
    kinds, sizes = np.unique(canopy.kind_HW[canopy.tree_HW], return_counts=True)
    assert len(kinds) > 2
    assert np.median(sizes) == pytest.approx(12 * 12 * 1.4, rel=0.5)


def test_crowns_are_lighter_towards_the_sun() -> None:
    canopy = grow(chance(40), 20, SUN, 2)
    rows, columns = np.nonzero(canopy.tree_HW)
    for kind in np.unique(canopy.kind_HW[canopy.tree_HW]):
        here = canopy.kind_HW[rows, columns] == kind
        middle = (rows[here].min() + rows[here].max()) / 2
        light = canopy.light_HW[rows[here], columns[here]]
        below = rows[here] > middle + 2
        above = rows[here] < middle - 2
        if below.sum() > 20 and above.sum() > 20:
            assert light[below].mean() > light[above].mean()  # the sun stands below, in the south


def test_trees_grow_where_their_foot_may_stand() -> None:
    half = chance(0)
    half[:, :60] = 1024
    tree_HW = grow(half, 10, SUN, 3).tree_HW
    assert tree_HW[:, :50].mean() > 0.8
    assert not tree_HW[:, 75:].any()
