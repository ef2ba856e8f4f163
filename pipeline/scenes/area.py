"""The part of a scene that is mapped: polygons, a box, and what a mask leaves.

P: polygons. Pixel coordinates are (column, row) from the scene's top-left corner; the centre of a pixel is at .5.
"""

import hashlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import numpy as np
import shapely
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.windows import Window, intersect, intersection

from pipeline.core.errors import PipelineError
from pipeline.core.files import sha256
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.scenes.scene import Scene
from pipeline.shapes.placement import Box, to_pixels
from pipeline.shapes.polygons import Polygons, polygon_parts, read_polygons

BLOCK = 512
"""Side in pixels of the blocks in which polygons are rasterised, from the scene's corner: rounding in GDAL depends on
the coordinates, so that fixed blocks give a pixel the same value in every window."""

MAX_VERTICES = 1000
"""Of a polygon; larger ones are cut, since a block takes time for each vertex of the polygons that touch it."""


@dataclass(frozen=True)
class AreaOptions:
    """What to map, as the user gave it; nothing for the whole scene."""

    aoi: Path | None = None
    """Vector file of polygons; a pixel belongs to the area if its centre does."""
    bbox: Box | None = None
    """In degrees, EPSG:4326. All pixels of the window around it are mapped, as by `gdalwarp -te -te_srs`."""
    mask: Path | None = None
    """One-band GeoTIFF on the scene's grid; not mapped where it is neither 0 nor no-data."""


@dataclass(frozen=True)
class Area:
    """What to map of a scene."""

    bounds: Window
    """Smallest window in the scene's pixels that contains the area; never empty."""
    notes: list[str]
    """One line each, for the user."""
    identity: list[Any]
    """JSON values that change when the area changes: part of the key of unfinished work."""
    polygons: shapely.STRtree | None
    """In pixel coordinates, within the scene; None without."""
    mask: GeoTiff | None
    """Open until the end of `open_area`."""

    def read(self, window: Window) -> np.ndarray:
        """Return wanted_HW, bool, of a window that lies inside the scene: the same pixels however it is cut.

        Raises:
            PipelineError: the mask cannot be decoded.
        """
        wanted_HW = np.zeros((int(window.height), int(window.width)), bool)
        if not intersect(window, self.bounds):
            return wanted_HW
        part = intersection(window, self.bounds)
        wanted_HW[_slices(part, window)] = self._read_within_bounds(part)
        return wanted_HW

    def wants(self, window: Window) -> bool:
        """Return whether any pixel of a window is wanted."""
        return bool(self.read(window).any())

    @property
    def is_whole(self) -> bool:
        """Whether every pixel of `bounds` is wanted."""
        return self.polygons is None and self.mask is None

    def _read_within_bounds(self, window: Window) -> np.ndarray:
        wanted_HW = np.ones((int(window.height), int(window.width)), bool)
        if self.polygons is not None:
            wanted_HW = _rasterise(self.polygons, window)
        if self.mask is not None and wanted_HW.any():
            wanted_HW &= (self.mask.read((1,), window)[0] == 0) | ~self.mask.valid_mask(window)
        return wanted_HW


@contextmanager
def open_area(scene: Scene, options: AreaOptions) -> Iterator[Area]:
    """Find the part of a scene to map.

    Raises:
        PipelineError: a file is missing, unreadable or unsuitable, the scene has no georeference, or nothing of it is
            in the area.
    """
    bounds = Window(0, 0, scene.width, scene.height)
    notes: list[str] = []
    tree: shapely.STRtree | None = None
    if options.bbox is not None:
        bounds = _window(_bbox_in_pixels(scene, options.bbox))
    if options.aoi is not None:
        polygons = read_polygons(options.aoi)
        notes += polygons.notes
        polygons_P = to_pixels(polygons, scene)
        around = _window(polygons_P)
        if not intersect(bounds, around):
            raise PipelineError(f"--bbox and {options.aoi} do not overlap in {scene.name}; omit one of them")
        bounds = intersection(bounds, around)
        tree = shapely.STRtree(subdivide(polygons_P, (0, 0, -(-scene.width // BLOCK), -(-scene.height // BLOCK))))
        if not any(_rasterise(tree, intersection(block, bounds)).any() for block in _blocks(bounds)):
            raise PipelineError(
                f"{options.aoi} contains no pixel centre of {scene.name}"
                f"{'' if options.bbox is None else ' within --bbox'}; enlarge the area"
            )
    with ExitStack() as stack:
        mask, identity = None, [list(map(int, bounds.flatten())), _digest(tree)]
        if options.mask is not None:
            mask = stack.enter_context(_open_mask(scene, options.mask))
            identity += [sha256(options.mask), str(mask.nodata[0])]
        yield Area(bounds, notes, identity, tree, mask)


def subdivide(polygons_P: np.ndarray, blocks: tuple[int, int, int, int]) -> np.ndarray:
    """Cut large polygons along borders of blocks, on which no pixel has its centre.

    Args:
        polygons_P: in pixel coordinates.
        blocks: left, top, right, bottom of a rectangle that contains them, counted in blocks.
    """
    left, top, right, bottom = blocks
    is_large_P = shapely.get_num_coordinates(polygons_P) > MAX_VERTICES
    if not is_large_P.any() or max(right - left, bottom - top) <= 1:
        return polygons_P
    if right - left >= bottom - top:
        middle = (left + right) // 2
        halves = [(left, top, middle, bottom), (middle, top, right, bottom)]
    else:
        middle = (top + bottom) // 2
        halves = [(left, top, right, middle), (left, middle, right, bottom)]
    pieces = [polygons_P[~is_large_P]]
    for half in halves:
        box = shapely.box(*(BLOCK * border for border in half))
        pieces.append(subdivide(polygon_parts(shapely.intersection(polygons_P[is_large_P], box)), half))
    return np.concatenate(pieces)


@contextmanager
def _open_mask(scene: Scene, path: Path) -> Iterator[GeoTiff]:
    with open_geotiff(path) as mask:
        if mask.count != 1:
            raise PipelineError(
                f"{path} has {mask.count} bands; a --mask has one: gdal_translate -b 1 {quote(str(path))} mask.tif"
            )
        require_same_grid(scene, mask)
        yield mask


def _bbox_in_pixels(scene: Scene, bbox: Box) -> np.ndarray:
    west, south, east, north = bbox
    given = f"--bbox {' '.join(f'{value:g}' for value in bbox)}"
    if -180 <= east < west <= 180:
        raise PipelineError(
            f"{given} crosses the antimeridian or has west and east swapped; swap them back, or give the area as "
            "two polygons of an --aoi"
        )
    if not (-180 <= west < east <= 180 and -90 <= south < north <= 90):
        raise PipelineError(f"{given} is not W S E N in degrees, with W < E within ±180 and S < N within ±90")
    return to_pixels(Polygons(given, np.array([shapely.box(*bbox)]), "EPSG:4326", []), scene)


def _window(polygons_P: np.ndarray) -> Window:
    """Return the smallest window that contains polygons within a scene."""
    left, top, right, bottom = shapely.total_bounds(polygons_P)
    column, row = int(np.floor(left)), int(np.floor(top))
    return Window(column, row, int(np.ceil(right)) - column, int(np.ceil(bottom)) - row)


def _blocks(window: Window) -> Iterator[Window]:
    """Yield the blocks of the whole scene that a window touches."""
    for row in range(int(window.row_off) // BLOCK * BLOCK, int(window.row_off + window.height), BLOCK):
        for column in range(int(window.col_off) // BLOCK * BLOCK, int(window.col_off + window.width), BLOCK):
            yield Window(column, row, BLOCK, BLOCK)


def _rasterise(polygons: shapely.STRtree, window: Window) -> np.ndarray:
    """Return bool (height, width): whether the centre of a pixel is in a polygon."""
    inside_HW = np.zeros((int(window.height), int(window.width)), bool)
    for block in _blocks(window):
        part = intersection(window, block)
        inside_HW[_slices(part, window)] = _rasterise_block(polygons, block)[_slices(part, block)]
    return inside_HW


def _slices(part: Window, whole: Window) -> tuple[slice, slice]:
    """Return the rows and columns of a window in the array of another."""
    row, column = int(part.row_off - whole.row_off), int(part.col_off - whole.col_off)
    return slice(row, row + int(part.height)), slice(column, column + int(part.width))


def _rasterise_block(polygons: shapely.STRtree, block: Window) -> np.ndarray:
    left, top = int(block.col_off), int(block.row_off)
    around = shapely.box(left - 1, top - 1, left + BLOCK + 1, top + BLOCK + 1)
    near_P = polygons.geometries[polygons.query(around)]
    parts_P = polygon_parts(shapely.intersection(near_P, around))  # GDAL's time grows with all vertices
    if not len(parts_P):
        return np.zeros((BLOCK, BLOCK), bool)
    transform = Affine.translation(left, top)
    return np.asarray(rasterize(parts_P, (BLOCK, BLOCK), transform=transform, dtype="uint8") > 0)


def _digest(polygons: shapely.STRtree | None) -> str:
    digest = hashlib.sha256()
    for polygon in () if polygons is None else polygons.geometries:
        digest.update(shapely.to_wkb(polygon))
    return digest.hexdigest()
