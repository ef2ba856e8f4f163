"""Houses and barns along the roads, aligned with them."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Rng
from pipeline.sources.sample.roads import Road
from pipeline.sources.sample.scene_spec import SceneSpec
from pipeline.sources.sample.shapes import Box, direction, move

ROOFS = 6
"""Number of roof colours."""
BUILT_PERMILLE = 19
"""Share of a scene under roofs, in thousandths."""


@dataclass(frozen=True)
class House:
    """A building."""

    box: Box
    roof: int
    """Index of the roof colour."""


def place_houses(spec: SceneSpec, roads: list[Road], taken_HW: np.ndarray) -> list[House]:
    """Place buildings along roads until they cover their share of the scene.

    Args:
        spec: the scene.
        roads: to build along.
        taken_HW: bool; where nothing is built: roads and water.
    """
    rng = spec.rng("houses")
    free_HW = ~taken_HW
    remaining = spec.shape[0] * spec.shape[1] * BUILT_PERMILLE // 1000
    houses: list[House] = []
    candidates = [(road, index) for road in roads for index in range(len(road.points) - 1)] * 3
    for road, index in rng.shuffled(candidates):
        if remaining <= 0:
            break
        for side in (-1, 1):
            house = _house_along(spec, road, index, side, rng)
            window = house.box.window(spec.shape, margin=spec.pixels(3))
            plot = house.box.inside(window, margin=spec.pixels(3))
            if remaining > 0 and plot.any() and free_HW[window][plot].all():
                free_HW[window][plot] = False
                remaining -= 4 * house.box.half_length * house.box.half_width
                houses.append(house)
    return houses


def _house_along(spec: SceneSpec, road: Road, index: int, side: int, rng: Rng) -> House:
    """Place a house with its long side parallel to the road, or at a right angle to it."""
    size = rng.choice(((5, 4), (6, 4), (6, 5), (7, 5), (9, 6), (14, 7)))
    heading = road.heading_at(index)
    turn = rng.choice((0, 0, 16))
    half_length, half_width = (spec.pixels(length) for length in size)
    reach = half_length if turn else half_width
    along = move(road.points[index], direction(heading), spec.pixels(rng.between(0, 12)))
    distance = road.half_width + reach + spec.pixels(rng.between(4, 14))
    centre = move(along, direction(heading + side * 16), distance)
    box = Box(centre, heading + turn + rng.between(-1, 1), half_length, half_width)
    roof = rng.below(ROOFS)
    rng.below(4)  # unused; without this draw the archives would change
    return House(box, roof)
