"""Tree crowns stand where trees may grow, as wide as their distance, lit by the sun."""

import numpy as np
import pytest

from pipeline.sources.sample.shapes import direction
from pipeline.sources.sample.trees import grow_canopy

SUN = direction(16)


def uniform(value: int) -> np.ndarray:
    return np.full((90, 130), value, np.int32)


def test_probability_0_grows_no_trees_and_1024_a_closed_wood() -> None:
    assert not grow_canopy(uniform(0), 10, SUN, 1).tree_HW.any()
    assert grow_canopy(uniform(1024), 10, SUN, 1).tree_HW.mean() > 0.8


def test_a_crown_is_of_one_species_and_about_as_wide_as_a_cell() -> None:
    canopy = grow_canopy(uniform(60), 12, SUN, 4)
    species, sizes = np.unique(canopy.species_HW[canopy.tree_HW], return_counts=True)
    assert len(species) > 2
    assert np.median(sizes) == pytest.approx(12 * 12 * 1.4, rel=0.5)


def test_crowns_are_lighter_on_the_side_facing_the_sun() -> None:
    canopy = grow_canopy(uniform(40), 20, SUN, 2)
    rows, columns = np.nonzero(canopy.tree_HW)
    compared = 0
    for species in np.unique(canopy.species_HW[canopy.tree_HW]):
        crown = canopy.species_HW[rows, columns] == species
        middle = (rows[crown].min() + rows[crown].max()) / 2
        light = canopy.light_HW[rows[crown], columns[crown]]
        south, north = rows[crown] > middle + 2, rows[crown] < middle - 2
        if south.sum() > 20 and north.sum() > 20:
            compared += 1
            assert light[south].mean() > light[north].mean()
    assert compared > 0


def test_trees_grow_where_the_trunk_may() -> None:
    half = uniform(0)
    half[:, :60] = 1024
    tree_HW = grow_canopy(half, 10, SUN, 3).tree_HW
    assert tree_HW[:, :50].mean() > 0.8
    assert not tree_HW[:, 75:].any()
