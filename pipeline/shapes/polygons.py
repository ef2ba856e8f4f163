"""Read polygons, and their attributes, from a vector file.

P: polygons.
"""

import warnings
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from shlex import quote

import numpy as np
import shapely
from pyproj import CRS

from pipeline.core.errors import PipelineError
from pipeline.raster.gdal import WARNINGS_LOCK
from pipeline.shapes.vector_files import require_part, vector_source

POLYGON = 3
"""shapely.GeometryType of a polygon."""


@dataclass(frozen=True)
class Polygons:
    """Polygons of a file."""

    name: str
    """The file, for messages."""
    geometries_P: np.ndarray
    """Valid shapely polygons and multipolygons, x and y only."""
    crs: str | None
    """As pyproj reads it; x is longitude or easting. None if the file has none."""
    notes: list[str]
    """What was changed in reading, one line each."""
    attributes: dict[str, np.ndarray] = field(default_factory=dict)
    """Values of each attribute by its name, as pyogrio reads them; None or NaN where there is none."""


def read_polygons(path: Path) -> Polygons:
    """Read the only layer of a GeoPackage, GeoJSON, Shapefile or FlatGeobuf; invalid polygons are repaired.

    Raises:
        PipelineError: the file is missing, unreadable or of another format; it has several layers, no polygons, other
            geometries, no CRS, or coordinates that do not fit its CRS.
    """
    layers = layer_names(path)
    if len(layers) > 1:
        raise PipelineError(
            f"{path} has {len(layers)} layers: {', '.join(layers)}; save one to a file of its own: ogr2ogr one.gpkg "
            f"{quote(str(path))} {quote(layers[0])}"
        )
    polygons = read_layer(path, layers[0], with_attributes=False)
    if polygons.crs is None:
        raise PipelineError(f"{path} has no CRS; {assign_crs(polygons)}")
    return polygons


def assign_crs(polygons: Polygons) -> str:
    """Return how to give a vector file the CRS that it lacks."""
    far_P4 = np.abs(shapely.bounds(polygons.geometries_P))
    in_degrees = bool((far_P4 <= (180, 90, 180, 90)).all())
    kind, code = ("degrees, as it seems", "EPSG:4326") if in_degrees else ("in EPSG:NNNN", "EPSG:NNNN")
    return f"if its coordinates are {kind}: ogr2ogr -a_srs {code} with_crs.gpkg {quote(polygons.name)}"


def layer_names(path: Path) -> list[str]:
    """Return the layers with geometries, at least one; tables without, such as QGIS's styles, do not count.

    Raises:
        PipelineError: the file is missing, unreadable or of another format, or has no such layer.
    """
    import pyogrio  # imports pandas too, 0.2 s that most runs of `download` do not need

    source = vector_source(path)
    with _reading(path):
        layers = [str(name) for name, kind in pyogrio.list_layers(source) if kind is not None]
    if not layers:
        raise PipelineError(f"{path} has no layer with geometries; save the polygons to it")
    return layers


def read_layer(path: Path, layer: str, with_attributes: bool = True) -> Polygons:
    """Read a layer of polygons; invalid ones are repaired, features without geometry left out.

    Args:
        path: a GeoPackage, GeoJSON, Shapefile or FlatGeobuf.
        layer: one of `layer_names`.
        with_attributes: whether to read them too.

    Raises:
        PipelineError: the layer is unreadable, has no polygons, other geometries, or coordinates that do not fit its
            CRS.
    """
    from pyogrio import raw

    source = vector_source(path)
    if with_attributes:
        require_part(path, ".dbf")  # else GDAL reads none, silently
    with _reading(path):
        info, _, wkb_P, values = raw.read(source, layer=layer, columns=None if with_attributes else [], force_2d=True)
        geometries_P = shapely.from_wkb(wkb_P)
    has_geometry_P = ~shapely.is_missing(geometries_P) & ~shapely.is_empty(geometries_P)
    _require_polygons(path, geometries_P[has_geometry_P])
    if info["crs"] is not None:
        _require_degrees(path, geometries_P[has_geometry_P], info["crs"])
    repaired_P, notes = _repair(path, geometries_P[has_geometry_P])
    is_left_P = ~shapely.is_empty(repaired_P)
    if without := int((~has_geometry_P).sum()):
        notes.append(f"{path}: {without} of {len(geometries_P)} features have no geometry and are left out")
    attributes = {
        str(name): np.asarray(values_P)[has_geometry_P][is_left_P]
        for name, values_P in zip(info["fields"], values, strict=True)
    }
    return Polygons(str(path), repaired_P[is_left_P], info["crs"], notes, attributes)


def polygon_parts(geometries_N: np.ndarray) -> np.ndarray:
    """Return the polygons of multipolygons and collections; points, lines and what is empty are dropped."""
    return indexed_parts(geometries_N)[0]


def indexed_parts(geometries_N: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the `polygon_parts`, and the index of the geometry that each is part of."""
    members_M, index_M = shapely.get_parts(geometries_N, return_index=True)
    parts_P, index_P = shapely.get_parts(members_M, return_index=True)  # a collection may contain multipolygons
    is_polygon_P = (shapely.get_type_id(parts_P) == POLYGON) & ~shapely.is_empty(parts_P)
    return np.asarray(parts_P[is_polygon_P]), np.asarray(index_M[index_P][is_polygon_P])


@contextmanager
def _reading(path: Path) -> Iterator[None]:
    """Convert the errors of libraries over a file."""
    with WARNINGS_LOCK, warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # GDAL's, such as about the nesting of rings: repaired below
        try:
            yield
        except (RuntimeError, ValueError, shapely.errors.GEOSException) as error:
            reason = " ".join(str(error).split())
            if reason == "Failed to read GeoJSON data":
                raise PipelineError(
                    f"{path} is not GeoJSON; other JSON, such as of COCO or LabelMe, is not read: convert it to "
                    "GeoPackage, or to masks"
                ) from None
            raise PipelineError(
                f"{path} is not a readable vector file: {reason}; save it again as GeoPackage"
            ) from None


def _require_polygons(path: Path, present_P: np.ndarray) -> None:
    """Check that there are polygons, and nothing else.

    Args:
        path: for messages.
        present_P: the geometries that are not empty.

    Raises:
        PipelineError: there is none, or something else, or a coordinate is not finite.
    """
    kinds = Counter(shapely.GeometryType(kind).name.lower() for kind in shapely.get_type_id(present_P))
    polygons = kinds.pop("polygon", 0) + kinds.pop("multipolygon", 0)
    if kinds:
        others = ", ".join(f"{count} {kind}{'s' * (count > 1)}" for kind, count in sorted(kinds.items()))
        raise PipelineError(
            f"{path} contains {others} and {polygons} polygon{'s' * (polygons != 1)}; only polygons are read: remove "
            "the others, or buffer them in a GIS"
        )
    if not polygons:
        raise PipelineError(f"{path} contains no polygon; draw at least one")
    if not np.isfinite(shapely.get_coordinates(present_P)).all():
        raise PipelineError(f"{path} has coordinates that are not finite; save it again as GeoPackage")


def _require_degrees(path: Path, geometries_P: np.ndarray, crs: str) -> None:
    """Check that coordinates in degrees are some; GeoJSON without a CRS is in degrees, RFC 7946."""
    x, y = np.abs(shapely.get_coordinates(geometries_P)).max(axis=0)
    if CRS.from_user_input(crs).is_geographic and (x > 360 or y > 90):
        raise PipelineError(
            f"{path} has coordinates up to {x:g}, {y:g}, which look like projected coordinates, but its CRS is in "
            "degrees, as of any GeoJSON without a known crs; if they are in EPSG:NNNN: ogr2ogr -a_srs EPSG:NNNN "
            f"projected.gpkg {quote(str(path))}"
        )


def _repair(path: Path, geometries_P: np.ndarray) -> tuple[np.ndarray, list[str]]:
    """Return valid polygons and multipolygons, empty where nothing is left, and a note."""
    with WARNINGS_LOCK:  # shapely changes the filters
        invalid_P = ~shapely.is_valid(geometries_P)
    if not invalid_P.any():
        return geometries_P, []
    reason = shapely.is_valid_reason(geometries_P[invalid_P][0])
    repaired_P = geometries_P.copy()
    repaired_P[invalid_P] = [_valid(geometry) for geometry in geometries_P[invalid_P]]
    if shapely.is_empty(repaired_P).all():
        raise PipelineError(f"{path} contains no valid polygon: {reason}; repair it in a GIS")
    count = f"{invalid_P.sum()} of {len(geometries_P)} polygons"
    return repaired_P, [f"{path}: {count} were invalid and have been repaired, the first: {reason}"]


def _valid(geometry: shapely.Geometry) -> shapely.Geometry:
    """Return a valid multipolygon: the union of its parts, which make_valid would cut out where they overlap."""
    parts_P = polygon_parts(shapely.make_valid(shapely.get_parts(geometry)))
    return shapely.multipolygons(polygon_parts(np.array([shapely.union_all(parts_P)])))
