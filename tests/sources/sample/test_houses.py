import numpy as np
import pytest

from pipeline.sources.sample.houses import BUILT_PERMILLE, ROOFS, House, build_houses
from pipeline.sources.sample.noise import Shape
from pipeline.sources.sample.roads import heading_at, lay_roads
from pipeline.sources.sample.setting import choose_setting

SHAPE: Shape = (900, 900)
SETTING = choose_setting(SHAPE, 2, 6)
ROADS = lay_roads(SETTING, 3)
ROADS_HW = np.logical_or.reduce([road.covered(SETTING) for road in ROADS])


@pytest.fixture(scope="module")
def houses() -> list[House]:
    return build_houses(SETTING, ROADS, ROADS_HW)


def footprint(house: House, margin: int = 0) -> np.ndarray:
    covered = np.zeros(SHAPE, bool)
    window = house.box.window(SHAPE, margin)
    covered[window] = house.box.inside(window, margin)
    return covered


def test_houses_cover_their_share(houses: list[House]) -> None:
    built = sum(footprint(house).sum() for house in houses)
    assert 0.6 * BUILT_PERMILLE < 1000 * built / (SHAPE[0] * SHAPE[1]) < 1.6 * BUILT_PERMILLE


def test_houses_stand_clear_of_roads_and_of_each_other(houses: list[House]) -> None:
    taken = ROADS_HW.copy()
    for house in houses:
        assert not (footprint(house) & taken).any()
        taken |= footprint(house)


def test_houses_stand_along_a_road_and_in_line_with_it(houses: list[House]) -> None:
    points = [(point, heading_at(road, i)) for road in ROADS for i, point in enumerate(road.points[:-1])]
    for house in houses:
        row, column = house.box.centre
        near = [heading for (r, c), heading in points if (r - row) ** 2 + (c - column) ** 2 <= SETTING.pixels(60) ** 2]
        assert near
        assert min((house.box.heading - heading + 1) % 16 for heading in near) <= 2


def test_roofs_differ(houses: list[House]) -> None:
    assert len({house.roof for house in houses}) >= 4
    assert all(0 <= house.roof < ROOFS and 5 <= house.metres <= 8 for house in houses)


def test_where_all_is_taken_nobody_builds() -> None:
    assert build_houses(SETTING, ROADS, np.ones(SHAPE, bool)) == []
