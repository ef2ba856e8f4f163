"""Cut the windows of a scene: read a row of them at once, encode them on all CPUs."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import TypeVar

import numpy as np
from rasterio.windows import Window

from pipeline.core.cpus import cpu_pool
from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.png import save_chip
from pipeline.orthophoto.image_bands import read_image_bands
from pipeline.orthophoto.section import TileSection
from pipeline.orthophoto.transparency import AlphaValues
from pipeline.orthophoto.windows import ChipWindow, chip_windows, window_runs
from pipeline.raster.derived import load_part
from pipeline.raster.geotiff import GeoTiff
from pipeline.raster.imagery import to_8bit
from pipeline.raster.labels import read_labels

R = TypeVar("R")

RUN_BYTES = 24 << 20
"""Pixels of image and mask that are decoded at once, unless a row of strips has more."""


@dataclass(frozen=True)
class Cut:
    """What became of a window."""

    pixels: int
    """Pixels read."""
    transparent: int = 0
    """Of them, those that alpha hides."""
    row: dict[str, object] | None = None
    """Of `chips.csv`; None if no pixel is labelled."""
    nodata_classes: dict[str, int] = field(default_factory=dict)
    """See `Labels.nodata_classes`."""


class SpectralBandError(Exception):
    """The band marked as alpha is not transparency."""


@dataclass(frozen=True)
class Cutter:
    """Cuts windows of a scene."""

    scene: str
    section: TileSection
    table: ClassTable
    folder: Path
    """See `make_chip_folders`."""
    alpha_band: int | None
    """Band that hides pixels where it is 0."""

    def image_bands(self, image: GeoTiff) -> tuple[int, ...]:
        """Return the bands of an image that `cut` reads, each once, those of the section first."""
        bands = (1,) if image.colour_table is not None else self.section.bands
        alpha = () if self.alpha_band is None else (self.alpha_band,)
        return tuple(dict.fromkeys((*bands, *image.nodata_bands, *alpha)))

    def cut(self, image: GeoTiff, mask: GeoTiff, window: ChipWindow) -> Cut:
        """Write the chip of a window unless it has no labelled pixel.

        Raises:
            LabelError: labels are no class ids.
            PipelineError: pixels cannot be decoded.
        """
        bands_CHW, valid_HW = read_image_bands(image, self.section.bands, window.raster_window)
        transparent = 0
        if self.alpha_band is not None:
            opaque_HW = image.read((self.alpha_band,), window.raster_window)[0] > 0
            transparent = int((~opaque_HW).sum())
            valid_HW &= opaque_HW
        labels = read_labels(mask, self.table, window.raster_window)
        labels.mask_HW[~valid_HW] = IGNORE
        if (labels.mask_HW == IGNORE).all():
            return Cut(valid_HW.size, transparent)
        image_HWC = to_8bit(bands_CHW, self.section.imagery, valid_HW)
        padded = _pad(image_HWC, labels.mask_HW, self.section.size)
        row = save_chip(self.folder, self._chip(image, window), *padded, self.table)
        return Cut(valid_HW.size, transparent, row, labels.nodata_classes)

    def _chip(self, image: GeoTiff, window: ChipWindow) -> Chip:
        size, position = self.section.size, image.georeference.locate(window.row, window.column)
        return Chip(f"{self.scene}_{window.number}", self.scene, window.row, window.column, size, size, **position)


def cut_windows(image: GeoTiff, mask: GeoTiff, cutter: Cutter) -> Iterator[Cut]:
    """Cut all windows of a scene, or those that are not partial, and yield what became of them in their order.

    Each block is decoded once, unless a row of windows ends inside a row of blocks that GDAL's cache cannot hold. While
    a row of windows is encoded on all CPUs, the next one is decoded; no more are in memory.

    Raises:
        LabelError: labels are no class ids.
        PipelineError: pixels cannot be decoded.
        SpectralBandError: `cutter.alpha_band` has the values of a spectral band.
    """
    yield from _in_order(_submit(image, mask, cutter))


def _submit(image: GeoTiff, mask: GeoTiff, cutter: Cutter) -> Iterator[list[Future[Cut]]]:
    """Yield the windows of a row, or of a part of one, as they are submitted to the pool."""
    bands, windows = cutter.image_bands(image), chip_windows(image.height, image.width, cutter.section.size)
    if cutter.alpha_band is None:
        values, windows = None, filter(cutter.section.keeps, windows)
    else:  # of partial windows too
        values = AlphaValues(image, cutter.alpha_band, image.height * image.width)
    for run in window_runs(windows, _run_columns(image, mask, bands, cutter.section.size)):
        parts = _load(image, mask, bands, run)
        if parts is None:
            yield []  # errors of the windows before come first
        readable = parts[0] if parts else image
        if values and any(values.add(readable.read((values.band,), window.raster_window)[0]) for window in run):
            raise SpectralBandError
        kept = filter(cutter.section.keeps, run)
        if parts is None:
            yield [_completed(cutter.cut(image, mask, window)) for window in kept]
        else:
            yield [cpu_pool().submit(cutter.cut, *parts, window) for window in kept]


def _load(
    image: GeoTiff, mask: GeoTiff, bands: tuple[int, ...], run: Sequence[ChipWindow]
) -> tuple[GeoTiff, GeoTiff] | None:
    """Decode windows side by side at once; None if this fails, so that one by one the damaged one is found."""
    width = sum(window.width for window in run)
    part = Window(run[0].column, run[0].row, width, run[0].height)
    try:
        return load_part(image, bands, part), load_part(mask, (1,), part)
    except PipelineError:
        return None


def _run_columns(image: GeoTiff, mask: GeoTiff, bands: tuple[int, ...], size: int) -> int:
    """Return how many columns are decoded at once: all of strips, which would be decoded again for each part."""
    if image.width in (image.block_shape[1], mask.block_shape[1]):
        return image.width
    dtypes = [*(image.dtypes[band - 1] for band in bands), mask.dtypes[0]]
    return RUN_BYTES // (size * sum(np.dtype(dtype).itemsize for dtype in dtypes))


def _completed(result: R) -> Future[R]:
    future: Future[R] = Future()
    future.set_result(result)
    return future


def _in_order(groups: Iterable[list[Future[R]]]) -> Iterator[R]:
    """Yield results in order; take the next group while one is pending. At an error, cancel the rest."""
    pending: deque[list[Future[R]]] = deque()
    try:
        for group in groups:
            pending.append(group)
            if len(pending) > 1:
                yield from (future.result() for future in pending[0])
                pending.popleft()
        for group in pending:
            yield from (future.result() for future in group)
    finally:
        futures = list(chain.from_iterable(pending))
        for future in futures:
            future.cancel()
        wait(futures)  # a chip must not be written after its folder is removed


def _pad(image_HWC: np.ndarray, mask_HW: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Fill up to the chip size, with black and *ignore*."""
    below, right = size - mask_HW.shape[0], size - mask_HW.shape[1]
    if not below and not right:
        return image_HWC, mask_HW
    return (
        np.pad(image_HWC, ((0, below), (0, right), (0, 0))),
        np.pad(mask_HW, ((0, below), (0, right)), constant_values=IGNORE),
    )
