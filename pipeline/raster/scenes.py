"""An orthophoto and its mask, cut into chips."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from pipeline.chips import Chip, Imagery
from pipeline.classes import IGNORE, ClassTable
from pipeline.errors import PipelineError
from pipeline.raster.chips import save_chip
from pipeline.raster.geotiff import GeoTiff, open_geotiff, require_same_grid
from pipeline.raster.imagery import to_rgb
from pipeline.raster.labels import to_mask
from pipeline.raster.windows import Tile, windows


@dataclass(frozen=True)
class Cutting:
    """How scenes are cut."""

    size: int
    """Side of a chip in pixels."""
    pad: bool
    """Whether windows over the edge are filled up (black, *ignore*) or dropped."""
    bands: tuple[int, int, int]
    """The image's bands that become red, green, blue, counted from 1."""
    stretch: tuple[float, float] | None
    """Low and high of the 8 bits; None takes 8-bit images as they are."""

    @property
    def imagery(self) -> Imagery:
        """What `imagery.json` tells of it."""
        return Imagery(tuple(map(str, self.bands)), stretch=self.stretch or Imagery.stretch)


@dataclass
class Cut:
    """What became of one scene."""

    rows: list[dict[str, object]]
    """Rows of `chips.csv`."""
    partial: int = 0
    """Windows dropped because they reach over the edge."""
    unlabelled: int = 0
    """Windows dropped because no pixel of their mask is a class."""


def cut_scene(pair: tuple[str, Path, Path], cutting: Cutting, table: ClassTable, folder: Path) -> Cut:
    """Cut one scene into chips `SCENE_NUMBER`, written below `folder`, reading window by window.

    Args:
        pair: the scene's name, its image, its mask.
        cutting: size, edges, bands.
        table: the classes of the mask.
        folder: the chips folder; `images/` and `masks/` exist.

    Raises:
        PipelineError: image and mask do not fit, or cannot be read, or hold what they should not.
    """
    scene, image_path, mask_path = pair
    cut = Cut([])
    with open_geotiff(image_path) as image, open_geotiff(mask_path) as mask:
        require_same_grid(image, mask)
        _require_8_bits(image, cutting)
        for tile in windows(image.height, image.width, cutting.size):
            if not cutting.pad and (tile.height, tile.width) != (cutting.size, cutting.size):
                cut.partial += 1
                continue
            image_HWC, mask_HW = _read(image, mask, tile, cutting, table)
            if (mask_HW == IGNORE).all():
                cut.unlabelled += 1
                continue
            cut.rows.append(save_chip(folder, _chip(scene, image, tile, cutting.size), image_HWC, mask_HW, table))
    return cut


def _read(
    image: GeoTiff, mask: GeoTiff, tile: Tile, cutting: Cutting, table: ClassTable
) -> tuple[np.ndarray, np.ndarray]:
    """The window's RGB and class ids, filled up to the full size."""
    window = Window(tile.column, tile.row, tile.width, tile.height)
    bands_CHW = image.read(cutting.bands, window)
    valid_HW = image.valid(window) & np.isfinite(bands_CHW).all(axis=0)
    image_HWC = to_rgb(bands_CHW, cutting.imagery, valid_HW)
    mask_HW = _read_mask(mask, window, table)
    mask_HW[~valid_HW] = IGNORE
    below, right = cutting.size - tile.height, cutting.size - tile.width
    return (
        np.pad(image_HWC, ((0, below), (0, right), (0, 0))),
        np.pad(mask_HW, ((0, below), (0, right)), constant_values=IGNORE),
    )


def _read_mask(mask: GeoTiff, window: Window, table: ClassTable) -> np.ndarray:
    try:
        return to_mask(mask.read((1,), window)[0], table, mask.path, mask.nodata)
    except PipelineError:  # say how often it occurs in the file, not in the window
        to_mask(mask.read((1,))[0], table, mask.path, mask.nodata)
        raise


def _chip(scene: str, image: GeoTiff, tile: Tile, size: int) -> Chip:
    place = image.georeference.place(tile.row, tile.column)
    return Chip(f"{scene}_{tile.number}", scene, tile.row, tile.column, size, size, **place)


def _require_8_bits(image: GeoTiff, cutting: Cutting) -> None:
    kinds = {image.dtypes[band - 1] for band in cutting.bands if band <= image.count}
    if cutting.stretch is None and kinds - {"uint8"}:
        raise PipelineError(
            f"{image.path} holds {'/'.join(sorted(kinds))}; set tile.stretch to [low, high], the values that become "
            "black and white, since chips have 8 bits"
        )
