"""Cut an orthophoto and its mask into chips."""

import shutil
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.png import save_chip
from pipeline.orthophoto.image_bands import read_image_bands, require_image_bands
from pipeline.orthophoto.section import TileSection
from pipeline.orthophoto.windows import ChipWindow, chip_windows
from pipeline.raster.geotiff import GeoTiff, open_geotiff
from pipeline.raster.grids import require_same_grid
from pipeline.raster.imagery import to_8bit
from pipeline.raster.labels import Labels, read_labels, refuse_unknown_labels
from pipeline.raster.layout import Scene

MAX_PARTIAL_ALPHA = 0.01
"""Share of a scene's pixels that may be partly transparent, as along an edge; a spectral band exceeds it."""


@dataclass
class TiledScene:
    """Chips of one scene, with counts for the stage's summary."""

    rows: list[dict[str, object]] = field(default_factory=list)
    """Rows of `chips.csv`."""
    partial: int = 0
    """Windows dropped at the edges."""
    unlabelled: int = 0
    """Windows dropped because no pixel is labelled."""
    pixels: int = 0
    """Pixels read."""
    transparent: int = 0
    """Pixels read that alpha hides."""
    nodata_classes: dict[str, int] = field(default_factory=dict)
    """From class id, as text, to the pixels of it in chips that the mask declares as no-data."""
    alpha_unused: bool = False
    """Whether a band marked as alpha hides nothing because it looks like a spectral band."""


@dataclass(frozen=True)
class Transparency:
    """Transparency of an image."""

    band: int | None = None
    """Band that hides pixels where it is 0, counted from 1; None if there is none."""
    is_unused: bool = False
    """Whether a band marked as alpha hides nothing because it looks like a spectral band."""


def tile_scene(scene: Scene, section: TileSection, table: ClassTable, folder: Path) -> TiledScene:
    """Cut one scene into chips `SCENE_NUMBER`, window by window.

    Args:
        scene: image and mask.
        section: size, edges, bands.
        table: classes of the mask.
        folder: see `make_chip_folders`.

    Raises:
        PipelineError: image or mask is unreadable or unsupported, or they do not match.
    """
    tiled = TiledScene()
    nodata_classes: Counter[str] = Counter()
    with open_geotiff(scene.image) as image, open_geotiff(scene.mask) as mask:
        _require_suitable(image, mask, section, folder)
        transparency = _tile_transparency(image, section)
        tiled.alpha_unused = transparency.is_unused
        for window in chip_windows(image.height, image.width, section.size):
            if section.partial == "drop" and (window.height, window.width) != (section.size, section.size):
                tiled.partial += 1
                continue
            bands_CHW, valid_HW = read_image_bands(image, section.bands, window.raster_window)
            tiled.pixels += valid_HW.size
            if transparency.band is not None:
                opaque_HW = image.read((transparency.band,), window.raster_window)[0] > 0
                tiled.transparent += int((~opaque_HW).sum())
                valid_HW &= opaque_HW
            labels = _read_labels(mask, window, section.size, table)
            labels.mask_HW[~valid_HW] = IGNORE
            if (labels.mask_HW == IGNORE).all():
                tiled.unlabelled += 1
                continue
            nodata_classes.update(labels.nodata_classes)
            image_HWC = to_8bit(bands_CHW, section.imagery, valid_HW)
            padded = _pad(image_HWC, labels.mask_HW, section.size)
            tiled.rows.append(save_chip(folder, _chip(scene.id, image, window, section.size), *padded, table))
    tiled.nodata_classes = dict(nodata_classes)
    return tiled


def find_transparency(image: GeoTiff, bands: tuple[int, ...], windows: Iterable[Window]) -> Transparency:
    """Decide whether the band marked as alpha hides pixels.

    It does not if `bands` includes it, or if it holds more than two values: by default GDAL marks the fourth of four
    8-bit bands, even near infrared, which is 0 in water and shadow.

    Args:
        image: an open image.
        bands: those that are read, counted from 1.
        windows: where to look, all or a sample.

    Raises:
        PipelineError: the band cannot be read.
    """
    band = image.alpha_band
    if band is None or band in bands:
        return Transparency()
    histogram_V = np.zeros(np.iinfo(image.dtypes[band - 1]).max + 1, np.int64)
    windows = list(windows)
    pixels = sum(window.height * window.width for window in windows)
    for window in windows:
        alpha_HW = image.read((band,), window)[0]
        histogram_V += np.bincount(alpha_HW.ravel(), minlength=len(histogram_V))
        partial = int(histogram_V[1:].sum() - histogram_V[1:].max())  # neither 0 nor the most frequent other value
        if partial > MAX_PARTIAL_ALPHA * pixels:
            return Transparency(is_unused=True)
    return Transparency(band)


def _tile_transparency(image: GeoTiff, section: TileSection) -> Transparency:
    if section.alpha == "none":
        return Transparency()
    windows = chip_windows(image.height, image.width, section.size)
    return find_transparency(image, section.bands, (window.raster_window for window in windows))


def _require_suitable(image: GeoTiff, mask: GeoTiff, section: TileSection, folder: Path) -> None:
    require_same_grid(image, mask)
    if mask.count != 1:
        raise PipelineError(f"{mask.path} has {mask.count} bands; a mask has one, of class ids")
    if mask.is_jpeg:
        raise PipelineError(
            f"{mask.path} is JPEG-compressed, which invents class ids along edges; recreate it from its source with "
            "lossless compression, such as LZW or DEFLATE"
        )
    if image.colour_table is None and (missing := [band for band in section.bands if band > image.count]):
        grey = ", such as [1, 1, 1] for a grey image" if image.count < 3 else ""
        raise PipelineError(
            f"{image.path} has no band {missing[0]}; it has {image.count}, counted from 1: set tile.bands to those it "
            f"has{grey}"
        )
    require_image_bands(image, section.bands, None if section.stretch == "none" else section.stretch)
    _require_disk_space(image, section, folder)


def _require_disk_space(image: GeoTiff, section: TileSection, folder: Path) -> None:
    """Refuse sparse files that would fill the disk: a few bytes may claim any number of pixels."""
    rows, columns = (
        -(-side // section.size) if section.partial == "pad" else side // section.size
        for side in (image.height, image.width)
    )
    bytes_per_pixel = len(section.bands) + 1  # at most: bands and class, uncompressed
    needed, free = rows * columns * section.size**2 * bytes_per_pixel, shutil.disk_usage(folder).free
    if needed > free:
        raise PipelineError(
            f"{image.path} has {image.width} x {image.height} px: its {rows * columns} chips may need up to "
            f"{needed / 1e9:.1f} GB, and {free / 1e9:.1f} GB are free on the disk of {folder}; free disk space, or set "
            "PIPELINE_CACHE to a folder on a larger disk"
        )


def _read_labels(mask: GeoTiff, window: ChipWindow, size: int, table: ClassTable) -> Labels:
    try:
        return read_labels(mask, table, window.raster_window)
    except PipelineError:  # count unknown values over the file, not the window
        refuse_unknown_labels(mask, table, (part.raster_window for part in chip_windows(mask.height, mask.width, size)))
        raise


def _pad(image_HWC: np.ndarray, mask_HW: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Fill up to the chip size, with black and *ignore*."""
    below, right = size - mask_HW.shape[0], size - mask_HW.shape[1]
    return (
        np.pad(image_HWC, ((0, below), (0, right), (0, 0))),
        np.pad(mask_HW, ((0, below), (0, right)), constant_values=IGNORE),
    )


def _chip(scene: str, image: GeoTiff, window: ChipWindow, size: int) -> Chip:
    position = image.georeference.locate(window.row, window.column)
    return Chip(f"{scene}_{window.number}", scene, window.row, window.column, size, size, **position)
