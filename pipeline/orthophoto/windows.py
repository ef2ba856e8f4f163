"""Square windows over a scene."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

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


def window_runs(windows: Iterable[ChipWindow], columns: int) -> Iterator[list[ChipWindow]]:
    """Group windows that lie side by side: the row, or parts of it of at most `columns` px and at least one window."""
    for _, group in groupby(windows, key=lambda window: window.row):
        row = list(group)
        count = len(row) if sum(window.width for window in row) <= columns else max(1, columns // row[0].width)
        for first in range(0, len(row), count):
            yield row[first : first + count]
