"""Images made of open GeoTIFFs: a part of one in memory, and several of one band each as one."""

from collections.abc import Sequence
from copy import copy
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.blocks import Pixels, inside
from pipeline.raster.geotiff import GeoTiff
from pipeline.raster.grids import require_same_grid


def load_part(file: GeoTiff, bands: tuple[int, ...], window: Window) -> GeoTiff:
    """Decode bands of a window at once: windows inside it are slices, for any thread to read.

    Args:
        file: an open file whose damaged blocks are errors.
        bands: numbers counted from 1, all different; the others cannot be read.
        window: the part.

    Raises:
        PipelineError: the file lacks a band, or pixels cannot be decoded.
    """
    part = copy(file)
    visible_HW = file.internal_mask(window) if file.has_internal_mask else None
    part.pixels = _Loaded(window, bands, file.read(bands, window), visible_HW)
    return part


@dataclass(frozen=True)
class _Loaded:
    window: Window
    bands: tuple[int, ...]
    bands_CHW: np.ndarray
    visible_HW: np.ndarray | None

    def read(self, bands: tuple[int, ...], window: Window) -> np.ndarray:
        """Return bands; in the order in which they were decoded they are a view, which must not be changed."""
        part_CHW = self.bands_CHW[:, *inside(self.window, window)]
        indices = [self.bands.index(band) for band in bands]
        ordered = slice(indices[0], indices[0] + len(indices))
        return part_CHW[ordered if indices == list(range(ordered.start, ordered.stop)) else indices]

    def internal_mask(self, window: Window) -> np.ndarray:
        if self.visible_HW is None:
            return np.ones((window.height, window.width), bool)
        return self.visible_HW[inside(self.window, window)].copy()

    def left_out(self, window: Window) -> np.ndarray:
        return np.zeros((window.height, window.width), bool)


def stack_files(files: Sequence[GeoTiff]) -> GeoTiff:
    """Return open files of one band each as an image whose first band is the first file, and so on.

    A pixel is valid as in one file with these bands: shown by every internal mask, and not no-data in all bands.

    Raises:
        PipelineError: a file has several bands or a colour table, or differs in grid or data type from the first.
    """
    first = files[0]
    for file in files:
        _require_one_band(file)
        if file.dtypes != first.dtypes:
            raise PipelineError(
                f"{first.path} is {first.dtypes[0]} and {file.path} is {file.dtypes[0]}; all bands have one data type: "
                "gdal_translate -ot"
            )
        require_same_grid(first, file, "band", "the first band")
    image = copy(first)
    image.count, image.dtypes = len(files), first.dtypes * len(files)
    image.nodata = tuple(file.nodata[0] for file in files)
    image.scales = tuple(file.scales[0] for file in files)
    image.offsets = tuple(file.offsets[0] for file in files)
    image.descriptions = tuple(file.descriptions[0] for file in files)
    image.pixels = _Stacked([file.pixels for file in files])
    return image


def _require_one_band(file: GeoTiff) -> None:
    if file.count != 1:
        raise PipelineError(
            f"{file.path} has {file.count} bands; in separate files there is one band a file: gdal_translate -b 1"
        )
    if file.colour_table is not None:
        raise PipelineError(f"{file.path} has a colour table; it is an image of its own, not one of several bands")


@dataclass(frozen=True)
class _Stacked:
    files: Sequence[Pixels]

    def read(self, bands: tuple[int, ...], window: Window) -> np.ndarray:
        return np.concatenate([self.files[band - 1].read((1,), window) for band in bands])

    def internal_mask(self, window: Window) -> np.ndarray:
        return np.asarray(np.logical_and.reduce([file.internal_mask(window) for file in self.files]))

    def left_out(self, window: Window) -> np.ndarray:
        return np.asarray(np.logical_or.reduce([file.left_out(window) for file in self.files]))
