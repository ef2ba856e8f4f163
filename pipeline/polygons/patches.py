"""Connected patches of equal class in a class map that is labelled block by block.

Pixels are connected along edges (4-connectivity). As in `scipy.ndimage.label`, 0 is no patch (nodata) and patches count
from 1. Shapes: H, W: rows and columns of a block; N: provisional ids; P: patches; both with entry 0 for nodata.
"""

from dataclasses import dataclass

import numpy as np
from scipy import ndimage
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

NODATA = 255
"""Value of pixels without a class."""


@dataclass(frozen=True)
class Patches:
    """The patches of a map, numbered from 1 by their first pixel in reading order, whatever the blocks."""

    id_N: np.ndarray
    """Patch of each provisional id, int32: `id_N[ids_HW]` is the patch of each pixel of a block."""
    class_P: np.ndarray
    """Class id, uint8; `NODATA` for entry 0."""
    pixels_P: np.ndarray
    """Size in px, int64; 0 for entry 0."""
    first_P: np.ndarray
    """First pixel in reading order, `row * width + column`, int64; -1 for entry 0."""


@dataclass(frozen=True)
class _Line:
    """Pixels along a side of a block."""

    class_N: np.ndarray
    id_N: np.ndarray
    """Provisional ids."""


class PatchLabeller:
    """Label a map whose blocks are added in reading order: rows of blocks from top to bottom, each from left to right.

    Blocks of a row have the same height; sizes may differ otherwise.

    Memory: a block, a row of the map, 17 bytes for each patch within a block, and 8 for each pair of them that touch
    across a block line.
    """

    def __init__(self, width: int | None = None) -> None:
        """Start with an empty map of this width in pixels; None: its blocks are as wide as the map."""
        self._width = width
        self._row = self._column = 0  # of the next block
        self._count = 1
        self._class = [np.array([NODATA], np.uint8)]
        self._pixels = [np.array([0])]
        self._first = [np.array([-1])]
        self._links = [np.empty(0, np.int64)]  # both ids in one number, for a fast np.unique
        self._above: _Line | None = None
        self._left: _Line | None = None

    def add(self, class_HW: np.ndarray) -> np.ndarray:
        """Label the next block.

        Args:
            class_HW: class ids, uint8, `NODATA` where there is none.

        Returns:
            ids_HW: provisional ids, int32, 0 where nodata, consecutive and of no other block. A new labeller gives the
            same ids to the same blocks.
        """
        height, width = class_HW.shape
        self._width = self._width or width
        label_HW, class_L = _label(class_HW)
        label = label_HW.ravel()
        first_L = np.empty(len(class_L), np.int64)
        first_L[label[::-1]] = np.arange(label.size)[::-1]  # the last value assigned stays
        row_L, column_L = np.divmod(first_L[1:], width)
        self._class.append(class_L[1:])
        self._pixels.append(np.bincount(label, minlength=len(class_L))[1:])
        self._first.append((self._row + row_L) * self._width + self._column + column_L)
        label_HW[label_HW > 0] += self._count - 1
        self._count += len(class_L) - 1
        if self._above is None:
            self._above = _Line(np.full(self._width, NODATA, np.uint8), np.zeros(self._width, np.int32))
        columns = slice(self._column, self._column + width)
        self._link(_Line(self._above.class_N[columns], self._above.id_N[columns]), _Line(class_HW[0], label_HW[0]))
        if self._left is not None:
            self._link(self._left, _Line(class_HW[:, 0], label_HW[:, 0]))
        self._above.class_N[columns], self._above.id_N[columns] = class_HW[-1], label_HW[-1]
        self._left = _Line(class_HW[:, -1].copy(), label_HW[:, -1].copy())
        self._column += width
        if self._column == self._width:
            self._row, self._column, self._left = self._row + height, 0, None
        return label_HW

    def _link(self, one: _Line, other: _Line) -> None:
        """Record which provisional ids are of one patch across a block line."""
        joined_N = one.class_N == other.class_N  # where nodata, 0 with itself
        self._links.append(np.unique(one.id_N[joined_N].astype(np.int64) << 32 | other.id_N[joined_N]))

    def finish(self) -> Patches:
        """Join the patches that touch across block lines."""
        links = np.concatenate(self._links)
        ends = (links >> 32, links & 0xFFFFFFFF)
        graph = coo_array((np.ones(len(links), bool), ends), shape=(self._count, self._count))
        count, component_N = connected_components(graph, directed=False)
        first_N = np.concatenate(self._first)
        first = np.full(count, np.iinfo(np.int64).max)
        np.minimum.at(first, component_N, first_N)
        order = np.argsort(first)  # nodata stays entry 0: its first pixel is -1
        rank = np.empty(count, np.int32)
        rank[order] = np.arange(count, dtype=np.int32)
        id_N = rank[component_N]
        class_P = np.empty(count, np.uint8)
        class_P[id_N] = np.concatenate(self._class)
        pixels_P = np.zeros(count, np.int64)
        np.add.at(pixels_P, id_N, np.concatenate(self._pixels))
        return Patches(id_N, class_P, pixels_P, first[order])


def _label(class_HW: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return label_HW, int32, and the class of each label, uint8; label 0 is nodata.

    One call a class: for 5 classes as fast as a union of runs in numpy, for 24 a third of its speed.
    """
    label_HW = np.zeros(class_HW.shape, np.int32)
    class_L = [np.array([NODATA], np.uint8)]
    count = 0
    for class_id in np.unique(class_HW):
        if class_id != NODATA:
            own_HW, found = ndimage.label(class_HW == class_id)
            np.add(own_HW, count, out=label_HW, where=own_HW > 0)
            class_L.append(np.full(found, class_id, np.uint8))
            count += found
    return label_HW, np.concatenate(class_L)
