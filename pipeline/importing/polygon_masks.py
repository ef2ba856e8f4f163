"""Masks from polygons: one vector file with the labels of one or of many images.

A pixel belongs to the polygon that contains its centre, by the rule of GDAL's rasterize, whose pixels these are in the
image's own CRS: a centre exactly on an edge belongs to the polygon on its left; where the edge runs along the row, in
north-up images to the polygons on both sides, of which the one with the lower class id counts. With `all_touched` too
pixels are GDAL's, but where an edge meets the corner of a pixel in the first or last row of a block.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.core.params import flow_yaml
from pipeline.formats.classes import IGNORE, USER_CLASSES
from pipeline.importing.burning import MARGIN, Layers, Overlaps
from pipeline.importing.pictures import open_raster
from pipeline.importing.polygon_classes import LabelledPolygons
from pipeline.importing.rules import LabelRules
from pipeline.importing.tiff_writer import TILE, TiffWriter, mask_writer
from pipeline.raster.geotiff import GeoTiff
from pipeline.shapes.placement import place
from pipeline.shapes.polygons import Polygons

BLOCK_PIXELS = 2**22
"""Pixels that are rasterised at once."""


@dataclass(frozen=True)
class PolygonMask:
    """What `write_polygon_mask` found."""

    note: str | None
    """What the user should read about this image; `LabelledPolygons.notes` has what is about the file."""
    apart: str | None
    """None, or, if no polygon and no annotated area covers a pixel of the image, a line with the extents of both: to be
    refused where the file belongs to this image alone, or where all images of a file are apart from it."""


def write_polygon_mask(labelled: LabelledPolygons, image: Path, target: Path, rules: LabelRules) -> PolygonMask:
    """Write the mask of an image: a GeoTIFF on its grid, tiled, compressed; *ignore* is its declared no-data value.

    Args:
        labelled: from `read_labelled`, for any number of images.
        image: a GeoTIFF or picture with a position.
        target: `masks/NAME.tif`; values are `rules.raw_values`.
        rules: the user's `classes.yaml`.

    Raises:
        PipelineError: the image has no position, the polygons cannot be placed in it, or polygons of two classes
            overlap and `polygons.order` does not decide.
    """
    name = labelled.polygons.name
    with open_raster(image) as (grid, _):
        placed = place(labelled.polygons, grid)
        areas = None if labelled.annotated is None else Layers.of_areas(place(labelled.annotated, grid))
        layers, overlaps = Layers.of(placed, labelled.classes_P, rules), Overlaps()
        with mask_writer(target, grid, rules) as mask:
            is_covered = _write(mask, grid, layers, areas, overlaps, rules)
            _refuse(overlaps, labelled.polygons, grid, rules)
    if not is_covered:
        only = "ignore" if areas else rules.polygons.background or "ignore"
        return PolygonMask(f"{image}: no polygon of {name} covers a pixel; its mask is {only} only", placed.apart)
    note = (
        f"{image}: {overlaps.slivers} px are less than {MARGIN} px inside overlaps of two classes of {name}, on their "
        "borders, and have the class with the lower id"
    )
    return PolygonMask(note if overlaps.slivers else None, None)


def _write(
    mask: TiffWriter, grid: GeoTiff, layers: Layers, areas: Layers | None, overlaps: Overlaps, rules: LabelRules
) -> bool:
    """Write a mask by blocks of rows; return whether a polygon covers a pixel, or, if there are areas, one of these."""
    is_covered = False
    rows = TILE * max(1, BLOCK_PIXELS // (TILE * grid.width))  # whole rows: GDAL then finds the same pixels as at once
    for top in range(0, grid.height, rows):
        block = Window(0, top, grid.width, min(rows, grid.height - top))
        inside_HW = np.ones((block.height, block.width), bool) if areas is None else areas.cover(block)
        codes_HW = layers.burn(block, overlaps, inside_HW)
        is_covered |= bool((codes_HW if areas is None else inside_HW).any())
        mask_HW = layers.ids[codes_HW]
        mask_HW[~inside_HW] = IGNORE
        mask.write(top, rules.raw_values[mask_HW][None])
    return is_covered


def _refuse(overlaps: Overlaps, polygons: Polygons, grid: GeoTiff, rules: LabelRules) -> None:
    """Raise if there are overlaps, with the two classes that have most of them."""
    if not overlaps.pixels:
        return
    (pair, count), *others = overlaps.pixels.most_common()
    one, other = (rules.label_name_of[number] for number in pair)
    row, column = overlaps.first[pair]
    x, y = grid.georeference.transform @ (column + 0.5, row + 0.5)
    more = f", other classes in {sum(pixels for _, pixels in others)} px" if others else ""
    raise PipelineError(
        f"{polygons.name}: polygons of {one} and {other} overlap in {count} px of {grid.name}, first at pixel column "
        f"{column}, row {row} (x {x:.10g}, y {y:.10g}){more}; write which is on top, in {USER_CLASSES}, for "
        f"example polygons: {flow_yaml({'order': [*rules.polygons.order, one, other]})}, or mend the polygons"
    )
