"""The share of pixels that two windows see differently, counted by hand."""

import numpy as np
import pytest

from pipeline.inference.seams import REACH, Seams, extended_core
from pipeline.inference.windows import NetworkWindow, Span

LEFT, RIGHT = Span(0, 96, 0, 64), Span(32, 96, 64, 128)
"""Two windows of 96 px over 128 px, which meet at 64."""
ONE = Span(0, 64, 0, 64)


def classes(window: NetworkWindow, value: int = 0) -> np.ndarray:
    around = extended_core(window)
    return np.full((around.height, around.width), value, np.uint8)


def test_neighbours_are_compared_on_both_sides_of_their_border() -> None:
    seams = Seams()
    left, right = NetworkWindow(ONE, LEFT), NetworkWindow(ONE, RIGHT)
    seams.add(left, classes(left))
    different = classes(right)
    different[5, 0] = 1  # column 48
    different[5, 31] = 1  # column 79
    different[5, 32] = 1  # column 80 is farther than 16 px from the border
    seams.add(right, different)
    assert (seams.pixels, seams.different) == (64 * 2 * REACH, 2)


def test_rows_of_windows_are_compared_too() -> None:
    seams = Seams()
    grid = [NetworkWindow(row, column) for row in (LEFT, RIGHT) for column in (LEFT, RIGHT)]
    for window, value in zip(grid, (0, 0, 0, 1), strict=True):
        seams.add(window, classes(window, value))
    # four borders of 64 x 32 px; the last window differs from its left and its upper neighbour
    assert (seams.pixels, seams.different) == (4 * 64 * 2 * REACH, 2 * 64 * 2 * REACH)


FAR = Span(64, 96, 96, 160)
"""Between it and LEFT lies a window that is skipped."""


@pytest.mark.parametrize(
    "windows",
    [
        (NetworkWindow(ONE, LEFT), NetworkWindow(ONE, FAR)),
        (NetworkWindow(LEFT, ONE), NetworkWindow(FAR, ONE)),
        # that touch at a corner, as along a diagonal area, where the window before lies in the row above
        (NetworkWindow(LEFT, LEFT), NetworkWindow(Span(32, 128, 64, 160), RIGHT)),
    ],
)
def test_windows_that_are_no_neighbours_are_not_compared(windows: tuple[NetworkWindow, NetworkWindow]) -> None:
    seams = Seams()
    for window in windows:
        seams.add(window, classes(window))
    assert seams.disagreement is None
