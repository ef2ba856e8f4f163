import math

import numpy as np
import pytest

from pipeline.sources.sample.noise import Shape
from pipeline.sources.sample.roads import generate_roads
from pipeline.sources.sample.scene_spec import SceneSpec, random_scene_spec
from pipeline.sources.sample.shapes import stroke

SHAPE: Shape = (500, 520)


def scene_spec(seed: int, pixels_per_metre: int = 2) -> SceneSpec:
    return random_scene_spec(SHAPE, pixels_per_metre, seed)


@pytest.mark.parametrize("seed", range(4))
def test_all_roads_are_connected(seed: int) -> None:
    roads = generate_roads(scene_spec(seed), 2)
    canvas = (SHAPE[0] + 400, SHAPE[1] + 400)
    masks = [
        stroke(canvas, [(row + 200, column + 200) for row, column in road.points], road.half_width) for road in roads
    ]
    reached, remaining = masks[0], masks[1:]
    while remaining:
        touching = [mask for mask in remaining if (mask & reached).any()]
        assert touching
        reached = np.logical_or.reduce([reached, *touching])
        remaining = [mask for mask in remaining if not (mask & reached).any()]


@pytest.mark.parametrize("seed", range(4))
def test_main_roads_cross_the_scene(seed: int) -> None:
    first, second, *_ = generate_roads(scene_spec(seed), 0)
    assert first.mask(scene_spec(seed)).any(axis=0).all()
    assert second.mask(scene_spec(seed)).any(axis=1).all()


def test_the_main_road_is_asphalt_and_the_widest_at_any_scale() -> None:
    for pixels_per_metre in (2, 4):
        roads = generate_roads(scene_spec(1, pixels_per_metre), 0)
        assert roads[0].surface == "asphalt"
        assert roads[0].half_width == max(road.half_width for road in roads)
        assert 4 <= 2 * roads[0].half_width / pixels_per_metre <= 7


def test_a_margin_widens_a_road() -> None:
    road = generate_roads(scene_spec(1), 0)[0]
    narrow, wide = road.mask(scene_spec(1)), road.mask(scene_spec(1), margin=4)
    assert (wide & ~narrow).any()
    assert not (narrow & ~wide).any()


def test_the_heading_is_that_to_the_next_point() -> None:
    road = generate_roads(scene_spec(2), 5)[0]
    for index in range(0, len(road.points) - 1, 5):
        (row, column), (next_row, next_column) = road.points[index : index + 2]
        angle = math.atan2(next_row - row, next_column - column) * 64 / (2 * math.pi)
        assert abs((road.heading_at(index) - angle + 32) % 64 - 32) <= 0.51
