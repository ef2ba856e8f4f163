"""Houses and barns along the roads, in line with them."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Dice
from pipeline.sources.sample.roads import Road, heading_at
from pipeline.sources.sample.setting import Setting
from pipeline.sources.sample.shapes import Box, direction, moved

ROOFS = 6
"""Colours of roofs."""
BUILT_PERMILLE = 19
"""Share of a scene under roofs, in thousandths."""


@dataclass(frozen=True)
class House:
    """A building."""

    box: Box
    roof: int
    """Which of the roofs' colours."""
    metres: int
    """Its height."""


def build_houses(setting: Setting, roads: list[Road], taken_HW: np.ndarray) -> list[House]:
    """Place buildings beside roads until they cover their share.

    Args:
        setting: the scene.
        roads: they stand along these.
        taken_HW: bool; no building stands where this is true: roads and water.
    """
    dice = setting.dice("houses")
    free_HW = ~taken_HW
    wanted = setting.shape[0] * setting.shape[1] * BUILT_PERMILLE // 1000
    houses: list[House] = []
    places = [(road, index) for road in roads for index in range(len(road.points) - 1)] * 3
    for road, index in dice.shuffled(places):
        if wanted <= 0:
            break
        for side in (-1, 1):
            house = _beside(setting, road, index, side, dice)
            window = house.box.window(setting.shape, margin=setting.pixels(3))
            ground = house.box.inside(window, margin=setting.pixels(3))
            if wanted > 0 and ground.any() and free_HW[window][ground].all():
                free_HW[window][ground] = False
                wanted -= 4 * house.box.half_length * house.box.half_width
                houses.append(house)
    return houses


def _beside(setting: Setting, road: Road, index: int, side: int, dice: Dice) -> House:
    """A house with its long side along the road, or across it."""
    size = dice.pick(((5, 4), (6, 4), (6, 5), (7, 5), (9, 6), (14, 7)))
    heading = heading_at(road, index)
    turned = dice.pick((0, 0, 16))
    half_length, half_width = (setting.pixels(length) for length in size)
    reach = half_length if turned else half_width
    along = moved(road.points[index], direction(heading), setting.pixels(dice.between(0, 12)))
    away = road.half_width + reach + setting.pixels(dice.between(4, 14))
    centre = moved(along, direction(heading + side * 16), away)
    box = Box(centre, heading + turned + dice.between(-1, 1), half_length, half_width)
    return House(box, dice.below(ROOFS), metres=dice.between(5, 8))
