"""Masks of an archive: on the grid of their image, and their values to class ids."""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import numpy as np
from rasterio.crs import CRS
from rasterio.windows import Window

from pipeline.classes import IGNORE, ClassTable
from pipeline.errors import PipelineError
from pipeline.raster.geotiff import Georeference, GeoTiff

LISTED = 5
"""Values outside the table that a message names."""


def require_same_grid(image: GeoTiff, mask: GeoTiff) -> None:
    """Check that a mask lies on its image, pixel on pixel.

    Raises:
        PipelineError: another size; or, where both say where they lie, another CRS, or a corner that is more than
            0.1 px off. One that says nothing is taken to lie right.
    """
    both = f"{image.path} and {mask.path}"
    sizes = [(file.width, file.height) for file in (image, mask)]
    if sizes[0] != sizes[1]:
        raise PipelineError(f"{both} differ in size: {sizes[0]} and {sizes[1]} px; a mask covers its image exactly")
    ours, theirs = image.georeference, mask.georeference
    if not (ours.known and theirs.known):
        return
    if (
        None not in (ours.crs, theirs.crs)
        and ours.crs != theirs.crs
        and CRS.from_user_input(ours.crs) != CRS.from_user_input(theirs.crs)
    ):
        raise PipelineError(f"{both} differ in CRS: {ours.crs} and {theirs.crs}; reproject one onto the other")
    corners = [(0, 0), (image.height, 0), (0, image.width), (image.height, image.width)]
    off = max(_pixels_apart(ours, theirs, row, column) for row, column in corners)
    if off > 0.1:
        raise PipelineError(f"{both} lie {off:.2f} px apart; at most 0.1 px is allowed: align one to the other")


def _pixels_apart(ours: Georeference, theirs: Georeference, row: int, column: int) -> float:
    column_there, row_there = ~ours.transform @ theirs.corner(row, column)
    return float(max(abs(column_there - column), abs(row_there - row)))


def to_mask(values_HW: np.ndarray, table: ClassTable, path: Path, nodata: float | None = None) -> np.ndarray:
    """Class ids as uint8 (height, width), `IGNORE` where there is none.

    A value that the table remaps is remapped; a class of the table stays, even where the file declares it as
    no-data (LandCover.ai's background is a class, whatever a tool wrote); other declared no-data is ignored.

    Args:
        values_HW: labels in any dtype; floats must hold whole numbers.
        table: the classes, with the remap for this archive.
        path: the file, for messages.
        nodata: what the file declares as no-data.

    Raises:
        PipelineError: NaN, a fraction, or a value that is neither class nor remapped.
    """
    mask_HW, strays = _translated(values_HW, table, nodata)
    _refuse([strays], table, path)
    return mask_HW


def refuse_strays(mask: GeoTiff, table: ClassTable, among: Iterable[Window]) -> None:
    """Say what of a file `to_mask` cannot translate, and in how many pixels, reading window by window.

    Args:
        mask: the file; its first band holds the labels.
        table: the classes.
        among: windows that cover the file.

    Raises:
        PipelineError: there is such a value.
    """
    _refuse((_translated(mask.read((1,), each)[0], table, mask.nodata)[1] for each in among), table, mask.path)


def _translated(values_HW: np.ndarray, table: ClassTable, nodata: float | None) -> tuple[np.ndarray, np.ndarray]:
    """The mask, and the values that are neither class nor remapped nor declared as no-data."""
    known_HW = _equals(values_HW, nodata)
    mask_HW = np.full(values_HW.shape, IGNORE, np.uint8)
    for value, target in ({value: value for value in table.ids} | table.remap).items():
        here_HW = values_HW == value
        mask_HW[here_HW] = IGNORE if target == "ignore" else target
        known_HW = known_HW | here_HW
    return mask_HW, values_HW[~known_HW]


def _equals(values_HW: np.ndarray, nodata: float | None) -> np.ndarray:
    if nodata is None:
        return np.zeros(values_HW.shape, bool)
    same_HW: np.ndarray = np.isnan(values_HW) if np.isnan(nodata) else values_HW == nodata
    return same_HW


def _refuse(found: Iterable[np.ndarray], table: ClassTable, path: Path) -> None:
    """Raise for the first fraction among the strays, or else for the lowest few of them, with counts over all."""
    lowest: Counter[int] = Counter()
    broken: list[float] = []
    in_pixels = 0
    for strays in found:
        whole = np.isfinite(strays) & (strays == np.floor(strays))
        broken += strays[~whole][:1].tolist()
        in_pixels += int((~whole).sum())
        for value, count in zip(*np.unique(strays[whole], return_counts=True), strict=True):
            lowest[int(value)] += int(count)
        lowest = Counter(dict(sorted(lowest.items())[:LISTED]))  # a float raster may hold millions
    if broken:
        raise PipelineError(
            f"{path} holds {broken[0]} among its labels, in {in_pixels} pixels NaN or a fraction; "
            "a label is a whole number: was it resampled with interpolation?"
        )
    if lowest:
        raise PipelineError(
            f"{path} holds label values outside the class table: "
            f"{', '.join(f'{value} in {count} px' for value, count in lowest.items())}; classes are {list(table.ids)}: "
            "add the value to classes.yaml in the source folder, or remap it there to a class or to ignore"
        )
