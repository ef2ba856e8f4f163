"""Check that a mask is on the pixel grid of its image."""

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Protocol

import numpy as np
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.warp import transform as transform_points

from pipeline.core.errors import PipelineError
from pipeline.raster.gdal import quiet_gdal
from pipeline.raster.georeference import Georeference, crs_text
from pipeline.raster.sidecars import PRJ, find_sidecars, read_prj

MAX_SHIFT = 0.1
"""Largest distance in pixels between a corner of a mask and that of its image."""
MIN_FACTOR = 1.1
"""Smallest ratio of sizes that is taken for resampling."""
ORIENTATIONS = (((2, 3, 0, 1), "south-up"), ((1, 0, 3, 2), "mirrored"), ((3, 2, 1, 0), "rotated by 180°"))
"""Permutations of the corners, and what they mean."""


class Gridded(Protocol):
    """What has pixels on a grid, such as an open GeoTIFF or a scene of several files."""

    @property
    def name(self) -> str:
        """Path or address, for messages."""

    @property
    def height(self) -> int:
        """Pixels."""

    @property
    def width(self) -> int:
        """Pixels."""

    @property
    def georeference(self) -> Georeference:
        """Position of the pixels."""


@dataclass(frozen=True)
class Grid:
    """The grid of a file that is closed."""

    name: str
    height: int
    width: int
    georeference: Georeference


def grid_of(file: Gridded) -> Grid:
    """Return the grid of an open file."""
    return Grid(file.name, file.height, file.width, file.georeference)


def require_same_grid(image: Gridded, mask: Gridded, noun: str = "mask", reference: str = "its image") -> None:
    """Check that a mask matches its image pixel by pixel; without a georeference on both sides, compare sizes only.

    Args:
        image: the file whose grid counts.
        mask: the other file.
        noun: what messages call the other file.
        reference: what messages call the file whose grid counts.

    Raises:
        PipelineError: sizes differ, or a corner is more than 0.1 px off in the image's CRS.
    """
    both = f"{image.name} and {mask.name}"
    advice = partial(_warp_advice, image, mask, f"the {noun} to {reference}'s grid")
    sizes = [(file.width, file.height) for file in (image, mask)]
    is_known = image.georeference.is_known and mask.georeference.is_known
    if sizes[0] != sizes[1]:
        covers = f"a {noun} covers {reference}"
        if factor := _size_factor(*sizes):
            covers = f"the {noun} is {factor} than {reference}: save it at full size"
        elif sizes[0] == sizes[1][::-1]:
            covers += f"; the {noun} is turned by 90°, as with an EXIF orientation in one of the two programs"
        elif not is_known:
            covers += f": export it with {image.width} x {image.height} px"
        resample = advice() if is_known else _outsize_advice(image, mask) if factor else ""
        raise PipelineError(f"{both} differ in size: {sizes[0]} and {sizes[1]} px; {covers}{resample}")
    if not is_known:
        return
    corners_42 = np.array([(0, 0), (image.width, 0), (0, image.height), (image.width, image.height)], float)
    mask_corners_42 = _to_image_pixels(image.georeference, mask.georeference, corners_42)
    names = " and ".join(crs_label(file.georeference.crs) for file in (image, mask))
    if mask_corners_42 is None:
        raise PipelineError(
            f"{both} differ in CRS: {names}, and no transformation between them exists; set the right one: "
            "gdal_edit.py -a_srs"
        )
    shift = _max_shift(mask_corners_42, corners_42)
    if shift <= MAX_SHIFT:
        return
    for permutation, orientation in ORIENTATIONS:
        if _max_shift(mask_corners_42, corners_42[list(permutation)]) <= MAX_SHIFT:
            raise PipelineError(f"{mask.name} is {orientation} relative to {reference} {image.name}{advice()}")
    if _differ_in_crs(image, mask):
        raise PipelineError(f"{both} differ in CRS: {names}, and are {shift:.3g} px apart{advice()}")
    raise PipelineError(f"{both} are {shift:.3g} px apart; at most {MAX_SHIFT} px is allowed{advice()}")


def _size_factor(image: tuple[int, int], mask: tuple[int, int]) -> str:
    """Return how many times a mask is smaller or larger than its image; empty if its shape is another."""
    small, large = sorted((image, mask))
    factor = large[0] / small[0]
    if factor < MIN_FACTOR or abs(large[1] - factor * small[1]) > factor:  # sides may be rounded
        return ""
    return f"{factor:.3g} times {'smaller' if mask == small else 'larger'}"


def _outsize_advice(image: Gridded, mask: Gridded) -> str:
    size = f"-outsize {image.width} {image.height}"
    return f", or resample it with nearest neighbour: gdal_translate -r nearest {size} {quote(mask.name)} resized.tif"


def crs_label(crs: str | None) -> str:
    """Return `EPSG:NNNN`, or the name at the beginning of WKT."""
    if crs is None or crs.startswith("EPSG:"):
        return crs or "none"
    quoted = crs.split('"')
    return (quoted[1] if len(quoted) > 2 else crs[:40]) or "unnamed"


def _to_image_pixels(image: Georeference, mask: Georeference, corners_N2: np.ndarray) -> np.ndarray | None:
    """Convert (column, row) in the mask to (column, row) in the image; None if no coordinate transformation exists.

    A missing CRS is taken to be that of the other file. Heights are ignored.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # checked below
        xs, ys = mask.transform @ corners_N2.T
    if image.crs != mask.crs and image.crs is not None and mask.crs is not None:
        image_crs, mask_crs = CRS.from_user_input(image.crs), CRS.from_user_input(mask.crs)
        if image_crs != mask_crs:
            try:
                with quiet_gdal():
                    xs, ys = map(np.array, transform_points(mask_crs, image_crs, xs, ys))
            except (RasterioError, CPLE_BaseError, CRSError):  # such as an engineering CRS, or outside the projection
                return None
    with np.errstate(over="ignore", invalid="ignore"):
        pixels_N2 = np.stack(~image.transform @ (xs, ys), axis=-1)
    return pixels_N2 if np.isfinite(pixels_N2).all() else None


def _max_shift(first_N2: np.ndarray, second_N2: np.ndarray) -> float:
    return float(np.abs(first_N2 - second_N2).max())


def _differ_in_crs(image: Gridded, mask: Gridded) -> bool:
    return len({image.georeference.crs, mask.georeference.crs, None}) == 3


def _warp_advice(image: Gridded, mask: Gridded, task: str) -> str:
    """Return the command that resamples the mask to the image's grid, if that is north-up."""
    grid = image.georeference
    if grid.transform.b or grid.transform.d or grid.transform.a < 0 or grid.transform.e > 0:
        return ": align one to the other"
    west, north = grid.corner(0, 0)
    east, south = grid.corner(image.height, image.width)
    crs = f"-s_srs {_crs_argument(mask)} -t_srs {_crs_argument(image)} " if _differ_in_crs(image, mask) else ""
    extent = " ".join(f"{bound:.15g}" for bound in (west, south, east, north))
    return (
        f"; resample {task}: gdalwarp {crs}-te {extent} -ts {image.width} {image.height} {quote(mask.name)} aligned.tif"
    )


def _crs_argument(file: Gridded) -> str:
    """Return a file's CRS for GDAL's command line; GDAL ignores the `.prj` of a GeoTIFF."""
    crs = file.georeference.crs or ""
    if crs.startswith("EPSG:"):
        return crs
    path = Path(file.name)
    if not path.is_file():  # a scene of several files, or an address
        return quote(crs)
    sidecars = find_sidecars(path)
    if crs == crs_text(read_prj(sidecars)):
        return quote(str(sidecars[PRJ]))
    return f'"$(gdalsrsinfo -o wkt {quote(file.name)})"'
