"""Two main roads that cross, side roads and tracks that branch off; and the houses and barns along them."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Rng
from pipeline.sources.sample.scene_spec import ROOF_COLOURS, SceneSpec
from pipeline.sources.sample.shapes import TURN, Box, Point, direction, move, stroke, winding_line

BUILT_PERMILLE = 19
"""Share of a scene under roofs, in thousandths."""


@dataclass(frozen=True)
class Road:
    """Centre line, width and surface."""

    points: list[Point]
    half_width: int
    """In pixels."""
    surface: str
    """asphalt, gravel or track; trees hide a track."""

    def mask(self, spec: SceneSpec, margin: int = 0) -> np.ndarray:
        """Rasterise the road and `margin` pixels on either side: (height, width) of bool."""
        return stroke(spec.shape, self.points, self.half_width + margin)

    def heading_at(self, index: int) -> int:
        """Return the heading from point `index` to the next, in 64ths of a turn."""
        (row, column), (next_row, next_column) = self.points[index : index + 2]
        height, width = next_row - row, next_column - column
        return max(range(TURN), key=lambda step: direction(step)[0] * height + direction(step)[1] * width)


@dataclass(frozen=True)
class House:
    """A building."""

    box: Box
    roof: int
    """Index into `ROOF_COLOURS`."""


def generate_roads(spec: SceneSpec, heading: int) -> list[Road]:
    """Generate the main roads, then the side roads that start on them.

    Args:
        spec: the scene.
        heading: of the first main road, in 64ths of a turn; near 0 it runs from left to right.
    """
    rng = spec.rng("roads")
    height, width = spec.shape
    surfaces = ["asphalt", rng.choice(("asphalt", "gravel"))]
    first = Road(
        _centre_line(spec, (rng.between(height // 4, height * 3 // 4), -60), heading, rng),
        spec.pixels_dm(rng.between(24, 30)),
        surfaces[0],
    )
    second = Road(
        _centre_line(spec, (-60, rng.between(width // 4, width * 3 // 4)), heading + TURN // 4, rng),
        spec.pixels_dm(rng.between(20, 26)),
        surfaces[1],
    )
    side_roads = [_side_road(spec, rng.choice((first, second)), rng) for _ in range(4 - spec.pixels_per_metre // 2)]
    return [first, second, *side_roads]


def _centre_line(spec: SceneSpec, start: Point, heading: int, rng: Rng) -> list[Point]:
    """Wind gently from `start` until the line has left the scene."""
    strides = range(spec.pixels(25), spec.pixels(50) + 1, spec.pixels(1))
    return winding_line(
        rng, start, heading, 3, strides, lambda points: len(points) < 3 or _is_on_scene(spec, points[-1])
    )


def _side_road(spec: SceneSpec, main: Road, rng: Rng) -> Road:
    start = rng.choice([point for point in main.points if _is_on_scene(spec, point)])
    side = rng.choice((-1, 1))
    heading = main.heading_at(main.points.index(start)) + side * rng.between(12, 20)
    surface = rng.choice(("gravel", "track", "track"))
    return Road(_centre_line(spec, start, heading, rng), spec.pixels_dm(rng.between(14, 18)), surface)


def _is_on_scene(spec: SceneSpec, point: Point) -> bool:
    margin = spec.pixels(12)
    return all(-margin <= position < length + margin for position, length in zip(point, spec.shape, strict=True))


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
    roof = rng.below(len(ROOF_COLOURS))
    rng.below(4)  # unused; without this draw the archives would change
    return House(box, roof)
