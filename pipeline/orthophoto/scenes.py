"""An orthophoto and its mask, cut into chips."""

import shutil
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip, Imagery
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.png import save_chip
from pipeline.orthophoto.brightness import read_brightness, require_brightness
from pipeline.orthophoto.windows import ChipWindow, windows
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.raster.imagery import to_rgb
from pipeline.raster.labels import Labels, read_labels, refuse_strays
from pipeline.raster.layout import Scene

Alpha = Literal["auto", "none"]
"""auto: a band that a file marks as alpha hides pixels, if it holds transparency; none: it never does."""
MOST_BETWEEN = 0.01
"""Share of a scene's pixels that transparency may show in part, as along an edge; a spectral band has more of them."""

BYTES_OF_A_PIXEL = 4
"""That a chip takes at most: red, green, blue and the class; PNG makes it less."""


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
    alpha: Alpha = "auto"
    """What becomes of a band that the file marks as alpha and `bands` does not name."""

    @property
    def imagery(self) -> Imagery:
        """What `imagery.json` tells of it."""
        return Imagery(tuple(map(str, self.bands)), stretch=self.stretch or Imagery.stretch)


@dataclass
class CutScene:
    """What became of one scene."""

    rows: list[dict[str, object]]
    """Rows of `chips.csv`."""
    partial: int = 0
    """Windows dropped because they reach over the edge."""
    unlabelled: int = 0
    """Windows dropped because no pixel of their mask is a class."""
    pixels: int = 0
    """Pixels of the windows that were read."""
    transparent: int = 0
    """Those of them that alpha hides."""
    declared: dict[str, int] = field(default_factory=dict)
    """From class, as text, to the pixels of it that the mask declares as no-data."""
    alpha_unused: bool = False
    """Whether a band marked as alpha hides nothing, because it looks like a spectral band."""


def cut_scene(scene: Scene, cutting: Cutting, table: ClassTable, folder: Path) -> CutScene:
    """Cut one scene into chips `SCENE_NUMBER`, written below `folder`, reading window by window.

    Args:
        scene: its image and mask.
        cutting: size, edges, bands.
        table: the classes of the mask.
        folder: the chips folder; `images/` and `masks/` exist.

    Raises:
        PipelineError: image and mask do not fit, or cannot be read, or hold what they should not.
    """
    cut = CutScene([])
    with open_geotiff(scene.image) as image, open_geotiff(scene.mask) as mask:
        require_same_grid(image, mask)
        _require_labels(mask)
        require_brightness(image, cutting.bands, cutting.stretch)
        _require_room(image, cutting, folder)
        alpha = transparency(image, cutting)
        asked = cutting.alpha == "auto" and image.alpha not in (None, *cutting.bands)
        cut.alpha_unused = asked and alpha is None
        for tile in windows(image.height, image.width, cutting.size):
            if not cutting.pad and (tile.height, tile.width) != (cutting.size, cutting.size):
                cut.partial += 1
                continue
            opaque_HW = _opaque(image, tile, alpha)
            cut.pixels += opaque_HW.size
            cut.transparent += int((~opaque_HW).sum())
            bands_CHW, valid_HW = read_brightness(image, cutting.bands, _window(tile))
            valid_HW &= opaque_HW
            image_HWC = to_rgb(bands_CHW, cutting.imagery, valid_HW)
            labels = _read_labels(mask, tile, cutting.size, table)
            for class_id, pixels in labels.declared.items():
                cut.declared[class_id] = cut.declared.get(class_id, 0) + pixels
            mask_HW = np.where(valid_HW, labels.mask_HW, np.uint8(IGNORE))
            if (mask_HW == IGNORE).all():
                cut.unlabelled += 1
                continue
            filled = _filled_up(image_HWC, mask_HW, cutting.size)
            cut.rows.append(save_chip(folder, _chip(scene.id, image, tile, cutting.size), *filled, table))
    return cut


def transparency(image: GeoTiff, cutting: Cutting) -> int | None:
    """The band that hides pixels where it is 0, counted from 1; None if there is none.

    A band that the file marks as alpha does not, when it is one of the bands to see, or when it holds more than on and
    off: GDAL marks the fourth of four bands of 8 bits unasked, near infrared too, in which water and shadow are 0.

    Raises:
        PipelineError: the band cannot be read.
    """
    if image.alpha is None or cutting.alpha == "none" or image.alpha in cutting.bands:
        return None
    pixels_V = np.zeros(np.iinfo(image.dtypes[image.alpha - 1]).max + 1, np.int64)
    for tile in windows(image.height, image.width, cutting.size):
        alpha_HW = image.read((image.alpha,), _window(tile))[0]
        pixels_V += np.bincount(alpha_HW.ravel(), minlength=len(pixels_V))
        between = int(pixels_V[1:].sum() - pixels_V[1:].max())  # neither hidden nor the value of what is not
        if between > MOST_BETWEEN * image.height * image.width:
            return None
    return image.alpha


def _window(tile: ChipWindow) -> Window:
    return Window(tile.column, tile.row, tile.width, tile.height)


def _opaque(image: GeoTiff, tile: ChipWindow, alpha: int | None) -> np.ndarray:
    return image.read((alpha,), _window(tile))[0] > 0 if alpha else np.ones((tile.height, tile.width), bool)


def _filled_up(image_HWC: np.ndarray, mask_HW: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The same at the full size: black and *ignore* over the edge."""
    below, right = size - mask_HW.shape[0], size - mask_HW.shape[1]
    return (
        np.pad(image_HWC, ((0, below), (0, right), (0, 0))),
        np.pad(mask_HW, ((0, below), (0, right)), constant_values=IGNORE),
    )


def _read_labels(mask: GeoTiff, tile: ChipWindow, size: int, table: ClassTable) -> Labels:
    try:
        return read_labels(mask, table, _window(tile))
    except PipelineError:  # say how often it occurs in the file, not in the window
        refuse_strays(mask, table, map(_window, windows(mask.height, mask.width, size)))
        raise


def _chip(scene: str, image: GeoTiff, tile: ChipWindow, size: int) -> Chip:
    place = image.georeference.place(tile.row, tile.column)
    return Chip(f"{scene}_{tile.number}", scene, tile.row, tile.column, size, size, **place)


def _require_labels(mask: GeoTiff) -> None:
    if mask.count != 1:
        raise PipelineError(f"{mask.path} has {mask.count} bands; a mask has one, of class ids")
    if mask.is_jpeg:
        raise PipelineError(
            f"{mask.path} is JPEG-compressed, which invents class ids along edges; make it anew from its source with "
            "a lossless compression, such as LZW or DEFLATE"
        )


def _require_room(image: GeoTiff, cutting: Cutting, folder: Path) -> None:
    """A few bytes may claim pixels without end, in blocks that are left out: they end where the disk does."""
    rows, columns = (
        -(-side // cutting.size) if cutting.pad else side // cutting.size for side in (image.height, image.width)
    )
    most, free = rows * columns * cutting.size**2 * BYTES_OF_A_PIXEL, shutil.disk_usage(folder).free
    if most > free:
        raise PipelineError(
            f"{image.path} has {image.width} x {image.height} px: its {rows * columns} chips may take up to "
            f"{most / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on the disk of {folder}; make room, or set "
            "PIPELINE_CACHE to a folder on a larger one"
        )
