"""Masks from polygons: one vector file with the labels of one or of many images.

P: polygons. Pixel coordinates are (column, row) from the image's top-left corner; the centre of a pixel is at .5.
"""

from dataclasses import dataclass
from pathlib import Path

from pipeline.importing.polygon_classes import LabelledPolygons
from pipeline.importing.rules import LabelRules


@dataclass(frozen=True)
class PolygonMask:
    """What `write_polygon_mask` wrote."""

    pixels: dict[str, int]
    """Pixels of each class that occurs, by name, and of `ignore`."""
    notes: list[str]
    """What the user should read about this image, one line each; `LabelledPolygons.notes` has those about the file."""
    apart: str | None
    """None, or, if no polygon covers a pixel of the image, a line with the extents of both. Refuse it where the file
    belongs to this image alone, or where no image of many has any polygon."""


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
    raise NotImplementedError
