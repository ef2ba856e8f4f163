"""Tile indexes: vector files that list GeoTIFFs, as `gdaltindex` writes them and GDAL's GTI driver reads them.

The order and the options are those of https://gdal.org/en/stable/drivers/raster/gti.html; files must lie on one grid.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import pyogrio
from pyogrio.errors import DataLayerError, DataSourceError, FeatureError
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.raster.grids import Grid
from pipeline.raster.sidecars import parse_number, parse_transform, read_xml
from pipeline.scenes.common_grid import place_files, read_grid
from pipeline.scenes.geotiff_scene import open_scene
from pipeline.scenes.mosaic import Mosaic, open_mosaic
from pipeline.scenes.mosaic_files import is_local_file, refuse, remote_url, stated_grid
from pipeline.scenes.scene import ReadOptions
from pipeline.shapes.vector_files import DRIVERS, vector_source

GTI = ".gti"
RESOLUTION, EXTENT, SIZES = ("RESX", "RESY"), ("MINX", "MINY", "MAXX", "MAXY"), ("XSIZE", "YSIZE")
UNSUPPORTED = ("Filter", "SQL", "SpatialSQL", "Scale", "Offset")
"""Elements of a `.gti` that select files by SQL or scale values."""


@dataclass(frozen=True)
class _Layer:
    """A layer of a vector file, as pyogrio's `read_info` describes it, and the options of GTI."""

    path: Path
    name: str | None
    info: Mapping[str, Any]
    options: Mapping[str, str]
    """By name in upper case without underscores: `SORT_FIELD` of metadata and `SortField` of XML are the same."""


def open_tile_index(path: Path, options: ReadOptions) -> AbstractContextManager[Mosaic]:
    """Open the files of a tile index as one scene.

    The later file covers the earlier where it has data: in the order of SORT_FIELD, or else of the index.

    Raises:
        PipelineError: the index or one of its files cannot be read, or the files do not lie on one grid.
    """
    layer = _read_gti(path) if path.suffix.lower() == GTI else _open_layer(path, path, None, {})
    files = [read_grid(partial(open_scene, file, options)) for file in _list_files(path, layer)]
    grid, placed = place_files(files, _read_grid(path, layer, files[0].grid.georeference))
    return open_mosaic(replace(grid, name=str(path)), placed, len(options.imagery.bands))


def _read_gti(path: Path) -> _Layer:
    root = read_xml(path)
    if root.tag != "GDALTileIndexDataset":
        raise PipelineError(f"{path} is not a tile index: its root element is {root.tag[:40]}")
    if unsupported := [
        tag for tag in UNSUPPORTED if root.find(tag) is not None or root.find(f"Band/{tag}") is not None
    ]:
        refuse(path, f"has {unsupported[0]}")
    texts = {element.tag: (element.text or "").strip() for element in root}
    name = texts.pop("IndexDataset", "")
    index = next((file for file in (path.parent / name, Path(name)) if file.is_file()), path.parent / name)
    return _open_layer(path, index, texts.pop("IndexLayer", None), texts)


def _open_layer(path: Path, index: Path, name: str | None, options: Mapping[str, str]) -> _Layer:
    """Open the layer of a vector file that `path` names; `options` override the layer's metadata."""
    is_known = index.suffix.lower() in DRIVERS
    if not is_known or not index.is_file():
        problem = "does not exist" if is_known else f"is not one of {', '.join(DRIVERS)}"
        raise PipelineError(f"{path}: the tile index {index} {problem}")
    source = vector_source(index)
    with _vector_errors(index):
        layers = [str(layer) for layer, _ in pyogrio.list_layers(source)]
        info = pyogrio.read_info(source, layer=name or layers[0])
    marked = (info["dataset_metadata"] or {}).get("TILE_INDEX_LAYER")
    if name is None and marked in layers and marked != layers[0]:
        return _open_layer(path, index, marked, options)
    if name is None and marked is None and len(layers) > 1:
        raise PipelineError(
            f"{index} has the layers {', '.join(layers)}; write the tile index to a file of its own: ogr2ogr "
            f"index{index.suffix} {quote(str(index))} LAYER"
        )
    merged = {re.sub("_", "", key).upper(): value for key, value in (info["layer_metadata"] or {}).items()}
    merged |= {key.upper(): value for key, value in options.items()}
    return _Layer(index, name or layers[0], info, merged)


@contextmanager
def _vector_errors(index: Path) -> Iterator[None]:
    try:
        yield
    except (DataSourceError, DataLayerError, FeatureError, IndexError) as error:  # IndexError: no layer
        reason = " ".join(str(error).split())
        raise PipelineError(f"{index} is not a readable tile index: {reason}; recreate it: gdaltindex") from None


def _list_files(path: Path, layer: _Layer) -> list[str]:
    """Return paths and URLs in the order in which GTI draws them: by SORT_FIELD and feature id, or id alone."""
    location, sort = layer.options.get("LOCATIONFIELD", "location"), layer.options.get("SORTFIELD")
    columns = [location] if sort is None else [location, sort]
    fields = {str(field).lower(): str(field) for field in layer.info["fields"]}
    if missing := [column for column in columns if column.lower() not in fields]:
        raise PipelineError(
            f"{layer.path} has the fields {', '.join(fields.values())}, not {missing[0]}; create a tile index with "
            f"gdaltindex -tileindex {quote(location)}"
        )
    columns = [fields[column.lower()] for column in columns]
    with _vector_errors(layer.path):
        meta, fids_N, _, values = pyogrio.raw.read(
            vector_source(layer.path), layer=layer.name, columns=columns, read_geometry=False, return_fids=True
        )
    by_field = dict(zip(meta["fields"], values, strict=True))
    keys = [None] * len(fids_N) if sort is None else by_field[columns[1]].tolist()
    rows = [row for row in zip(keys, fids_N.tolist(), by_field[columns[0]], strict=True) if row[-1]]
    if not rows:
        raise PipelineError(f"{layer.path} lists no files in {location}")
    if sort is not None and any(key is None or key != key for key, *_ in rows):  # NaN differs from itself
        raise PipelineError(f"{layer.path} has files without a value in its sort field; fill it in")
    is_descending = sort is not None and layer.options.get("SORTFIELDASC", "YES").upper() in ("NO", "FALSE", "OFF", "0")
    return [_resolve(path, layer.path, str(name)) for *_, name in sorted(rows, reverse=is_descending)]


def _resolve(path: Path, index: Path, name: str) -> str:
    """Return the path or URL of a file, relative to `.gti` or index or, as `gdaltindex` has it, the working folder."""
    if url := remote_url(name):
        return url
    if not is_local_file(name):
        raise PipelineError(f"{index} lists {name[:80]!r}, which is not the name of a GeoTIFF; recreate it: gdaltindex")
    candidates = (path.parent / name, index.parent / name, Path(name))
    found = next((candidate for candidate in candidates if candidate.is_file()), None)
    if found is None:
        raise PipelineError(
            f"{index} lists {name}, which is neither in its folder nor in {Path.cwd()}; recreate it where the files "
            "are: gdaltindex -write_absolute_path"
        )
    return str(found)


def _read_grid(path: Path, layer: _Layer, own: Georeference) -> Grid | None:
    """Return the grid that the index states, in pixels of the first file if it states none; None without an extent."""
    options = layer.options
    numbers = {key: float(parse_number(path, options[key])) for key in (*SIZES, *EXTENT, *RESOLUTION) if key in options}
    pixel = tuple(
        numbers.get(key, size) for key, size in zip(RESOLUTION, (own.transform.a, -own.transform.e), strict=True)
    )
    if "GEOTRANSFORM" in options and numbers.keys() >= set(SIZES):
        transform = Affine.from_gdal(*parse_transform(path, options["GEOTRANSFORM"].split(",")))
        sides = numbers["XSIZE"], numbers["YSIZE"]
    elif numbers.keys() >= set(EXTENT) and min(pixel) > 0:
        west, south, east, north = (numbers[key] for key in EXTENT)
        transform = Affine(pixel[0], 0, west, 0, -pixel[1], north)
        sides = (east - west) / pixel[0], (north - south) / pixel[1]
    elif not np.allclose(pixel, (own.transform.a, -own.transform.e), rtol=1e-6):
        refuse(path, f"has pixels of {pixel[0]:.9g} x {pixel[1]:.9g}, its files of {own.transform.a:.9g}")
    else:
        return None
    return stated_grid(path, *sides, transform, options.get("SRS") or layer.info["crs"] or own.crs)
