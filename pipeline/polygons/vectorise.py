"""Turn a map of class ids into a GeoPackage of polygons, block by block.

A patch is a set of pixels of one class that are connected along edges. The map is read twice in blocks of 2,048 x
2,048 px: to find the patches, and to write their polygons. A patch that lies in several blocks becomes one polygon in
each, and these share its patch id. Memory does not grow with the map, except by 17 bytes for each patch of each block;
where patches are many, blocks are smaller.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import rasterio
import shapely
from rasterio.windows import Window, subdivide

from pipeline.core.cli import progress
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path
from pipeline.polygons.areas import pixel_areas
from pipeline.polygons.class_map import ClassMap
from pipeline.polygons.geopackage import Features, LayerInfo, dissolve, write_geopackage
from pipeline.polygons.patches import Patches, PatchLabeller
from pipeline.polygons.rings import trace
from pipeline.polygons.simplify import TOLERANCE_PX, simplify
from pipeline.raster.georeference import Georeference

BLOCK = 2048
"""Side of a block in pixels, if it holds at most `MAX_PATCHES`; else a half of it, a quarter, …"""
MAX_PATCHES = 200_000
"""In a block: half a million take 2.3 GB."""
CACHE_BYTES = 32 << 20
"""Size of GDAL's block cache; enough, since each pass reads a block once."""


@dataclass(frozen=True)
class VectorOptions:
    """How polygons are made."""

    tolerance: float = TOLERANCE_PX
    """Of the simplification, in pixels; 0 for none: see `simplify`."""
    dissolve: bool = False
    """Merge the pieces of each patch; all polygons are then in memory at once."""


@dataclass(frozen=True)
class VectorResult:
    """A finished GeoPackage."""

    path: Path
    polygons: int
    patches: int
    seconds: float


def vectorise(source: ClassMap, path: Path, options: VectorOptions | None = None) -> VectorResult:
    """Write the polygons of a map; the file appears when it is complete.

    Args:
        source: the map.
        path: of the GeoPackage; an existing file is replaced.
        options: of the polygons.

    Raises:
        PipelineError: pixels cannot be decoded, or GDAL cannot write the file.
        OSError: the disk is full.
    """
    start, options = time.monotonic(), options or VectorOptions()
    with rasterio.Env(GDAL_CACHEMAX=CACHE_BYTES), atomic_path(path) as partial:
        found = find_patches(source, BLOCK)
        chunks = features(source, found, options.tolerance)
        if options.dissolve:
            chunks = iter([dissolve(chunks)])
        try:
            info = LayerInfo(path.stem, source.table, source.georeference.crs, source.tags)
            count = write_geopackage(partial, chunks, info)
        except PipelineError as error:
            raise PipelineError(str(error).replace(str(partial), str(path))) from None
    return VectorResult(path, count, len(found.patches.class_P) - 1, time.monotonic() - start)


@dataclass(frozen=True)
class MapPatches:
    """The patches of a map, and the blocks in which they were found."""

    patches: Patches
    windows: list[Window]


def find_patches(source: ClassMap, side: int) -> MapPatches:
    """Number the patches of a map, in blocks of at most this side with at most `MAX_PATCHES` each."""
    windows = subdivide(Window(0, 0, source.file.width, source.file.height), side, side)
    labeller, before = PatchLabeller(source.file.width), 0
    for window in progress(windows, "patches", len(windows)):
        last = int(labeller.add(source.read(window)).max())
        if last - before > MAX_PATCHES:
            return find_patches(source, side // 2)
        before = max(before, last)
    return MapPatches(labeller.finish(), windows)


def features(source: ClassMap, found: MapPatches, tolerance: float) -> Iterator[Features]:
    """Yield the polygons of each block with their attributes."""
    labeller = PatchLabeller(source.file.width)
    for window in progress(found.windows, "polygons", len(found.windows)):
        id_HW = labeller.add(source.read(window))
        if id_HW.any():
            yield _block_features(source, found.patches, window, id_HW, tolerance)


def _block_features(
    source: ClassMap, patches: Patches, window: Window, id_HW: np.ndarray, tolerance: float
) -> Features:
    first = int(id_HW[id_HW > 0].min())  # ids of a block are consecutive
    label_HW = np.where(id_HW > 0, id_HW - (first - 1), 0)
    pieces = simplify(trace(label_HW, window.row_off, window.col_off), tolerance)
    label = label_HW.ravel()
    pixels_L = np.bincount(label)
    areas, confidence_HW = pixel_areas(source.georeference, window), source.read_confidence(window, id_HW > 0)
    label_N, unknown_N = pieces.label_N, np.full(len(pieces.label_N), np.nan)
    patch_N = patches.id_N[label_N + (first - 1)]
    return Features(
        to_crs(pieces.polygon_N, source.georeference),
        patch_N,
        patches.class_P[patch_N],
        pixels_L[label_N],
        unknown_N if areas is None else np.bincount(label, areas.ravel())[label_N],
        unknown_N if confidence_HW is None else np.bincount(label, confidence_HW.ravel())[label_N] / pixels_L[label_N],
    )


def to_crs(polygon_N: np.ndarray, georeference: Georeference) -> np.ndarray:
    """Transform polygons from pixels (column, row) to the CRS; without a transform to (column, -row), as QGIS does."""
    transform = georeference.transform

    def positions(pixel_V2: np.ndarray) -> np.ndarray:
        column_V, row_V = pixel_V2.T
        if not georeference.is_known:
            return np.stack([column_V, -row_V], axis=1)
        return np.stack(transform @ (column_V, row_V), axis=1)

    return np.asarray(shapely.transform(polygon_N, positions))
