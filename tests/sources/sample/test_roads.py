"""Roads cross the scene; houses stand along them, aligned, and neither on them nor on each other."""

import numpy as np
import pytest

from pipeline.sources.sample.noise import Shape
from pipeline.sources.sample.roads import House, generate_roads, place_houses
from pipeline.sources.sample.scene_spec import SceneSpec, random_scene_spec

SHAPE: Shape = (500, 520)
VILLAGE: Shape = (900, 900)
SPEC = random_scene_spec(VILLAGE, 2, 6)
ROADS = generate_roads(SPEC, 3)
ROADS_HW = np.logical_or.reduce([road.mask(SPEC) for road in ROADS])


def scene_spec(seed: int, pixels_per_metre: int = 2) -> SceneSpec:
    return random_scene_spec(SHAPE, pixels_per_metre, seed)


@pytest.mark.parametrize("seed", range(4))
def test_main_roads_cross_the_scene(seed: int) -> None:
    first, second, *_ = generate_roads(scene_spec(seed), 0)
    assert first.mask(scene_spec(seed)).any(axis=0).all()
    assert second.mask(scene_spec(seed)).any(axis=1).all()


@pytest.fixture(scope="module")
def houses() -> list[House]:
    return place_houses(SPEC, ROADS, ROADS_HW)


def footprint(house: House) -> np.ndarray:
    footprint_HW = np.zeros(VILLAGE, bool)
    window = house.box.window(VILLAGE)
    footprint_HW[window] = house.box.inside(window)
    return footprint_HW


def test_houses_overlap_neither_roads_nor_each_other(houses: list[House]) -> None:
    taken_HW = ROADS_HW.copy()
    for house in houses:
        assert not (footprint(house) & taken_HW).any()
        taken_HW |= footprint(house)


def test_houses_are_near_a_road_and_aligned_with_it(houses: list[House]) -> None:
    points = [(point, road.heading_at(i)) for road in ROADS for i, point in enumerate(road.points[:-1])]
    for house in houses:
        row, column = house.box.centre
        near = [heading for (r, c), heading in points if (r - row) ** 2 + (c - column) ** 2 <= SPEC.pixels(60) ** 2]
        assert near
        assert min((house.box.heading - heading + 1) % 16 for heading in near) <= 2
