"""Read polygons from a vector file, and place them in a scene.

P: polygons. Pixel coordinates are (column, row) from the scene's top-left corner; the centre of a pixel is at .5.
"""

import warnings
from dataclasses import dataclass
from pathlib import Path
from shlex import quote

import numpy as np
import pyogrio
import shapely
from pyogrio import raw
from pyproj import CRS, Transformer
from pyproj.exceptions import ProjError
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.grids import Gridded, crs_label
from pipeline.shapes.vector_files import vector_source

POLYGON = 3
"""shapely.GeometryType of a polygon."""
Box = tuple[float, float, float, float]
"""West, south, east, north."""
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
class Polygons:
    """Polygons of a file."""

    name: str
    """The file, for messages."""
    geometries_P: np.ndarray
    """Valid shapely polygons and multipolygons, x and y only."""
    crs: str
    """As pyproj reads it; x is longitude or easting."""
    notes: list[str]
    """What was changed in reading, one line each."""


def read_polygons(path: Path) -> Polygons:
    """Read the only layer of a GeoPackage, GeoJSON, Shapefile or FlatGeobuf; invalid polygons are repaired.

    Raises:
        PipelineError: the file is missing, unreadable or of another format; it has several layers, no polygons, other
            geometries, no CRS, or coordinates that do not fit its CRS.
    """
    source = vector_source(path)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # GDAL's, such as about the nesting of rings: repaired below
        try:
            layer = _only_layer(path, source)
            info, _, wkb_P, _ = raw.read(source, layer=layer, columns=[], force_2d=True)
            geometries_P = shapely.from_wkb(wkb_P)
        except (RuntimeError, ValueError, shapely.errors.GEOSException) as error:
            reason = " ".join(str(error).split())
            raise PipelineError(
                f"{path} is not a readable vector file: {reason}; save it again as GeoPackage"
            ) from None
    geometries_P = _require_polygons(path, geometries_P)
    if info["crs"] is None:
        raise PipelineError(
            f"{path} has no CRS; if its coordinates are in EPSG:NNNN: ogr2ogr -a_srs EPSG:NNNN with_crs.gpkg "
            f"{quote(str(path))}"
        )
    _require_degrees(path, geometries_P, info["crs"])
    geometries_P, notes = _repair(path, geometries_P)
    return Polygons(str(path), geometries_P, info["crs"], notes)


def polygon_parts(geometries_N: np.ndarray) -> np.ndarray:
    """Return the polygons of multipolygons and collections; points, lines and what is empty are dropped."""
    parts_P = shapely.get_parts(shapely.get_parts(geometries_N))  # a collection may contain multipolygons
    return np.asarray(parts_P[(shapely.get_type_id(parts_P) == POLYGON) & ~shapely.is_empty(parts_P)])


def to_pixels(polygons: Polygons, scene: Gridded) -> np.ndarray:
    """Return the parts of polygons within a scene, in its pixel coordinates.

    Raises:
        PipelineError: the scene has no position, or no polygon overlaps it.
    """
    place = scene.georeference
    if place.crs is None or not place.is_known:
        raise PipelineError(
            f"{scene.name} has no {'CRS' if place.is_known else 'georeference'}, so that {polygons.name} cannot be "
            f"placed in it; set it: gdal_edit.py -a_srs EPSG:NNNN -a_ullr WEST NORTH EAST SOUTH {quote(scene.name)}"
        )
    try:
        to_scene = Transformer.from_crs(polygons.crs, place.crs, always_xy=True)
        extent = to_scene.transform_bounds(*_extent(scene), direction="INVERSE", densify_pts=21)
        if not np.isfinite(extent).all():
            raise ProjError(OUTSIDE)
        pixels_P = _reproject(polygons.geometries_P, extent, to_scene, place.transform)
    except ProjError as error:
        raise PipelineError(
            f"{polygons.name} cannot be placed in {scene.name}: {' '.join(str(error).split())}; check both CRSs, "
            f"{crs_label(polygons.crs)} and {crs_label(place.crs)}, and the scene's position with gdalinfo"
        ) from None
    within_P = clip(pixels_P, scene.height, scene.width)
    if not len(within_P):
        given = shapely.total_bounds(polygons.geometries_P)
        extents = [" ".join(f"{value:.6g}" for value in box) for box in (given, extent)]
        raise PipelineError(
            f"{polygons.name} covers {extents[0]} and {scene.name} {extents[1]} (W S E N in "
            f"{crs_label(polygons.crs)}): they do not overlap"
        )
    return within_P


def clip(pixels_P: np.ndarray, height: int, width: int) -> np.ndarray:
    """Return valid parts of polygons within a scene of this size, all in pixel coordinates."""
    rounded_P = shapely.transform(pixels_P, lambda points_N2: np.round(points_N2 / PRECISION) * PRECISION)
    return polygon_parts(shapely.intersection(_valid(rounded_P), shapely.box(0, 0, width, height)))


def _only_layer(path: Path, source: str) -> str:
    """Return the name of the layer; tables without geometry, such as QGIS's styles, do not count."""
    layers = [name for name, kind in pyogrio.list_layers(source) if kind is not None]
    if len(layers) > 1:
        raise PipelineError(
            f"{path} has {len(layers)} layers: {', '.join(layers)}; save one to a file of its own: ogr2ogr one.gpkg "
            f"{quote(str(path))} {quote(layers[0])}"
        )
    if not layers:
        raise PipelineError(f"{path} has no layer with geometries; save the polygons to it")
    return str(layers[0])


def _require_polygons(path: Path, geometries_N: np.ndarray) -> np.ndarray:
    """Return the polygons without missing and empty ones.

    Raises:
        PipelineError: there is none, or something else.
    """
    present_P = geometries_N[~shapely.is_missing(geometries_N) & ~shapely.is_empty(geometries_N)]
    kinds = {shapely.GeometryType(kind).name.lower() for kind in shapely.get_type_id(present_P)}
    if others := kinds - {"polygon", "multipolygon"}:
        raise PipelineError(
            f"{path} contains {', '.join(sorted(others))}; an area is made of polygons: remove the others, or buffer "
            "them in a GIS"
        )
    if not len(present_P):
        raise PipelineError(f"{path} contains no polygon; draw the area to map, or omit --aoi")
    if not np.isfinite(shapely.get_coordinates(present_P)).all():
        raise PipelineError(f"{path} has coordinates that are not finite; save it again as GeoPackage")
    return np.asarray(present_P)


def _require_degrees(path: Path, geometries_P: np.ndarray, crs: str) -> None:
    """Check that coordinates in degrees are some; GeoJSON without a CRS is in degrees, RFC 7946."""
    x, y = np.abs(shapely.get_coordinates(geometries_P)).max(axis=0)
    if CRS.from_user_input(crs).is_geographic and (x > 360 or y > 90):
        raise PipelineError(
            f"{path} has coordinates up to {x:g}, {y:g}, which look like projected coordinates, but its CRS is in "
            "degrees, as of any GeoJSON without a crs; if they are in EPSG:NNNN: ogr2ogr -a_srs EPSG:NNNN "
            f"projected.gpkg {quote(str(path))}"
        )


def _repair(path: Path, geometries_P: np.ndarray) -> tuple[np.ndarray, list[str]]:
    invalid_P = ~shapely.is_valid(geometries_P)
    if not invalid_P.any():
        return geometries_P, []
    reason = shapely.is_valid_reason(geometries_P[invalid_P][0])
    repaired_P = polygon_parts(shapely.make_valid(geometries_P))
    if not len(repaired_P):
        raise PipelineError(f"{path} contains no valid polygon: {reason}; repair it in a GIS")
    count = f"{invalid_P.sum()} of {len(geometries_P)} polygons"
    return repaired_P, [f"{path}: {count} were invalid and have been repaired, the first: {reason}"]


def _valid(polygons_P: np.ndarray) -> np.ndarray:
    invalid_P = ~shapely.is_valid(polygons_P)
    polygons_P[invalid_P] = shapely.make_valid(polygons_P[invalid_P])
    return polygons_P


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

    def convert(xs: np.ndarray, ys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        columns, rows = ~transform @ np.array(to_scene.transform(xs, ys))
        return columns, rows

    pixels_P = np.asarray(shapely.transform(dense_P, convert, interleaved=False))
    if not np.isfinite(shapely.get_coordinates(pixels_P)).all():
        raise ProjError(OUTSIDE)
    return pixels_P


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
