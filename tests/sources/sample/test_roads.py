import math

import numpy as np
import pytest

from pipeline.sources.sample.noise import Shape
from pipeline.sources.sample.roads import heading_at, lay_roads
from pipeline.sources.sample.setting import Setting, choose_setting
from pipeline.sources.sample.shapes import stroke

SHAPE: Shape = (500, 520)


def setting(seed: int, per_metre: int = 2) -> Setting:
    return choose_setting(SHAPE, per_metre, seed)


@pytest.mark.parametrize("seed", range(4))
def test_all_roads_are_one_net(seed: int) -> None:
    """Grown from any road's pixels through its neighbours, the net is reached whole."""
    roads = lay_roads(setting(seed), 2)
    canvas = (SHAPE[0] + 400, SHAPE[1] + 400)
    covers = [
        stroke(canvas, [(row + 200, column + 200) for row, column in road.points], road.half_width) for road in roads
    ]
    reached, rest = covers[0], covers[1:]
    while rest:
        touching = [cover for cover in rest if (cover & reached).any()]
        assert touching
        reached = np.logical_or.reduce([reached, *touching])
        rest = [cover for cover in rest if not (cover & reached).any()]


@pytest.mark.parametrize("seed", range(4))
def test_main_roads_cross_the_scene(seed: int) -> None:
    first, second, *_ = lay_roads(setting(seed), 0)
    assert first.covered(setting(seed)).any(axis=0).all()
    assert second.covered(setting(seed)).any(axis=1).all()


def test_the_main_road_is_asphalt_and_widest_and_made_in_metres() -> None:
    for per_metre in (2, 4):
        roads = lay_roads(setting(1, per_metre), 0)
        assert roads[0].surface == "asphalt"
        assert roads[0].half_width == max(road.half_width for road in roads)
        assert 4 <= 2 * roads[0].half_width / per_metre <= 7


def test_a_margin_widens_a_road() -> None:
    road = lay_roads(setting(1), 0)[0]
    narrow, wide = road.covered(setting(1)), road.covered(setting(1), margin=4)
    assert (wide & ~narrow).any()
    assert not (narrow & ~wide).any()


def test_the_heading_points_to_the_next_point() -> None:
    road = lay_roads(setting(2), 5)[0]
    for index in range(0, len(road.points) - 1, 5):
        (row, column), (next_row, next_column) = road.points[index : index + 2]
        angle = math.atan2(next_row - row, next_column - column) * 64 / (2 * math.pi)
        assert abs((heading_at(road, index) - angle + 32) % 64 - 32) <= 0.51
