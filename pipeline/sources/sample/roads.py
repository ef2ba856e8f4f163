"""Road network: two main roads that cross, with side roads and tracks branching off."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Rng
from pipeline.sources.sample.scene_spec import SceneSpec
from pipeline.sources.sample.shapes import TURN, Point, direction, move, round_corners, stroke


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
    points = [start]
    while len(points) < 3 or _is_on_scene(spec, points[-1]):
        towards = direction(heading + rng.between(-3, 3))
        points.append(move(points[-1], towards, spec.pixels(rng.between(25, 50))))
    return round_corners(points)


def _side_road(spec: SceneSpec, main: Road, rng: Rng) -> Road:
    start = rng.choice([point for point in main.points if _is_on_scene(spec, point)])
    side = rng.choice((-1, 1))
    heading = main.heading_at(main.points.index(start)) + side * rng.between(12, 20)
    surface = rng.choice(("gravel", "track", "track"))
    return Road(_centre_line(spec, start, heading, rng), spec.pixels_dm(rng.between(14, 18)), surface)


def _is_on_scene(spec: SceneSpec, point: Point) -> bool:
    margin = spec.pixels(12)
    return all(-margin <= position < length + margin for position, length in zip(point, spec.shape, strict=True))
