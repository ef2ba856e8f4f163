"""Layout of an aerial scene: fields, roads, river, houses, lakes and woods; and the class of each pixel."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pipeline.sources.sample.noise import NOISE_MAX, per_field, top_share, white_noise
from pipeline.sources.sample.roads import House, Road, generate_roads, place_houses
from pipeline.sources.sample.scene_spec import SceneSpec
from pipeline.sources.sample.shapes import TURN, Parcels, generate_parcels, stroke, winding_line


class ClassId(IntEnum):
    """Class ids of LandCover.ai."""

    BACKGROUND = 0
    BUILDING = 1
    WOODLAND = 2
    WATER = 3
    ROAD = 4


@dataclass(frozen=True)
class SceneLayout:
    """Objects of a scene; masks are (height, width) of bool."""

    spec: SceneSpec
    parcels: Parcels
    roads: list[Road]
    houses: list[House]
    water_HW: np.ndarray
    wood_HW: np.ndarray
    yard_HW: np.ndarray
    """Ground around houses."""
    treeless_HW: np.ndarray
    """Roads, but not tracks, and houses, both with a margin; and water."""


def lay_out_scene(spec: SceneSpec) -> SceneLayout:
    """Generate a scene; what is placed first keeps what follows away."""
    heading = spec.rng("heading").between(-6, 6)
    parcels = _fields(spec, heading)
    roads = generate_roads(spec, heading)
    river_HW = _river(spec, heading)
    near_road_HW = np.any([road.mask(spec, spec.pixels(2)) for road in roads], axis=0)
    houses = place_houses(spec, roads, near_road_HW | river_HW)
    yard_HW = _around(spec, houses, spec.pixels(8))
    water_HW = river_HW | _lakes(spec, near_road_HW | yard_HW)
    open_road_HW = np.any([road.mask(spec, spec.pixels(3)) for road in roads if road.surface != "track"], axis=0)
    wood_HW = _woods(spec, parcels) & ~open_road_HW & ~yard_HW & ~water_HW
    treeless_HW = open_road_HW | _around(spec, houses, spec.pixels(3)) | water_HW
    return SceneLayout(spec, parcels, roads, houses, water_HW, wood_HW, yard_HW, treeless_HW)


def class_map(layout: SceneLayout) -> np.ndarray:
    """Return the class of each pixel: (height, width) of uint8, values of `ClassId`."""
    spec = layout.spec
    class_HW = np.full(spec.shape, ClassId.BACKGROUND, np.uint8)
    class_HW[layout.water_HW] = ClassId.WATER
    for road in layout.roads:
        class_HW[road.mask(spec)] = ClassId.ROAD
    class_HW[layout.wood_HW] = ClassId.WOODLAND  # trees hide a track
    class_HW[_around(spec, layout.houses, 0)] = ClassId.BUILDING
    return class_HW


def tree_probability(layout: SceneLayout) -> np.ndarray:
    """Return how likely a tree grows at each pixel: (height, width) of int32, 0 to 1023."""
    spec, parcels = layout.spec, layout.parcels
    probability_HW = np.where(layout.wood_HW, 1000, 4).astype(np.int32)
    probability_HW[layout.yard_HW] = 130
    has_hedge = white_noise((1, parcels.count), spec.noise_seed("hedges"))[0] > NOISE_MAX * 9 // 10
    border_HW = parcels.border_HW < spec.pixels(2)
    probability_HW[border_HW & has_hedge[parcels.field_HW] & ~layout.wood_HW] = 300
    probability_HW[layout.treeless_HW] = 0
    return probability_HW


def _fields(spec: SceneSpec, heading: int) -> Parcels:
    """Generate strips of fields at a right angle to the main road."""
    width, length = ((spec.pixels(low), spec.pixels(high)) for low, high in ((14, 60), (90, 220)))
    return generate_parcels(spec.shape, heading + TURN // 4, width, length, spec.rng("fields"))


def _river(spec: SceneSpec, heading: int) -> np.ndarray:
    """Draw a winding river from left to right in one scene of three."""
    rng = spec.rng("river")
    if rng.below(3):
        return np.zeros(spec.shape, bool)
    strides = range(spec.pixels(15), spec.pixels(35) + 1, spec.pixels(1))
    start, end = (rng.between(0, spec.shape[0]), -80), spec.shape[1] + 80
    points = winding_line(rng, start, heading, 9, strides, lambda points: points[-1][1] < end)
    return stroke(spec.shape, points, spec.pixels(rng.between(4, 8)))


def _lakes(spec: SceneSpec, taken_HW: np.ndarray) -> np.ndarray:
    """Flood the hollows of smooth noise, away from roads and houses."""
    hollow_HW = top_share(spec.noise(90, 5, "lakes"), spec.rng("lakes").between(25, 95))
    return np.asarray(hollow_HW & ~taken_HW)


def _woods(spec: SceneSpec, parcels: Parcels) -> np.ndarray:
    """Place woods by noise and by field: afforested fields give some woods straight edges."""
    suitability_HW = spec.noise(70, 5, "woods")
    suitability_HW += per_field(parcels.count, 150, spec.noise_seed("planted"))[parcels.field_HW]
    return top_share(suitability_HW, spec.rng("woods").between(300, 560))


def _around(spec: SceneSpec, houses: list[House], margin: int) -> np.ndarray:
    around_HW = np.zeros(spec.shape, bool)
    for house in houses:
        window = house.box.window(spec.shape, margin)
        around_HW[window] |= house.box.inside(window, margin)
    return around_HW
