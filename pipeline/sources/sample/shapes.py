"""Shapes on a grid of pixels, decided by comparing whole numbers."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Shape

UNIT = 1024
"""Length of a direction vector."""
TURN = 64
"""Directions in a full turn."""
_QUARTER = (0, 100, 200, 297, 392, 483, 569, 650, 724, 792, 851, 903, 946, 980, 1004, 1019, 1024)  # 1024 sin(90°k/16)

Point = tuple[int, int]
"""(row, column)"""
Window = tuple[slice, slice]


def _vector(step: int) -> Point:
    quarter, rest = divmod(step, TURN // 4)
    sine, cosine = _QUARTER[rest], _QUARTER[TURN // 4 - rest]
    return ((sine, cosine), (cosine, -sine), (-sine, -cosine), (-cosine, sine))[quarter]


_VECTORS = tuple(_vector(step) for step in range(TURN))


def direction(step: int) -> Point:
    """(row, column) of length 1024 at `step` of 64 in a full turn; 0 points right, 16 down."""
    return _VECTORS[step % TURN]


def moved(start: Point, towards: Point, distance: int) -> Point:
    """The point `distance` pixels from `start` along a direction vector."""
    return start[0] + (towards[0] * distance >> 10), start[1] + (towards[1] * distance >> 10)


def rounded(points: list[Point]) -> list[Point]:
    """The polyline with its corners cut once (Chaikin), its ends kept."""
    inner = []
    for (row, column), (next_row, next_column) in zip(points, points[1:], strict=False):
        inner.append(((3 * row + next_row) // 4, (3 * column + next_column) // 4))
        inner.append(((row + 3 * next_row) // 4, (column + 3 * next_column) // 4))
    return [points[0], *inner, points[-1]]


def stroke(shape: Shape, points: list[Point], half_width: int) -> np.ndarray:
    """(height, width) of bool: pixels at most `half_width` from the polyline."""
    covered = np.zeros(shape, bool)
    for start, end in zip(points, points[1:], strict=False):
        low = (min(start[0], end[0]) - half_width, min(start[1], end[1]) - half_width)
        high = (max(start[0], end[0]) + half_width + 1, max(start[1], end[1]) + half_width + 1)
        window = clipped(shape, low, high)
        covered[window] |= _near_segment(window, start, end, half_width)
    return covered


def clipped(shape: Shape, low: Point, high: Point) -> Window:
    """The part of rows and columns `low` to `high` (excluded) that lies on the grid; perhaps empty."""
    rows, columns = (
        slice(min(max(first, 0), length), min(max(last, 0), length))
        for first, last, length in zip(low, high, shape, strict=True)
    )
    return rows, columns


def offsets(window: Window, origin: Point) -> tuple[np.ndarray, np.ndarray]:
    """Rows (height, 1) and columns (1, width) of a window as int64, counted from `origin`."""
    rows = np.arange(window[0].start, window[0].stop, dtype=np.int64)[:, None] - origin[0]
    columns = np.arange(window[1].start, window[1].stop, dtype=np.int64)[None, :] - origin[1]
    return rows, columns


def _near_segment(window: Window, start: Point, end: Point, half_width: int) -> np.ndarray:
    rows, columns = offsets(window, start)
    height, width = end[0] - start[0], end[1] - start[1]
    length2 = height * height + width * width
    along = rows * height + columns * width
    across = rows * width - columns * height
    beside = (along > 0) & (along < length2) & (across * across <= half_width * half_width * length2)
    at_start = rows * rows + columns * columns <= half_width * half_width
    at_end = (rows - height) ** 2 + (columns - width) ** 2 <= half_width * half_width
    return np.asarray(beside | at_start | at_end)


@dataclass(frozen=True)
class Box:
    """A rectangle at any angle."""

    centre: Point
    heading: int
    """Direction of its length, in 64ths of a turn."""
    half_length: int
    half_width: int

    def window(self, shape: Shape, margin: int = 0) -> Window:
        """The upright window around the box."""
        reach = self.half_length + self.half_width + margin
        row, column = self.centre
        return clipped(shape, (row - reach, column - reach), (row + reach + 1, column + reach + 1))

    def axes(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Each pixel's distance along and across from the centre, in pixels: two (height, width) of int64."""
        rows, columns = offsets(window, self.centre)
        sine, cosine = direction(self.heading)
        return columns * cosine + rows * sine >> 10, rows * cosine - columns * sine >> 10

    def inside(self, window: Window, margin: int = 0) -> np.ndarray:
        """(height, width) of bool: pixels of the window in the box, or at most `margin` outside."""
        along, across = self.axes(window)
        return (abs(along) <= self.half_length + margin) & (abs(across) <= self.half_width + margin)


def shifted(mask_HW: np.ndarray, rows: int, columns: int) -> np.ndarray:
    """The mask moved down by `rows` and right by `columns`; False comes in."""
    height, width = mask_HW.shape
    result = np.zeros_like(mask_HW)
    target = clipped((height, width), (rows, columns), (height + rows, width + columns))
    source = clipped((height, width), (-rows, -columns), (height - rows, width - columns))
    result[target] = mask_HW[source]
    return result


def shadow_of(mask_HW: np.ndarray, away: Point, length: int) -> np.ndarray:
    """(height, width) of bool: where a thing's shadow falls, the thing itself left out.

    Args:
        mask_HW: the thing, bool.
        away: direction vector from the sun.
        length: of the shadow, in pixels.
    """
    fallen = mask_HW
    step = 1
    while step <= length:  # doubling: a shadow of 7 is one of 3 moved by 4
        reach = min(step, length - step + 1)
        fallen = fallen | shifted(fallen, *moved((0, 0), away, reach))
        step += reach
    return np.asarray(fallen & ~mask_HW)
