"""What lies where in an aerial scene: river, roads, houses, lakes, fields, woods; and the class of each pixel."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pipeline.sources.sample.houses import House, build_houses
from pipeline.sources.sample.noise import TOP, displaced, fractal_noise, quantile, signed, value_noise, white_noise
from pipeline.sources.sample.parcels import Parcels, lay_parcels
from pipeline.sources.sample.roads import Road, lay_roads
from pipeline.sources.sample.setting import Setting
from pipeline.sources.sample.shapes import TURN, direction, moved, rounded, stroke


class Cover(IntEnum):
    """The class ids of LandCover.ai."""

    BACKGROUND = 0
    BUILDING = 1
    WOODLAND = 2
    WATER = 3
    ROAD = 4


@dataclass(frozen=True)
class Scenery:
    """Everything that stands in a scene, before light falls on it; maps are (height, width) of bool."""

    setting: Setting
    parcels: Parcels
    roads: list[Road]
    houses: list[House]
    water_HW: np.ndarray
    wood_HW: np.ndarray
    yard_HW: np.ndarray
    """Ground around houses."""
    open_HW: np.ndarray
    """Made roads and their verges, and houses with their surroundings: no tree covers these."""


def plan_scenery(setting: Setting) -> Scenery:
    """Put a scene together, what decides first coming first."""
    heading = setting.dice("heading").between(-6, 6)
    parcels = _fields(setting, heading)
    roads = lay_roads(setting, heading)
    river_HW = _river(setting, heading)
    near_road_HW = _union(setting, [road.covered(setting, setting.pixels(2)) for road in roads])
    houses = build_houses(setting, roads, near_road_HW | river_HW)
    yard_HW = _around(setting, houses, setting.pixels(8))
    water_HW = river_HW | _lakes(setting, near_road_HW | yard_HW)
    made_HW = _union(setting, [r.covered(setting, setting.pixels(3)) for r in roads if r.surface != "track"])
    open_HW = made_HW | _around(setting, houses, setting.pixels(3))
    wood_HW = _woods(setting, parcels) & ~made_HW & ~yard_HW & ~water_HW
    return Scenery(setting, parcels, roads, houses, water_HW, wood_HW, yard_HW, open_HW | water_HW)


def classify(scenery: Scenery) -> np.ndarray:
    """The class of each pixel.

    Returns:
        (height, width) of uint8, values of `Cover`.
    """
    setting = scenery.setting
    class_HW = np.full(setting.shape, Cover.BACKGROUND, np.uint8)
    class_HW[scenery.water_HW] = Cover.WATER
    for road in scenery.roads:
        class_HW[road.covered(setting)] = Cover.ROAD
    class_HW[scenery.wood_HW] = Cover.WOODLAND  # a track under trees cannot be seen
    for house in scenery.houses:
        window = house.box.window(setting.shape)
        class_HW[window][house.box.inside(window)] = Cover.BUILDING
    return class_HW


def hand_drawn(class_HW: np.ndarray, setting: Setting) -> np.ndarray:
    """The class map as a person outlines it: borders wander by up to 3 pixels."""
    rows, columns = (
        (value_noise(setting.shape, 37, setting.noise_seed(f"hand {axis}")) * 7 >> 10) - 3
        for axis in ("rows", "columns")
    )
    return displaced(class_HW, rows, columns)


def _fields(setting: Setting, heading: int) -> Parcels:
    """Strips across the main road, as villages laid them out."""
    strip, block = ((setting.pixels(low), setting.pixels(high)) for low, high in ((14, 60), (90, 220)))
    return lay_parcels(setting.shape, heading + TURN // 4, strip, block, setting.dice("fields"))


def _river(setting: Setting, heading: int) -> np.ndarray:
    """A winding river from left to right; two scenes of three have none."""
    dice = setting.dice("river")
    if dice.below(3):
        return np.zeros(setting.shape, bool)
    points = [(dice.between(0, setting.shape[0]), -80)]
    while points[-1][1] < setting.shape[1] + 80:
        towards = direction(heading + dice.between(-9, 9))
        points.append(moved(points[-1], towards, setting.pixels(dice.between(15, 35))))
    return stroke(setting.shape, rounded(rounded(points)), setting.pixels(dice.between(4, 8)))


def _lakes(setting: Setting, taken_HW: np.ndarray) -> np.ndarray:
    """Hollows of a smooth noise, away from roads and houses."""
    depth_HW = fractal_noise(setting.shape, setting.pixels(90), 5, setting.noise_seed("lakes"))
    share = setting.dice("lakes").between(25, 95)
    return np.asarray((depth_HW > quantile(depth_HW, 1000 - share)) & ~taken_HW)


def _woods(setting: Setting, parcels: Parcels) -> np.ndarray:
    """Woods where a noise is high; some fields are planted whole, so that some edges are straight."""
    liking_HW = fractal_noise(setting.shape, setting.pixels(70), 5, setting.noise_seed("woods"))
    planted = signed(white_noise((1, parcels.count), setting.noise_seed("planted"))[0], 150)
    liking_HW += planted[parcels.field_HW]
    share = setting.dice("woods").between(300, 560)
    return np.asarray(liking_HW > quantile(liking_HW, 1000 - share))


def tree_chance(scenery: Scenery) -> np.ndarray:
    """How likely a tree stands on a pixel: (height, width) of int32, 0 to 1023."""
    setting = scenery.setting
    chance_HW = np.where(scenery.wood_HW, 1000, 4).astype(np.int32)
    chance_HW[scenery.yard_HW] = 130
    hedge = white_noise((1, scenery.parcels.count), setting.noise_seed("hedges"))[0] > TOP * 9 // 10
    along_border_HW = scenery.parcels.border_HW < setting.pixels(2)
    chance_HW[along_border_HW & hedge[scenery.parcels.field_HW] & ~scenery.wood_HW] = 300
    chance_HW[scenery.open_HW] = 0
    return chance_HW


def _around(setting: Setting, houses: list[House], margin: int) -> np.ndarray:
    around_HW = np.zeros(setting.shape, bool)
    for house in houses:
        window = house.box.window(setting.shape, margin)
        around_HW[window] |= house.box.inside(window, margin)
    return around_HW


def _union(setting: Setting, masks: list[np.ndarray]) -> np.ndarray:
    return np.asarray(np.logical_or.reduce([np.zeros(setting.shape, bool), *masks]))
