"""Roads that connect: two main roads that cross, side roads and tracks that leave them."""

from dataclasses import dataclass
from functools import cache

import numpy as np

from pipeline.sources.sample.noise import Dice
from pipeline.sources.sample.setting import Setting
from pipeline.sources.sample.shapes import TURN, Point, direction, moved, rounded, stroke


@dataclass(frozen=True)
class Road:
    """A road's course and build."""

    points: list[Point]
    half_width: int
    """In pixels."""
    surface: str
    """asphalt, gravel or track; a track has two ruts and vanishes under trees."""

    def covered(self, setting: Setting, margin: int = 0) -> np.ndarray:
        """(height, width) of bool: the road and `margin` pixels beside it."""
        return stroke(setting.shape, self.points, self.half_width + margin)


def lay_roads(setting: Setting, heading: int) -> list[Road]:
    """Main roads first, the side roads that start on them after.

    Args:
        setting: the scene.
        heading: of the first main road, in 64ths of a turn; near 0 it runs from left to right.
    """
    dice = setting.dice("roads")
    height, width = setting.shape
    surfaces = ["asphalt", dice.pick(("asphalt", "gravel"))]
    first = Road(
        _course(setting, (dice.between(height // 4, height * 3 // 4), -60), heading, dice),
        setting.pixels_of(dice.between(24, 30)),
        surfaces[0],
    )
    second = Road(
        _course(setting, (-60, dice.between(width // 4, width * 3 // 4)), heading + TURN // 4, dice),
        setting.pixels_of(dice.between(20, 26)),
        surfaces[1],
    )
    sides = [_side_road(setting, dice.pick((first, second)), dice) for _ in range(4 - setting.per_metre // 2)]
    return [first, second, *sides]


def _course(setting: Setting, start: Point, heading: int, dice: Dice) -> list[Point]:
    """A gently winding way from `start` until it has left the scene."""
    points = [start]
    while len(points) < 3 or _on_scene(setting, points[-1]):
        towards = direction(heading + dice.between(-3, 3))
        points.append(moved(points[-1], towards, setting.pixels(dice.between(25, 50))))
    return rounded(rounded(points))


def _side_road(setting: Setting, main: Road, dice: Dice) -> Road:
    on_scene = [point for point in main.points if _on_scene(setting, point)]
    start = dice.pick(on_scene)
    ahead = main.points[min(main.points.index(start) + 1, len(main.points) - 1)]
    side = dice.pick((-1, 1))
    heading = _heading(start, ahead) + side * dice.between(12, 20)
    surface = dice.pick(("gravel", "track", "track"))
    return Road(_course(setting, start, heading, dice), setting.pixels_of(dice.between(14, 18)), surface)


@cache
def _heading(start: Point, end: Point) -> int:
    """The direction from one point to another, in 64ths of a turn: the one of greatest scalar product."""
    height, width = end[0] - start[0], end[1] - start[1]
    return max(range(TURN), key=lambda step: direction(step)[0] * height + direction(step)[1] * width)


def heading_at(road: Road, index: int) -> int:
    """The direction of a road from its point number `index` to the next."""
    return _heading(road.points[index], road.points[index + 1])


def _on_scene(setting: Setting, point: Point) -> bool:
    margin = setting.pixels(12)
    return all(-margin <= place < length + margin for place, length in zip(point, setting.shape, strict=True))
