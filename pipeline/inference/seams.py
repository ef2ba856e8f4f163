"""How far neighbouring windows differ where they meet."""

from dataclasses import dataclass, field

import numpy as np

from pipeline.inference.windows import NetworkWindow

REACH = 16
"""Pixels on each side of a border between cores that both windows predict and that are compared."""
Corner = tuple[int, int]
"""Row and column of a core's corner in the scene."""


@dataclass(frozen=True)
class Extent:
    """A rectangle of the scene, in pixels."""

    top: int
    left: int
    bottom: int
    right: int


def extended_core(window: NetworkWindow) -> Extent:
    """Return a window's core and `REACH` px around it, as far as the window goes."""
    rows, columns = window.rows, window.columns
    return Extent(
        max(rows.start, rows.core_start - REACH),
        max(columns.start, columns.core_start - REACH),
        min(rows.start + rows.size, rows.core_stop + REACH),
        min(columns.start + columns.size, columns.core_stop + REACH),
    )


@dataclass
class Seams:
    """Counts of pixels near borders between windows, added window by window in reading order."""

    pixels: int = 0
    """Predicted by two windows within `REACH` px of a border; those near a corner count twice."""
    different: int = 0
    """Those to which the two windows give different classes."""
    _right: tuple[Corner, np.ndarray] | None = None
    """Top of the last window's right border, and its classes around it."""
    _below: dict[int, tuple[Corner, np.ndarray]] = field(default_factory=dict)
    """By column of a core: left end of its lower border, and the classes around it."""

    @property
    def disagreement(self) -> float | None:
        """Share of the pixels with different classes; None if no windows met."""
        return self.different / self.pixels if self.pixels else None

    def add(self, window: NetworkWindow, classes_HW: np.ndarray) -> None:
        """Compare a window with its left and upper neighbours, unless those were skipped.

        Args:
            window: whose halo is at least `REACH` px.
            classes_HW: predicted in its extended core.
        """
        extent, rows, columns = extended_core(window), window.rows, window.columns
        of_rows = slice(rows.core_start - extent.top, rows.core_stop - extent.top)
        of_columns = slice(columns.core_start - extent.left, columns.core_stop - extent.left)
        top, bottom = (_around(row - extent.top) for row in (rows.core_start, rows.core_stop))
        left, right = (_around(column - extent.left) for column in (columns.core_start, columns.core_stop))
        corner = rows.core_start, columns.core_start
        self._compare(self._right, corner, classes_HW[of_rows, left])
        self._compare(self._below.get(columns.core_start), corner, classes_HW[top, of_columns])
        self._right = (rows.core_start, columns.core_stop), classes_HW[of_rows, right].copy()
        self._below[columns.core_start] = (rows.core_stop, columns.core_start), classes_HW[bottom, of_columns].copy()

    def _compare(self, neighbour: tuple[Corner, np.ndarray] | None, corner: Corner, classes_HW: np.ndarray) -> None:
        if neighbour is not None and neighbour[0] == corner:
            self.pixels += classes_HW.size
            self.different += int((neighbour[1] != classes_HW).sum())


def _around(border: int) -> slice:
    return slice(max(0, border - REACH), border + REACH)
