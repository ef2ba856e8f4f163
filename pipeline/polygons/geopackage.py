"""Write the polygons of a class map to a GeoPackage, chunk by chunk, with a style with which QGIS opens it in colour.

N: polygons of a chunk.
"""

import errno
import os
import shutil
import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field, fields
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyogrio import raw

from pipeline.core.errors import PipelineError
from pipeline.core.files import require_writable_parent
from pipeline.formats.classes import ClassTable
from pipeline.polygons.style import polygon_qml

ENDING = ".gpkg"
CLASS_COLUMN = "class_id"
GEOMETRY_COLUMN = "geom"
STYLES = "layer_styles"
"""The table in which QGIS looks for the styles of a file."""
VERSION = "1.2"
"""Of the GeoPackage standard; GDAL before 3.7 warns of the current default, 1.4."""
RESERVED = ("gpkg", "sqlite_", STYLES, *"`~!@#$%^&*()+-={}|[]\\:\";'<>?,./")
"""Starts of names that a layer cannot have: those of GeoPackage and SQLite, the table of styles, and what GDAL refuses
(`OGRGeoPackageLayer`: a name must not begin with a special character)."""
FULL = "disk is full"
"""What SQLite reports. GDAL passes it on as text, or reports what failed as a consequence: see `_is_full`."""
EXPECTED_WARNINGS = (
    ".*extension.*GPKG",  # of a temporary name
    ".*non conformant file extension",
    "'crs' was not provided",
)


@dataclass(frozen=True)
class Features:
    """A chunk of polygons with their attributes."""

    polygon_N: np.ndarray
    """shapely polygons in the CRS of the map."""
    patch_N: np.ndarray
    """Patch id, int64; the pieces of a patch that is cut at block lines share it."""
    class_N: np.ndarray
    """Class id, uint8."""
    pixels_N: np.ndarray
    """Number of pixels, int64."""
    area_N: np.ndarray
    """In m², float64; NaN where unknown, as without georeference."""
    confidence_N: np.ndarray
    """Mean over the pixels in per cent, float64; NaN for maps without confidence."""


def require_writable(path: Path, option: str, inputs: Iterable[Path] = ()) -> None:
    """Check the name of a GeoPackage before there is anything to write.

    Args:
        path: of the file.
        option: by which the user gave it, for the message.
        inputs: files that are read.

    Raises:
        PipelineError: it does not end in .gpkg, is a folder or an input, is in a folder that cannot be written to, or
            has a name that pyogrio cannot open.
    """
    if path.suffix.lower() != ENDING:
        raise PipelineError(
            f"{option} {path}: only GeoPackage is written; give a name that ends in {ENDING}, and convert its layer "
            "for other formats: ogr2ogr map.geojson map.gpkg map"
        )
    if path.is_dir():
        raise PipelineError(f"{option} {path} is a folder; give the name of a file")
    if path.resolve() in [given.resolve() for given in inputs]:
        raise PipelineError(f"{option} {path} would be overwritten, but it is an input; choose another name")
    require_writable_parent(path, f"{option} {path}")
    if "!" in str(path.absolute()):  # pyogrio opens what follows it, as a member of an archive
        raise PipelineError(
            f"{option} {path.absolute()} contains an exclamation mark, which is not supported; give another name"
        )


@dataclass(frozen=True)
class LayerInfo:
    """What a layer contains besides its polygons."""

    name: str
    """`map_` is put before the names of `RESERVED`."""
    table: ClassTable
    """Names and colours of all classes in the layer."""
    crs: str | None
    """`EPSG:NNNN` or WKT, as in `Georeference`; None for none."""
    metadata: dict[str, str] = field(default_factory=dict)


def write_geopackage(path: Path, chunks: Iterable[Features], info: LayerInfo) -> int:
    """Write polygons to a GeoPackage; memory is bounded by the largest chunk.

    The layer has the columns `patch`, `class_id`, `class` (the name), `pixels`, `area_m2` and `confidence` (the last
    two NULL where unknown, so that the columns of all maps are the same), a spatial index, and its style in
    `layer_styles`. 1.8 million polygons of 20 vertices, 50,000 a chunk, took 18 s and 0.97 GB on disk; half of the
    time is the spatial index's.

    Args:
        path: a file that does not exist yet; its ending does not matter.
        chunks: may be empty, which gives an empty layer.
        info: name, classes, CRS and metadata of the layer.

    Returns:
        Number of polygons.

    Raises:
        PipelineError: GDAL cannot write the file.
        OSError: the disk is full.
    """
    layer = f"map_{info.name}" if info.name.lower().startswith(RESERVED) else info.name
    name_C = np.full(256, None, object)
    name_C[list(info.table.ids)] = info.table.names
    options = {"layer": layer, "geometry_type": "Polygon", "crs": info.crs}
    new = {"append": False, "dataset_options": {"VERSION": VERSION}, "layer_metadata": info.metadata or None}
    _write(path, _columns(_empty(), name_C), shapely.to_wkb(_empty().polygon_N), **options, **new)
    count = 0
    for features in chunks:
        _write(path, _columns(features, name_C), shapely.to_wkb(features.polygon_N), **options, append=True)
        count += len(features.polygon_N)
    _write(path, _style_columns(info.table, layer), None, layer=STYLES, layer_options={"FID": "id"}, append=False)
    return count


def _empty() -> Features:
    integers = np.empty(0, np.int64)
    return Features(np.empty(0, object), integers, np.empty(0, np.uint8), integers, np.empty(0), np.empty(0))


def _columns(features: Features, name_C: np.ndarray) -> dict[str, np.ndarray]:
    return {
        "patch": features.patch_N.astype(np.int64),
        CLASS_COLUMN: features.class_N.astype(np.int32),
        "class": name_C[features.class_N],
        "pixels": features.pixels_N.astype(np.int64),
        "area_m2": features.area_N.round(4),  # NaN is written as NULL
        "confidence": features.confidence_N.round(2),
    }


def _style_columns(table: ClassTable, layer: str) -> dict[str, np.ndarray]:
    """Return the row of `layer_styles`, with the columns that QGIS gives the table."""
    row = {
        "f_table_catalog": "",
        "f_table_schema": "",
        "f_table_name": layer,
        "f_geometry_column": GEOMETRY_COLUMN,
        "styleName": "classes",
        "styleQML": polygon_qml(table, CLASS_COLUMN),
        "styleSLD": "",
        "useAsDefault": True,
        "description": "",
        "owner": "",
        "ui": "",
        "update_time": np.datetime64(datetime.now(UTC).replace(tzinfo=None), "ms"),
    }
    return {name: np.array([value], object if isinstance(value, str) else None) for name, value in row.items()}


def _write(path: Path, columns: dict[str, np.ndarray], wkb_N: np.ndarray | None, **options: Any) -> None:
    """Write rows with pyogrio: a new layer, or to the end of an existing one with `append`."""
    with warnings.catch_warnings():
        for message in EXPECTED_WARNINGS:
            warnings.filterwarnings("ignore", message)
        try:
            raw.write(str(path.absolute()), wkb_N, list(columns.values()), list(columns), driver="GPKG", **options)
        except RuntimeError as error:  # the base of pyogrio's errors
            reason = " ".join(str(error).split())
            if FULL in reason or _is_full(path, 0 if wkb_N is None else sum(map(len, wkb_N))):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path)) from None
            raise PipelineError(f"{path} cannot be written: {reason}") from None


def _is_full(path: Path, size: int) -> bool:
    """Whether a disk has no space for rows with `size` bytes of geometry, after SQLite has rolled them back.

    Attributes and spatial index take up to three times the space of a small geometry; a new file takes 0.1 MB.
    """
    try:
        return shutil.disk_usage(path.absolute().parent).free < 4 * size + 2**20
    except OSError:  # no such folder
        return False


def dissolve(chunks: Iterable[Features]) -> Features:
    """Merge the pieces of each patch: one polygon, the sums of pixels and area, the mean confidence of all pixels.

    All polygons are in memory at once. Vertices stay, also those on straight borders along block lines: to remove them
    alike in both neighbours (`shapely.coverage_simplify`) takes minutes for a map of 10,980 px a side.

    Args:
        chunks: pieces that together cover each patch without overlap; neighbours share all vertices.

    Returns:
        Patches in the order of their ids.
    """
    pieces = _concatenate([_empty(), *chunks])
    _, first_P, patch_N, count_P = np.unique(pieces.patch_N, return_index=True, return_inverse=True, return_counts=True)
    polygon_P = pieces.polygon_N[first_P]
    piece_N = np.argsort(patch_N, kind="stable")
    for patch, own in enumerate(np.split(piece_N, np.cumsum(count_P)[:-1])):
        if len(own) > 1:
            polygon_P[patch] = shapely.coverage_union_all(pieces.polygon_N[own])
    pixels_P = _sums(patch_N, pieces.pixels_N)
    return Features(
        polygon_P,
        pieces.patch_N[first_P],
        pieces.class_N[first_P],
        pixels_P,
        _sums(patch_N, pieces.area_N),
        _sums(patch_N, pieces.confidence_N * pieces.pixels_N) / pixels_P,
    )


def _concatenate(chunks: list[Features]) -> Features:
    names = [column.name for column in fields(Features)]
    return Features(**{name: np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in names})


def _sums(patch_N: np.ndarray, value_N: np.ndarray) -> np.ndarray:
    return np.bincount(patch_N, value_N).astype(value_N.dtype)  # exact for counts: sums below 2**53
