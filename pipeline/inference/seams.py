"""How far neighbouring windows differ where they meet."""

from dataclasses import dataclass, field

import numpy as np
from rasterio.windows import Window

from pipeline.inference.windows import NetworkWindow, slices_in

REACH = 16
"""Pixels on each side of a border between cores that both windows predict and that are compared."""
Corner = tuple[int, int]
"""Row and column of a core's corner in the scene."""


def extended_core(window: NetworkWindow) -> Window:
    """Return a window's core and `REACH` px around it, as far as the window goes."""
    rows, columns = (
        (max(span.start, span.core_start - REACH), min(span.start + span.size, span.core_stop + REACH))
        for span in (window.rows, window.columns)
    )
    return Window.from_slices(rows, columns)


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
        rows, columns = slices_in(window.core, extended_core(window))
        top, left = window.rows.core_start, window.columns.core_start
        self._compare(self._right, (top, left), classes_HW[rows, _around(columns.start)])
        self._compare(self._below.get(left), (top, left), classes_HW[_around(rows.start), columns])
        self._right = (top, window.columns.core_stop), classes_HW[rows, _around(columns.stop)].copy()
        self._below[left] = (window.rows.core_stop, left), classes_HW[_around(rows.stop), columns].copy()

    def _compare(self, neighbour: tuple[Corner, np.ndarray] | None, corner: Corner, classes_HW: np.ndarray) -> None:
        if neighbour is not None and neighbour[0] == corner:
            self.pixels += classes_HW.size
            self.different += int((neighbour[1] != classes_HW).sum())


def _around(border: int) -> slice:
    return slice(max(0, border - REACH), border + REACH)
