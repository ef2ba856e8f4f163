"""Square windows over a scene."""

from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class ChipWindow:
    """One window, numbered as LandCover.ai's own cutting numbers it."""

    number: int
    """Counts every window of the scene, row by row, those that reach over the edge too."""
    row: int
    column: int
    height: int
    """Rows inside the scene: less than the size at the lower edge."""
    width: int
    """Columns inside the scene: less than the size at the right edge."""


def windows(height: int, width: int, size: int) -> Iterator[ChipWindow]:
    """Windows of `size` x `size` px that cover a scene without overlap, row by row.

    The numbering is that of `split.py` in LandCover.ai's archive: its counter rises for the partial windows at the
    edges too, which it then drops.
    """
    corners = ((row, column) for row in range(0, height, size) for column in range(0, width, size))
    for number, (row, column) in enumerate(corners):
        yield ChipWindow(number, row, column, min(size, height - row), min(size, width - column))
