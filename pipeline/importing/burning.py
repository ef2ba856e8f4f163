"""Burn polygons of several classes into the pixels of an image, with an order or without, and find overlaps.

P: polygons. Pixel coordinates are (column, row) from the image's top-left corner; the centre of a pixel is at .5.
"""

from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.formats.classes import IGNORE
from pipeline.importing.rules import LabelRules
from pipeline.raster.gdal import WARNINGS_LOCK
from pipeline.shapes.placement import Placed

Coded = list[tuple[shapely.Polygon, int]]
"""Polygons and their codes, in the order in which they are burned."""
MARGIN = 0.05
"""Pixels: a centre that is less than this inside an overlap does not count; it lies on a border of neighbours that was
digitised twice."""
MAX_VERTICES = 1000
"""Of a polygon; larger ones are reduced to what a block needs: GDAL's time grows with rows times vertices."""


@dataclass
class Overlaps:
    """Pixels in polygons of two classes, or of *ignore* and a class, that no order decides."""

    pixels: Counter[tuple[int, int]] = field(default_factory=Counter)
    """By the ids of both."""
    first: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """(row, column) of the first of these pixels."""
    slivers: int = 0
    """Pixels of overlaps that are not counted above: see `MARGIN`."""

    def add(self, one_HW: np.ndarray, other_HW: np.ndarray, is_overlap_HW: np.ndarray, top: int) -> None:
        """Count the pixels of a block that starts at row `top`."""
        rows, columns = np.nonzero(is_overlap_HW)
        pairs_N2 = np.stack([one_HW[rows, columns], other_HW[rows, columns]], axis=-1)
        pairs, firsts, counts = np.unique(pairs_N2, axis=0, return_index=True, return_counts=True)
        for (one, other), first, count in zip(pairs.tolist(), firsts.tolist(), counts.tolist(), strict=True):
            self.pixels[one, other] += count
            self.first.setdefault((one, other), (top + int(rows[first]), int(columns[first])))


@dataclass(frozen=True)
class Layers:
    """Polygons near an image, and the order in which they are burned. A code is the rank of a class, from 1."""

    pixels_P: np.ndarray
    """In pixel coordinates, columns times `sign`, sorted by code, so that the highest is burned last."""
    codes_P: np.ndarray
    """uint16."""
    ids: np.ndarray
    """Class id, or `IGNORE`, of each code, uint8; that of 0, no polygon, is the background."""
    unordered: int
    """Codes up to this one are of classes without an order."""
    all_touched: bool
    sign: int
    """-1 if the pixels are mirrored: GDAL turns rings by their orientation before the transform."""

    @classmethod
    def of(cls, placed: Placed, classes_P: np.ndarray, rules: LabelRules) -> "Layers":
        """Sort polygons: below, classes that `polygons.order` omits, by falling id; above, the order from its end.

        Args:
            placed: polygons in pixel coordinates.
            classes_P: class id of each polygon of the file, or `IGNORE`.
            rules: the user's `classes.yaml`.
        """
        ordered = [rules.id_of[name] for name in rules.polygons.order][::-1]
        others = [number for number in (IGNORE, *rules.ids[::-1]) if number not in ordered]
        ids = np.array([rules.id_of[rules.polygons.background or "ignore"], *others, *ordered], np.uint8)
        codes = np.zeros(IGNORE + 1, np.uint16)
        codes[ids[1:]] = np.arange(1, len(ids))
        codes_P = codes[classes_P[placed.index_P]]
        sorted_P = np.argsort(codes_P, kind="stable")
        pixels_P, sign = _with_sign(placed)
        return cls(pixels_P[sorted_P], codes_P[sorted_P], ids, len(others), rules.polygons.all_touched, sign)

    @classmethod
    def of_areas(cls, placed: Placed) -> "Layers":
        """Return a layer of one class, whose code is 1."""
        pixels_P, sign = _with_sign(placed)
        return cls(pixels_P, np.ones(len(pixels_P), np.uint16), np.array([IGNORE, 0], np.uint8), 0, False, sign)

    def burn(self, block: Window, overlaps: Overlaps, wanted_HW: np.ndarray) -> np.ndarray:
        """Return codes_HW of a block of whole rows, uint16, 0 where no polygon is; and count overlaps.

        Among classes without an order, `all_touched` gives a pixel to the polygon that contains its centre, and only
        overlaps of centres count; a class of the order covers all that it touches. Where overlaps do not count, the
        class has the lowest id.

        Args:
            block: rows of the image.
            overlaps: to be added to.
            wanted_HW: bool, where overlaps matter.
        """
        base, top = self._near(block, above=False), self._near(block, above=True)
        upper_HW, lower_HW = self._both(base, block)
        codes_HW = upper_HW.copy()
        if self.all_touched:
            touched_HW = self._burn(base, block, all_touched=True)
            codes_HW = np.where(upper_HW > 0, upper_HW, touched_HW)
        self._burn(top, block, self.all_touched, out_HW=codes_HW)
        is_overlap_HW = (upper_HW != lower_HW) & (codes_HW <= self.unordered) & wanted_HW
        found = np.count_nonzero(is_overlap_HW)
        for shift in ((-MARGIN, 0.0), (MARGIN, 0.0), (0.0, -MARGIN), (0.0, MARGIN)):
            if is_overlap_HW.any():
                is_overlap_HW &= np.not_equal(*self._both(base, block, shift))
        overlaps.slivers += int(found - np.count_nonzero(is_overlap_HW))
        overlaps.add(self.ids[lower_HW], self.ids[upper_HW], is_overlap_HW, int(block.row_off))
        return codes_HW

    def cover(self, block: Window) -> np.ndarray:
        """Return bool (height, width) of a block of whole rows: whether a pixel's centre is in an area."""
        return self._burn(self._near(block, above=True), block) > 0

    def _near(self, block: Window, above: bool) -> Coded:
        """Return what may have effect on a block, of the classes of the order or of the others.

        These are polygons within a pixel of it, large ones without the vertices that have no effect.
        """
        _, top, _, bottom = shapely.bounds(self.pixels_P).T
        near_P = (bottom > block.row_off - 1) & (top < block.row_off + block.height + 1)
        near_P &= (self.codes_P > self.unordered) == above
        pixels_P, codes_P = self.pixels_P[near_P], self.codes_P[near_P]
        is_large_P = shapely.get_num_coordinates(pixels_P) > MAX_VERTICES
        pixels_P[is_large_P] = [_near_rows(polygon, block) for polygon in pixels_P[is_large_P]]
        return list(zip(pixels_P, codes_P.tolist(), strict=True))

    def _both(
        self, polygons: Coded, block: Window, shift: tuple[float, float] = (0.0, 0.0)
    ) -> tuple[np.ndarray, np.ndarray]:
        """Return the highest and the lowest code of each pixel: they differ where polygons of two classes overlap.

        GDAL's MergeAlg.add cannot tell these from overlaps of one class, which are common.
        """
        return self._burn(polygons, block, shift=shift), self._burn(polygons[::-1], block, shift=shift)

    def _burn(
        self,
        polygons: Coded,
        block: Window,
        all_touched: bool = False,
        shift: tuple[float, float] = (0.0, 0.0),
        out_HW: np.ndarray | None = None,
    ) -> np.ndarray:
        """Burn codes into a block, in this order, over zeros or what is there."""
        out_HW = np.zeros((block.height, block.width), np.uint16) if out_HW is None else out_HW
        if polygons:
            transform = Affine(self.sign, 0, shift[0], 0, 1, block.row_off + shift[1])
            with WARNINGS_LOCK:  # rasterio changes the filters too; it keeps the GIL, so that no time is lost
                rasterize(polygons, out=out_HW, transform=transform, all_touched=all_touched)
        return out_HW


def _with_sign(placed: Placed) -> tuple[np.ndarray, int]:
    """Return polygons with their columns times -1 if the pixels are mirrored, and that sign."""
    if not placed.is_mirrored:
        return placed.pixels_P, 1
    return np.asarray(shapely.transform(placed.pixels_P, lambda points_N2: points_N2 * (-1, 1))), -1


def _near_rows(polygon: shapely.Polygon, block: Window) -> shapely.Polygon:
    """Leave out vertices that have no effect on the rows of a block that the polygon meets.

    Of successive vertices that are all above the block, or all below, the first and the last remain: edges that meet
    the block are unchanged, to the last bit. So remains the vertex, with its neighbours, by which GDAL finds the
    orientation of a ring (OGRLinearRing::isClockwise): of the lowest y, the one with the highest x.

    shapely.clip_by_rect gives other pixels where centres lie on edges. A star of 100,000 vertices on 8,192 x 8,192 px,
    in 16 blocks, took 1.3 s with vertices left out, 2.4 s clipped, and 5.8 s whole.
    """
    points_N2, ring_N = shapely.get_coordinates(shapely.get_rings(polygon), return_index=True)
    first_R = np.flatnonzero(np.diff(ring_N, prepend=-1))
    last_R = np.append(first_R[1:], len(ring_N)) - 1  # equals the first
    below_N = points_N2[:, 1] > block.row_off + block.height + 1
    side_N = below_N.astype(int) - (points_N2[:, 1] < block.row_off - 1)
    changes_N = np.diff(side_N) != 0  # between a vertex and the next
    is_kept_N = (side_N == 0) | np.append(changes_N, True) | np.append(True, changes_N)
    lowest_M = np.flatnonzero(points_N2[:, 1] == np.minimum.reduceat(points_N2[:, 1], first_R)[ring_N])
    lowest_M = lowest_M[np.lexsort((-points_N2[lowest_M, 0], ring_N[lowest_M]))]
    pivot_R = lowest_M[np.diff(ring_N[lowest_M], prepend=-1) > 0]
    before_R = np.where(pivot_R == first_R, last_R, pivot_R) - 1
    is_kept_N[np.concatenate([first_R, last_R, pivot_R, before_R, pivot_R + 1])] = True
    sides_R = np.minimum.reduceat(side_N, first_R), np.maximum.reduceat(side_N, first_R)
    has_effect_R = (sides_R[0] != sides_R[1]) | (sides_R[0] == 0)
    is_kept_N &= has_effect_R[ring_N]
    _, index_N = np.unique(ring_N[is_kept_N], return_inverse=True)
    shell, *holes = shapely.linearrings(points_N2[is_kept_N], indices=index_N)
    return shapely.Polygon(shell, holes)
