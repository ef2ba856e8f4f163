"""Square windows over a scene."""

from collections.abc import Iterator
from dataclasses import dataclass

from rasterio.windows import Window


@dataclass(frozen=True)
class ChipWindow:
    """Window of one chip, numbered as in LandCover.ai's `split.py`."""

    number: int
    """Counts all windows of the scene, row by row, including partial ones at the edges."""
    row: int
    column: int
    height: int
    """Rows inside the scene: fewer than the chip size at the lower edge."""
    width: int
    """Columns inside the scene: fewer than the chip size at the right edge."""

    @property
    def raster_window(self) -> Window:
        """The window in rasterio's form."""
        return Window(self.column, self.row, self.width, self.height)


def chip_windows(height: int, width: int, size: int) -> Iterator[ChipWindow]:
    """Cover a scene with windows of `size` x `size` px, without overlap, row by row.

    The counter of LandCover.ai's `split.py` includes the partial windows at the edges, which that script then drops.
    """
    corners = ((row, column) for row in range(0, height, size) for column in range(0, width, size))
    for number, (row, column) in enumerate(corners):
        yield ChipWindow(number, row, column, min(size, height - row), min(size, width - column))
