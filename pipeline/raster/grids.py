"""Whether a mask lies on the pixels of its image."""

from shlex import quote

import numpy as np
import rasterio
from rasterio._err import CPLE_BaseError
from rasterio.crs import CRS
from rasterio.errors import CRSError, RasterioError
from rasterio.session import DummySession
from rasterio.warp import transform as reproject

from pipeline.core.errors import PipelineError
from pipeline.raster.geotiff import Georeference, GeoTiff

MOST_APART = 0.1
"""Pixels that a corner of a mask may lie off that of its image."""


def require_same_grid(image: GeoTiff, mask: GeoTiff) -> None:
    """Check that a mask lies on its image, pixel on pixel.

    Raises:
        PipelineError: another size; or, where both say where they lie, a corner that is more than 0.1 px off, in
            the image's CRS. One that says nothing is taken to lie right.
    """
    both = f"{image.path} and {mask.path}"
    sizes = [(file.width, file.height) for file in (image, mask)]
    known = image.georeference.known and mask.georeference.known
    if sizes[0] != sizes[1]:
        told = "; a mask covers its image exactly" + (_mended(image, mask) if known else "")
        raise PipelineError(f"{both} differ in size: {sizes[0]} and {sizes[1]} px{told}")
    if not known:
        return
    corners_42 = np.array([(0, 0), (image.width, 0), (0, image.height), (image.width, image.height)], float)
    there_42 = _seen_from(image.georeference, mask.georeference, corners_42)
    names = [short_name(each.georeference.crs) for each in (image, mask)]
    if there_42 is None:
        raise PipelineError(f"{both} differ in CRS: {names[0]} and {names[1]}{_mended(image, mask)}")
    if _apart(there_42, corners_42) <= MOST_APART:
        return
    for turned, told in (
        ((2, 3, 0, 1), "from south to north"),
        ((1, 0, 3, 2), "mirrored"),
        ((3, 2, 1, 0), "turned by 180°"),
    ):
        if _apart(there_42, corners_42[list(turned)]) <= MOST_APART:
            raise PipelineError(f"{mask.path} is stored {told}, and its image is not{_mended(image, mask)}")
    off = _apart(there_42, corners_42)
    if image.georeference.crs != mask.georeference.crs and None not in (image.georeference.crs, mask.georeference.crs):
        raise PipelineError(
            f"{both} differ in CRS: {names[0]} and {names[1]}, and lie {off:.3g} px apart{_mended(image, mask)}"
        )
    raise PipelineError(f"{both} lie {off:.3g} px apart; at most {MOST_APART} px is allowed{_mended(image, mask)}")


def short_name(crs: str | None) -> str:
    """`EPSG:NNNN`, or the name that a CRS written out begins with."""
    if crs is None or crs.startswith("EPSG:"):
        return crs or "none"
    quoted = crs.split('"')
    return quoted[1] if len(quoted) > 2 else crs[:40]


def _seen_from(ours: Georeference, theirs: Georeference, corners_N2: np.ndarray) -> np.ndarray | None:
    """Corners (column, row) of their grid as columns and rows of ours; None if their CRS cannot become ours.

    A CRS that one of the two does not name is taken to be the other's. Heights do not matter.
    """
    with np.errstate(over="ignore", invalid="ignore"):  # of a place beyond any ground, which is told below
        xs, ys = theirs.transform @ corners_N2.T
    if ours.crs != theirs.crs and ours.crs is not None and theirs.crs is not None:
        our_crs, their_crs = CRS.from_user_input(ours.crs), CRS.from_user_input(theirs.crs)
        if our_crs != their_crs:
            try:
                with rasterio.Env(session=DummySession()):  # else GDAL prints what it dislikes
                    xs, ys = map(np.array, reproject(their_crs, our_crs, xs, ys))
            except (RasterioError, CPLE_BaseError, CRSError):  # such as a site's own grid, or off the projection
                return None
    with np.errstate(over="ignore", invalid="ignore"):
        there_N2 = np.stack(~ours.transform @ (xs, ys), axis=-1)
    return there_N2 if np.isfinite(there_N2).all() else None


def _apart(there_N2: np.ndarray, corners_N2: np.ndarray) -> float:
    return float(np.abs(there_N2 - corners_N2).max())


def _mended(image: GeoTiff, mask: GeoTiff) -> str:
    """The command that puts the mask on the image's grid, if that lies upright."""
    place = image.georeference
    if place.transform.b or place.transform.d or place.transform.a < 0 or place.transform.e > 0:
        return ": align one to the other"
    west, north = place.corner(0, 0)
    east, south = place.corner(image.height, image.width)
    own = f'"$(gdalsrsinfo -o wkt {quote(str(image.path))})"'
    crs = place.crs if place.crs and place.crs.startswith("EPSG:") else own
    onto = f"-t_srs {crs} " if place.crs else ""
    extent = " ".join(f"{each:.15g}" for each in (west, south, east, north))
    return (
        f"; put the mask on its image's grid: gdalwarp {onto}-te {extent} -ts {image.width} {image.height} "
        f"{quote(str(mask.path))} aligned.tif"
    )
