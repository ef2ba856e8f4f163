"""Whether masks are shifted against their images, which no file can tell: borders in a mask should lie on edges."""

from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np

from pipeline.formats.classes import IGNORE

REACH = 16
"""Largest displacement in pixels that is looked for, along each axis."""
SMALLEST = 3
"""Displacements below this many pixels are within the accuracy of drawing."""
MIN_CHIPS = 8
"""Chips with borders between classes that a statement needs."""
NEIGHBOURS = (np.s_[:-1, :], np.s_[1:, :]), (np.s_[:, :-1], np.s_[:, 1:])
"""Indices of all pixels and of those below them, or to their right."""
MIN_BORDER = 32
"""Border pixels from which a chip counts."""


@dataclass(frozen=True)
class Displacement:
    """How far masks lie from their images, in pixels."""

    right: int
    down: int

    @property
    def is_visible(self) -> bool:
        """Whether it exceeds the accuracy of drawing."""
        return max(abs(self.right), abs(self.down)) >= SMALLEST


def find_displacement(pairs: Iterable[tuple[np.ndarray, np.ndarray]]) -> Displacement | None:
    """Find by how much masks are displaced: where their borders fit the edges of the images best.

    The cross-correlation of borders and edges is summed over all pairs. Chance peaks are excluded by a comparison:
    every second pair alone, and the others, must peak within 1 px of the same place.

    Args:
        pairs: image_HWC, uint8, and mask_HW, class ids and `IGNORE`; those below `3 * REACH` px a side do not count.

    Returns:
        The displacement; None if there are too few borders, or none fits best.
    """
    fits = [fit_DD for image_HWC, mask_HW in pairs if (fit_DD := _fit(image_HWC, mask_HW)) is not None]
    if len(fits) < MIN_CHIPS:
        return None
    first, second, both = (_peak(np.sum(part, axis=0)) for part in (fits[::2], fits[1::2], fits))
    if max(abs(first.right - second.right), abs(first.down - second.down)) > 1:
        return None
    return both


def _fit(image_HWC: np.ndarray, mask_HW: np.ndarray) -> np.ndarray | None:
    """Return how well borders fit edges after each displacement of the mask, in standard deviations over all of them.

    Shape (2 * REACH + 1, 2 * REACH + 1): up to down, left to right.
    """
    if min(mask_HW.shape) < 3 * REACH:
        return None
    border_HW = np.zeros(mask_HW.shape, np.float32)
    labelled_HW = mask_HW != IGNORE
    for before, after in NEIGHBOURS:
        differ = (mask_HW[before] != mask_HW[after]) & labelled_HW[before] & labelled_HW[after]
        border_HW[before] += differ
        border_HW[after] += differ
    if (border_HW > 0).sum() < MIN_BORDER:
        return None
    grey_HW = cv2.GaussianBlur(image_HWC.mean(axis=2, dtype=np.float32), (0, 0), 1)
    edges_HW = cv2.magnitude(cv2.Sobel(grey_HW, cv2.CV_32F, 1, 0), cv2.Sobel(grey_HW, cv2.CV_32F, 0, 1))
    edges_HW = np.pad(np.sqrt(edges_HW)[REACH:-REACH, REACH:-REACH], REACH)
    # circular correlation; the edges kept are further from the frame than any displacement
    fit_HW = np.fft.irfft2(np.conj(np.fft.rfft2(edges_HW)) * np.fft.rfft2(border_HW), border_HW.shape)
    near_HW = np.roll(fit_HW, (REACH, REACH), (0, 1))[: 2 * REACH + 1, : 2 * REACH + 1]
    deviation = float(near_HW.std())
    return (near_HW - near_HW.mean()) / deviation if deviation else None


def _peak(fit_DD: np.ndarray) -> Displacement:
    row, column = np.unravel_index(int(np.argmax(fit_DD)), fit_DD.shape)
    return Displacement(int(column) - REACH, int(row) - REACH)
