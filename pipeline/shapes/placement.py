"""Place polygons on the pixel grid of an image.

P: polygons. Pixel coordinates are (column, row) from the image's top-left corner; the centre of a pixel is at .5.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np
import shapely
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.grids import Gridded, crs_label
from pipeline.raster.layout import TIFF_ENDINGS
from pipeline.shapes.polygons import Polygons, assign_crs, indexed_parts, polygon_parts

Box = tuple[float, float, float, float]
"""West, south, east, north."""
Convert = Callable[[np.ndarray, np.ndarray], tuple[np.ndarray, np.ndarray]]
"""From x and y to columns and rows."""
EDGE_POINTS = 1000
"""Points along the larger side of a scene at which edges of polygons are reprojected: over a Sentinel-2 tile, a
parallel then deviates from its chords by millimetres."""
MARGIN = 0.05
"""Share of a scene's extent by which polygons may exceed it before they are reprojected: far outside, projections are
undefined."""
PRECISION = 2.0**-20
"""Pixels to which coordinates are rounded: reprojection leaves the edges of pixels by less."""
OUTSIDE = "outside of the projection"


@dataclass(frozen=True)
class Placed:
    """Polygons near a scene, in its pixel coordinates."""

    pixels_P: np.ndarray
    """Polygons without multipolygons; they may reach beyond the scene."""
    index_P: np.ndarray
    """Which of `Polygons.geometries_P` each is part of."""
    is_mirrored: bool
    """Whether rows run against the y axis, or columns against x, as in north-up images: GDAL's rule for centres on
    horizontal edges depends on it."""
    apart: str
    """The extents of all polygons and of the scene, for a message."""


def to_pixels(polygons: Polygons, scene: Gridded) -> np.ndarray:
    """Return the parts of polygons within a scene, in its pixel coordinates.

    Raises:
        PipelineError: the scene has no position, or no polygon overlaps it.
    """
    placed = place(polygons, scene)
    within_P = clip(placed.pixels_P, scene.height, scene.width)
    if not len(within_P):
        raise PipelineError(f"{placed.apart}: they do not overlap")
    return within_P


def place(polygons: Polygons, scene: Gridded) -> Placed:
    """Convert the polygons near a scene to its pixel coordinates.

    In the scene's own CRS these are the coordinates that GDAL computes, to the last bit. From another CRS, edges are
    reprojected at many points and rounded to `PRECISION`. Polygons without a CRS fit an image without one.

    Raises:
        PipelineError: the scene or the polygons have no position, or a coordinate cannot be transformed.
    """
    grid = scene.georeference
    _require_position(polygons, scene)
    try:
        if _is_same(polygons.crs, grid.crs):
            extent = _extent(scene)
            near_P, index_P = _near(polygons.geometries_P, extent)
            pixels_P = _convert(near_P, _to_grid(grid.transform))
        else:
            to_scene = Transformer.from_crs(polygons.crs, grid.crs, always_xy=True)
            extent = to_scene.transform_bounds(*_extent(scene), direction="INVERSE", densify_pts=21)
            if not np.isfinite(extent).all():
                raise ProjError(OUTSIDE)
            near_P, index_P = _near(polygons.geometries_P, extent)
            pixels_P = _reproject(near_P, extent, to_scene, grid.transform)
    except ProjError as error:
        raise PipelineError(
            f"{polygons.name} cannot be placed in {scene.name}: {' '.join(str(error).split())}; check both CRSs, "
            f"{crs_label(polygons.crs)} and {crs_label(grid.crs)}, and the scene's position with gdalinfo"
        ) from None
    parts_P, part_of_P = indexed_parts(pixels_P)
    is_mirrored = grid.transform.determinant < 0
    return Placed(parts_P, index_P[part_of_P], is_mirrored, _describe(polygons, scene, extent))


def clip(pixels_P: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return valid parts of polygons within a scene of this size, all in pixel coordinates."""
    rounded_P = shapely.transform(pixels_P, _round)
    return polygon_parts(shapely.intersection(_valid(rounded_P), shapely.box(0, 0, width, height)))


def _require_position(polygons: Polygons, scene: Gridded) -> None:
    """Check that polygons and scene are in CRSs, or both in none but with a transform."""
    grid = scene.georeference
    if not grid.is_known or (grid.crs is None and polygons.crs is not None):
        missing, corners = ("CRS", "") if grid.is_known else ("georeference", "-a_ullr WEST NORTH EAST SOUTH ")
        read_only = "" if Path(scene.name).suffix.lower() in TIFF_ENDINGS else "-ro "  # written to a file beside it
        raise PipelineError(
            f"{scene.name} has no {missing}, so that {polygons.name} cannot be placed in it; set it: gdal_edit.py "
            f"{read_only}-a_srs EPSG:NNNN {corners}{quote(scene.name)}"
        )
    if polygons.crs is None and grid.crs is not None:
        raise PipelineError(
            f"{polygons.name} has no CRS, but {scene.name} has {crs_label(grid.crs)}; {assign_crs(polygons)}"
        )


def _is_same(first: str | None, second: str | None) -> bool:
    """Return whether coordinates, x before y, are the same in both CRSs."""
    if first == second or first is None or second is None:
        return first == second
    return CRS.from_user_input(first).equals(CRS.from_user_input(second), ignore_axis_order=True)


def _to_grid(transform: Affine) -> Convert:
    """Return the inverse of a transform, rounded as by GDALInvGeoTransform.

    Affine's own inverse is rounded otherwise: pixels whose centres lie on edges would differ from GDAL's.
    """
    a, b, c, d, e, f = transform[:6]
    if b == d == 0:
        return lambda xs, ys: (-c / a + xs * (1 / a), -f / e + ys * (1 / e))
    scale = 1 / (a * e - b * d)
    west, north = (b * f - c * e) * scale, (-a * f + c * d) * scale
    return lambda xs, ys: (
        west + xs * (e * scale) + ys * (-b * scale),
        north + xs * (-d * scale) + ys * (a * scale),
    )


def _near(geometries_P: np.ndarray, extent: Box) -> tuple[np.ndarray, np.ndarray]:
    """Return the polygons that meet an extent, or its margin, and their indices."""
    around = _around(*extent)
    shapely.prepare(around)
    index_P = np.flatnonzero(shapely.intersects(around, geometries_P))
    return geometries_P[index_P], index_P


def _convert(polygons_P: np.ndarray, convert: Convert) -> np.ndarray:
    pixels_P = np.asarray(shapely.transform(polygons_P, convert, interleaved=False))
    if not np.isfinite(shapely.get_coordinates(pixels_P)).all():
        raise ProjError(OUTSIDE)
    return pixels_P


def _valid(polygons_P: np.ndarray) -> np.ndarray:
    invalid_P = ~shapely.is_valid(polygons_P)
    polygons_P[invalid_P] = shapely.make_valid(polygons_P[invalid_P])
    return polygons_P


def _round(points_N2: np.ndarray) -> np.ndarray:
    return np.round(points_N2 / PRECISION) * PRECISION


def _reproject(polygons_P: np.ndarray, extent: Box, to_scene: Transformer, transform: Affine) -> np.ndarray:
    """Convert what is near a scene to its pixel coordinates.

    Args:
        polygons_P: valid polygons.
        extent: of the scene in the CRS of the polygons; west > east across the antimeridian.
        to_scene: from the CRS of the polygons to that of the scene.
        transform: of the scene.

    Raises:
        ProjError: a coordinate cannot be transformed.
    """
    west, south, east, north = extent
    side = max(east - west + 360 * (west > east), north - south)
    dense_P = shapely.segmentize(shapely.intersection(polygons_P, _around(*extent)), side / EDGE_POINTS)
    to_grid = _to_grid(transform)
    pixels_P = _convert(dense_P, lambda xs, ys: to_grid(*map(np.asarray, to_scene.transform(xs, ys))))
    return np.asarray(shapely.transform(pixels_P, _round))


def _describe(polygons: Polygons, scene: Gridded, extent: Box) -> str:
    bounds_P4 = shapely.bounds(polygons.geometries_P)  # total_bounds changes the warning filters of all threads
    given = (*bounds_P4[:, :2].min(axis=0), *bounds_P4[:, 2:].max(axis=0))
    extents = [" ".join(f"{value:.6g}" for value in box) for box in (given, extent)]
    return f"{polygons.name} covers {extents[0]} and {scene.name} {extents[1]} (W S E N in {crs_label(polygons.crs)})"


def _extent(scene: Gridded) -> Box:
    """Return the extent of a scene in its CRS, of a rotated one too."""
    columns, rows = np.array([0, scene.width, 0, scene.width]), np.array([0, 0, scene.height, scene.height])
    xs, ys = scene.georeference.transform @ (columns, rows)
    return float(xs.min()), float(ys.min()), float(xs.max()), float(ys.max())


def _around(west: float, south: float, east: float, north: float) -> shapely.Geometry:
    """Return a box that is larger by `MARGIN` on every side; two boxes if it crosses the antimeridian."""
    if west > east:
        margin = MARGIN * (east - west + 360)
        return shapely.union(_around(west, south, 180 + margin, north), _around(-180 - margin, south, east, north))
    across, along = MARGIN * (east - west), MARGIN * (north - south)
    return shapely.box(west - across, south - along, east + across, north + along)
