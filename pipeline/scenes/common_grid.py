"""Files that lie on one pixel grid: their common extent, and the offset of each in whole pixels."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from shlex import quote

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import RasterioError
from rasterio.transform import Affine, array_bounds
from rasterio.warp import transform_bounds
from rasterio.windows import from_bounds

from pipeline.core.errors import PipelineError
from pipeline.raster.gdal import quiet_gdal
from pipeline.raster.grids import Grid, crs_label, grid_of
from pipeline.raster.remote import RemoteFile, locate
from pipeline.scenes.mosaic import OpenFile, PlacedFile, Placement

MAX_SHIFT = 0.01
"""Largest distance in pixels between a corner of a file and the grid."""


@dataclass(frozen=True)
class GriddedFile:
    """A file with its own grid."""

    open: OpenFile
    grid: Grid


def read_grid(open_file: OpenFile) -> GriddedFile:
    """Open a file to read its grid.

    Raises:
        PipelineError: it cannot be opened, or has no georeference.
    """
    with open_file(False) as scene:
        if not scene.georeference.is_known:
            raise PipelineError(
                f"{scene.name} has no georeference, and its place in a mosaic is unknown; set it: gdal_edit.py "
                f"-a_srs CRS -a_ullr WEST NORTH EAST SOUTH {quote(scene.name)}"
            )
        return GriddedFile(open_file, grid_of(scene))


def place_files(files: Sequence[GriddedFile], grid: Grid | None = None) -> tuple[Grid, list[PlacedFile]]:
    """Place files on one grid.

    Args:
        files: in the order in which they are drawn.
        grid: None for the extent of all files on the grid of the first.

    Returns:
        The grid, and the files that intersect it.

    Raises:
        PipelineError: a file is in another CRS, has other pixels, or is more than 0.01 px off the grid.
    """
    reference = grid or files[0].grid
    boxes_N4 = np.array([_box(file.grid, reference) for file in files])
    if grid is None:
        (top, left), (bottom, right) = boxes_N4[:, :2].min(axis=0).tolist(), boxes_N4[:, 2:].max(axis=0).tolist()
        transform = reference.georeference.transform @ Affine.translation(left, top)
        place = replace(reference.georeference, transform=transform)
        grid = Grid(reference.name, bottom - top, right - left, place)
        boxes_N4 -= [top, left, top, left]
    return grid, [
        PlacedFile(file.open, Placement(top, left, bottom - top, right - left))
        for file, (top, left, bottom, right) in zip(files, boxes_N4.tolist(), strict=True)
        if top < grid.height and left < grid.width and bottom > 0 and right > 0
    ]


def _box(file: Grid, reference: Grid) -> tuple[int, int, int, int]:
    """Return top, left, bottom, right of a file in whole pixels of the reference grid."""
    height, width, own = file.height, file.width, file.georeference
    relative = ~reference.georeference.transform @ own.transform
    top, left = round(relative.f), round(relative.c)
    shift = max(abs(relative.f - top), abs(relative.c - left))
    stretch = max(abs(relative.a - 1), abs(relative.b), abs(relative.d), abs(relative.e - 1))
    if not _is_same_crs(own.crs, reference.georeference.crs):
        problem = f"differ in CRS: {crs_label(own.crs)} and {crs_label(reference.georeference.crs)}"
    elif stretch * max(height, width) > MAX_SHIFT:
        problem = f"differ in pixels: {_pixel_text(own.transform)} and {_pixel_text(reference.georeference.transform)}"
    elif shift > MAX_SHIFT:
        problem = f"have pixels that are {shift:.2g} px apart; at most {MAX_SHIFT} px is allowed"
    else:
        return top, left, top + height, left + width
    command = _warp_command(file, reference)
    raise PipelineError(f"{file.name} and {reference.name} {problem}; resample it to that grid: {command}")


def _is_same_crs(first: str | None, second: str | None) -> bool:
    if first is None or second is None or first == second:
        return first == second
    return bool(CRS.from_user_input(first) == CRS.from_user_input(second))


def _pixel_text(transform: Affine) -> str:
    rotation = f" rotated by {transform.rotation_angle:.3g}°" if transform.b or transform.d else ""
    return f"{transform.a:.9g} x {transform.e:.9g}{rotation}"


def _warp_command(file: Grid, reference: Grid) -> str:
    """Return the command that resamples a file to the reference grid, over the file's own extent."""
    grid, own = reference.georeference, file.georeference
    transform = grid.transform
    if transform.b or transform.d or transform.a < 0 or transform.e > 0:
        return "gdalwarp (after rewriting the others north-up)"
    bounds = array_bounds(file.height, file.width, own.transform)
    if not _is_same_crs(grid.crs, own.crs):
        unknown = "gdalwarp, after setting the right CRS: gdal_edit.py -a_srs"
        if grid.crs is None or own.crs is None:
            return unknown
        try:
            with quiet_gdal():
                bounds = transform_bounds(own.crs, grid.crs, *bounds)
        except (RasterioError, CPLE_BaseError):  # such as an engineering CRS
            return unknown
        if not np.isfinite(bounds).all():
            return unknown
    (left, right), (bottom, top) = (sorted(values) for values in (bounds[::2], bounds[1::2]))
    (first_row, last_row), (first_column, last_column) = from_bounds(left, bottom, right, top, transform).toranges()
    west, north = transform @ (np.floor(first_column), np.floor(first_row))
    east, south = transform @ (np.ceil(last_column), np.ceil(last_row))
    location = locate(file.name)
    source = location.gdal_path if isinstance(location, RemoteFile) else file.name
    crs = "" if grid.crs is None else f"-t_srs {grid.crs if grid.crs.startswith('EPSG:') else quote(grid.crs)} "
    extent = " ".join(f"{bound:.15g}" for bound in (west, south, east, north))
    return f"gdalwarp {crs}-tr {transform.a:.15g} {-transform.e:.15g} -te {extent} {quote(source)} aligned.tif"
