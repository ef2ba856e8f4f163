"""The share of pixels that two windows see differently, counted by hand."""

import numpy as np

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


def test_skipped_windows_are_not_compared() -> None:
    seams = Seams()
    spans = (Span(0, 96, 0, 64), Span(32, 96, 64, 96), Span(64, 96, 96, 160))
    for column in (spans[0], spans[2]):
        window = NetworkWindow(ONE, column)
        seams.add(window, classes(window))
    for row in (spans[0], spans[2]):
        window = NetworkWindow(row, ONE)
        seams.add(window, classes(window))
    assert seams.disagreement is None


def test_windows_of_two_rows_that_touch_at_a_corner_are_not_compared() -> None:
    """As along a diagonal area, where the left neighbour is skipped and the window before lies in the row above."""
    seams = Seams()
    for window in (NetworkWindow(LEFT, LEFT), NetworkWindow(Span(32, 128, 64, 160), RIGHT)):
        seams.add(window, classes(window))
    assert seams.disagreement is None
