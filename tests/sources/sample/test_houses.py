import numpy as np
import pytest

from pipeline.sources.sample.houses import BUILT_PERMILLE, ROOFS, House, place_houses
from pipeline.sources.sample.noise import Shape
from pipeline.sources.sample.roads import generate_roads
from pipeline.sources.sample.scene_spec import random_scene_spec

SHAPE: Shape = (900, 900)
SPEC = random_scene_spec(SHAPE, 2, 6)
ROADS = generate_roads(SPEC, 3)
ROADS_HW = np.logical_or.reduce([road.mask(SPEC) for road in ROADS])


@pytest.fixture(scope="module")
def houses() -> list[House]:
    return place_houses(SPEC, ROADS, ROADS_HW)


def footprint(house: House) -> np.ndarray:
    footprint_HW = np.zeros(SHAPE, bool)
    window = house.box.window(SHAPE)
    footprint_HW[window] = house.box.inside(window)
    return footprint_HW


def test_houses_cover_their_share(houses: list[House]) -> None:
    built = sum(footprint(house).sum() for house in houses)
    assert 0.6 * BUILT_PERMILLE < 1000 * built / (SHAPE[0] * SHAPE[1]) < 1.6 * BUILT_PERMILLE


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


def test_roofs_vary(houses: list[House]) -> None:
    assert len({house.roof for house in houses}) >= 4
    assert all(0 <= house.roof < ROOFS for house in houses)


def test_nothing_is_built_where_all_ground_is_taken() -> None:
    assert place_houses(SPEC, ROADS, np.ones(SHAPE, bool)) == []
