"""Masks from polygons: one vector file with the labels of one or of many images.

A pixel belongs to the polygon that contains its centre; a centre exactly on an edge belongs to the polygon on its
left, and, where the edge runs along the row, to the one below. In the image's own CRS that is GDAL's rasterize, pixel
by pixel.

P: polygons. Pixel coordinates are (column, row) from the image's top-left corner; the centre of a pixel is at .5.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path
from pipeline.formats.classes import IGNORE, USER_CLASSES
from pipeline.importing.polygon_classes import LabelledPolygons
from pipeline.importing.rules import LabelRules
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.shapes.placement import Placed, place

TILE = 256
"""Side in pixels of the blocks in which masks are stored."""
BLOCK_PIXELS = 2**22
"""Pixels that are rasterised at once."""
SLIVER = 0.05
"""Polygons that overlap by less, in pixels, are taken for neighbours whose common border was digitised twice."""
MAX_VERTICES = 1000
"""Of a polygon; larger ones are reduced to what a block needs: GDAL's time grows with rows times vertices."""


@dataclass(frozen=True)
class PolygonMask:
    """What `write_polygon_mask` wrote."""

    pixels: dict[str, int]
    """Pixels of each class that occurs, by name, and of `ignore`."""
    notes: list[str]
    """What the user should read about this image, one line each; `LabelledPolygons.notes` has those about the file."""
    apart: str | None
    """None, or, if no polygon and no annotated area covers a pixel of the image, a line with the extents of both: to be
    refused where the file belongs to this image alone, or where all images of a file are apart from it."""


@dataclass
class Overlaps:
    """Pixels in polygons of two classes that no order decides."""

    pixels: Counter[tuple[int, int]] = field(default_factory=Counter)
    """By the codes of the two classes."""
    first: dict[tuple[int, int], tuple[int, int]] = field(default_factory=dict)
    """(row, column) of the first pixel of each."""
    slivers: int = 0
    """Pixels of overlaps that are narrower than `SLIVER`, which are not counted above."""

    def add(self, lower_HW: np.ndarray, upper_HW: np.ndarray, is_overlap_HW: np.ndarray, top: int) -> None:
        """Count the pixels of a block that starts at row `top`."""
        rows, columns = np.nonzero(is_overlap_HW)
        pairs_N2 = np.stack([lower_HW[rows, columns], upper_HW[rows, columns]], axis=-1)
        pairs, firsts, counts = np.unique(pairs_N2, axis=0, return_index=True, return_counts=True)
        for (lower, upper), first, count in zip(pairs.tolist(), firsts.tolist(), counts.tolist(), strict=True):
            self.pixels[lower, upper] += count
            self.first.setdefault((lower, upper), (top + int(rows[first]), int(columns[first])))


@dataclass(frozen=True)
class Layers:
    """Polygons near an image and the order in which they are burned. A code is the rank of a class, from 1."""

    pixels_P: np.ndarray
    """In pixel coordinates, sorted by code, so that the highest is burned last."""
    codes_P: np.ndarray
    """uint16."""
    ids: list[int]
    """Class id, or `IGNORE`, of each code, from 1."""
    unordered: int
    """Codes up to this one are of classes without an order."""
    all_touched: bool

    @classmethod
    def of(cls, placed: Placed, classes_P: np.ndarray, rules: LabelRules) -> "Layers":
        """Sort polygons: below, those that no order names, by falling id; above, the order from its end."""
        by_name = dict(zip(rules.names, rules.ids, strict=True)) | {"ignore": IGNORE}
        ordered = [by_name[name] for name in rules.polygons.order][::-1]
        others = [number for number in (IGNORE, *rules.ids[::-1]) if number not in ordered]
        ids = others + ordered
        codes = np.zeros(IGNORE + 1, np.uint16)
        codes[ids] = np.arange(1, len(ids) + 1)
        codes_P = codes[classes_P[placed.index_P]]
        sorted_P = np.argsort(codes_P, kind="stable")
        pixels_P = placed.pixels_P[sorted_P]
        return cls(pixels_P, codes_P[sorted_P], ids, len(others), rules.polygons.all_touched)

    def burn(self, block: Window, overlaps: Overlaps, wanted_HW: np.ndarray) -> np.ndarray:
        """Return codes_HW of a block of whole rows, uint16, 0 where no polygon is; and count overlaps.

        Among classes without an order, `all_touched` gives a pixel to the polygon that contains its centre, and only
        overlaps of centres count; a class of the order covers all that it touches.

        Args:
            block: rows of the image.
            overlaps: to be added to.
            wanted_HW: bool, where overlaps matter.
        """
        near_P = _meets_rows(self.pixels_P, block)
        pixels_P, codes_P = _reduce(self.pixels_P[near_P], self.codes_P[near_P], block)
        is_ordered_P = codes_P > self.unordered
        base_P, base_codes_P = pixels_P[~is_ordered_P], codes_P[~is_ordered_P]
        upper_HW, lower_HW = _both(base_P, base_codes_P, block)
        is_overlap_HW = (upper_HW != lower_HW) & wanted_HW
        codes_HW = upper_HW.copy()
        if self.all_touched:
            touched_HW = _burn(base_P, base_codes_P, block, all_touched=True)
            codes_HW = np.where(upper_HW > 0, upper_HW, touched_HW)
        _burn(pixels_P[is_ordered_P], codes_P[is_ordered_P], block, self.all_touched, out_HW=codes_HW)
        is_overlap_HW &= codes_HW <= self.unordered
        overlaps.slivers += np.count_nonzero(is_overlap_HW)
        for shift in ((-SLIVER, 0.0), (SLIVER, 0.0), (0.0, -SLIVER), (0.0, SLIVER)):
            if is_overlap_HW.any():
                moved_HW, other_HW = _both(base_P, base_codes_P, block, shift)
                is_overlap_HW &= moved_HW != other_HW
        overlaps.slivers -= np.count_nonzero(is_overlap_HW)
        overlaps.add(lower_HW, upper_HW, is_overlap_HW, int(block.row_off))
        return codes_HW


def write_polygon_mask(labelled: LabelledPolygons, image: Path, target: Path, rules: LabelRules) -> PolygonMask:
    """Write the mask of an image: a GeoTIFF on its grid, tiled, compressed; *ignore* is its declared no-data value.

    Args:
        labelled: from `read_labelled`, for any number of images.
        image: a GeoTIFF with a position.
        target: `masks/NAME.tif`; values are `rules.raw_value` of the class ids, which `rules.remap` maps back.
        rules: the user's `classes.yaml`.

    Raises:
        PipelineError: the image has no position, the polygons cannot be placed in it, or polygons of two classes
            overlap and `polygons.order` does not decide.
    """
    with open_geotiff(image) as grid:
        placed = place(labelled.polygons, grid)
        areas = None if labelled.annotated is None else place(labelled.annotated, grid)
        layers = Layers.of(placed, labelled.classes_P, rules)
        overlaps, covered = Overlaps(), 0
        pixels = np.zeros(IGNORE + 1, np.int64)
        class_ids, raw_values = _class_ids(layers, rules), _raw_values(rules)
        with atomic_path(target) as partial:
            with (
                file_errors(target, "cannot be written"),
                closing(open_dataset(partial, "w", **_profile(grid, raw_values.dtype, rules))) as mask,
            ):
                for block in _blocks(grid.height, grid.width):
                    inside_HW = _inside(areas, block)
                    codes_HW = layers.burn(block, overlaps, inside_HW)
                    covered += np.count_nonzero(codes_HW if areas is None else inside_HW)
                    mask_HW = class_ids[codes_HW]
                    mask_HW[~inside_HW] = IGNORE
                    pixels += np.bincount(mask_HW.ravel(), minlength=IGNORE + 1)
                    mask.write(raw_values[mask_HW], 1, window=block)
            _refuse(overlaps, layers, labelled, grid, rules)
    names = dict(zip(rules.ids, rules.names, strict=True)) | {IGNORE: "ignore"}
    counts = {names[number]: int(pixels[number]) for number in np.flatnonzero(pixels)}
    if covered:
        note = f"{image}: {overlaps.slivers} px on borders of {labelled.polygons.name}, where polygons of two classes overlap by less than {SLIVER} px, have the class with the lower id"
        return PolygonMask(counts, [note] if overlaps.slivers else [], None)
    note = f"{image}: no polygon of {labelled.polygons.name} covers a pixel; its mask is {' and '.join(counts)} only"
    return PolygonMask(counts, [note], placed.apart)


def _class_ids(layers: Layers, rules: LabelRules) -> np.ndarray:
    """Return the class id of each code, uint8; that of 0 is the background or `IGNORE`."""
    uncovered = dict(zip(rules.names, rules.ids, strict=True)).get(rules.polygons.background or "", IGNORE)
    return np.array([uncovered, *layers.ids], np.uint8)


def _raw_values(rules: LabelRules) -> np.ndarray:
    """Return the value in the file of each class id and of `IGNORE`, in the smallest dtype that holds them."""
    values = {number: rules.raw_value(number) for number in rules.ids} | {IGNORE: rules.ignored_value}
    table = np.zeros(IGNORE + 1, np.int64)
    table[list(values)] = list(values.values())
    return table.astype(np.result_type(*map(np.min_scalar_type, values.values())))


def _profile(grid: GeoTiff, dtype: np.dtype[Any], rules: LabelRules) -> dict[str, Any]:
    place = grid.georeference
    size = {"width": grid.width, "height": grid.height, "count": 1, "crs": place.crs, "transform": place.transform}
    tiles = {"tiled": True, "blockxsize": TILE, "blockysize": TILE, "compress": "deflate", "bigtiff": "if_safer"}
    return size | tiles | {"dtype": dtype, "nodata": rules.ignored_value}


def _blocks(height: int, width: int) -> Iterator[Window]:
    """Yield blocks of whole rows: GDAL then finds the same pixels as at once."""
    rows = TILE * max(1, BLOCK_PIXELS // (TILE * width))
    for top in range(0, height, rows):
        yield Window(0, top, width, min(rows, height - top))


def _inside(areas: Placed | None, block: Window) -> np.ndarray:
    """Return bool (height, width): where the centre of a pixel is in an annotated area."""
    if areas is None:
        return np.ones((block.height, block.width), bool)
    pixels_P = areas.pixels_P[_meets_rows(areas.pixels_P, block)]
    pixels_P, codes_P = _reduce(pixels_P, np.ones(len(pixels_P), np.uint16), block)
    return _burn(pixels_P, codes_P, block) > 0


def _both(
    pixels_P: np.ndarray, codes_P: np.ndarray, block: Window, shift: tuple[float, float] = (0.0, 0.0)
) -> tuple[np.ndarray, np.ndarray]:
    """Return the highest and the lowest code of each pixel: they differ where polygons of two classes overlap."""
    highest_HW = _burn(pixels_P, codes_P, block, shift=shift)
    return highest_HW, _burn(pixels_P[::-1], codes_P[::-1], block, shift=shift)


def _burn(
    pixels_P: np.ndarray,
    codes_P: np.ndarray,
    block: Window,
    all_touched: bool = False,
    shift: tuple[float, float] = (0.0, 0.0),
    out_HW: np.ndarray | None = None,
) -> np.ndarray:
    """Burn codes into a block, in this order, over zeros or what is there."""
    out_HW = np.zeros((block.height, block.width), np.uint16) if out_HW is None else out_HW
    if len(pixels_P):
        transform = Affine.translation(shift[0], block.row_off + shift[1])
        rasterize(
            zip(pixels_P, codes_P.tolist(), strict=True), out=out_HW, transform=transform, all_touched=all_touched
        )
    return out_HW


def _meets_rows(pixels_P: np.ndarray, block: Window) -> np.ndarray:
    """Return bool: which polygons have part of the rows of a block, and of its columns, or of a pixel beside it."""
    left, top, right, bottom = shapely.bounds(pixels_P).T
    is_in_rows = (bottom > block.row_off - 1) & (top < block.row_off + block.height + 1)
    return np.asarray(is_in_rows & (right > -1) & (left < block.width + 1))


def _reduce(pixels_P: np.ndarray, codes_P: np.ndarray, block: Window) -> tuple[np.ndarray, np.ndarray]:
    """Leave out vertices of large polygons that have no effect on the rows of a block.

    Of vertices in a row that are all above the block, or all below, the first and the last remain: edges that meet the
    block are unchanged, to the last bit.
    """
    is_large_P = shapely.get_num_coordinates(pixels_P) > MAX_VERTICES
    if not is_large_P.any():
        return pixels_P, codes_P
    reduced_P = pixels_P.copy()
    reduced_P[is_large_P] = [_near_rows(polygon, block) for polygon in pixels_P[is_large_P]]
    is_left_P = ~shapely.is_empty(reduced_P)
    return reduced_P[is_left_P], codes_P[is_left_P]


def _near_rows(polygon: shapely.Polygon, block: Window) -> shapely.Polygon:
    points_N2, ring_N = shapely.get_coordinates(shapely.get_rings(polygon), return_index=True)
    below = points_N2[:, 1] > block.row_off + block.height + 1
    side_N = below.astype(int) - (points_N2[:, 1] < block.row_off - 1)
    changes_N = (np.diff(side_N) != 0) | (np.diff(ring_N) != 0)  # between a vertex and the next
    changes_N = np.concatenate([[True], changes_N, [True]])
    is_kept_N = (side_N == 0) | changes_N[1:] | changes_N[:-1]
    rings, counts = np.unique(ring_N[is_kept_N], return_counts=True)
    is_kept_N &= np.isin(ring_N, rings[counts >= 4])  # of a ring without effect, two points remain
    if not is_kept_N.any():
        return shapely.Polygon()
    _, index_N = np.unique(ring_N[is_kept_N], return_inverse=True)
    shell, *holes = shapely.linearrings(points_N2[is_kept_N], indices=index_N)
    return shapely.Polygon(shell, holes)


def _refuse(overlaps: Overlaps, layers: Layers, labelled: LabelledPolygons, grid: GeoTiff, rules: LabelRules) -> None:
    """Raise if there are overlaps, with the two classes that have most of them."""
    if not overlaps.pixels:
        return
    names = dict(zip(rules.ids, rules.names, strict=True)) | {IGNORE: "ignore"}
    (pair, count), *others = overlaps.pixels.most_common()
    one, two = (names[layers.ids[code - 1]] for code in pair)
    row, column = overlaps.first[pair]
    x, y = grid.georeference.transform @ (column + 0.5, row + 0.5)
    more = f", and others in {sum(pixels for _, pixels in others)} px" if others else ""
    raise PipelineError(
        f"{labelled.polygons.name}: polygons of {one} and {two} overlap in {count} px of {grid.name}, first at pixel "
        f"column {column}, row {row} (x {x:.10g}, y {y:.10g}){more}; write which is on top, in {USER_CLASSES}: "
        f"polygons: {{order: [{one}, {two}]}}, or mend the polygons"
    )
