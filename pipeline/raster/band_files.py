"""Bands in separate files, read as one image."""

from collections.abc import Sequence

import numpy as np
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.geotiff import GeoTiff
from pipeline.raster.grids import require_same_grid


class BandFiles(GeoTiff):
    """Open files of one band each, as a GeoTIFF whose first band is the first file, and so on.

    A pixel is valid as in one file with these bands: shown by every internal mask, and not no-data in all bands.
    """

    def __init__(self, files: Sequence[GeoTiff]) -> None:
        """Stack the files.

        Raises:
            PipelineError: a file has several bands or a colour table, or differs in grid or data type from the first.
        """
        first = files[0]
        for file in files:
            _require_one_band(file)
            if file.dtypes != first.dtypes:
                raise PipelineError(
                    f"{first.path} is {first.dtypes[0]} and {file.path} is {file.dtypes[0]}; all bands have one data "
                    "type: gdal_translate -ot"
                )
            require_same_grid(first, file, "band", "the first band")
        vars(self).update(vars(first))
        self._files = files
        self.count = len(files)
        self.dtypes = first.dtypes * len(files)
        self.nodata = tuple(file.nodata[0] for file in files)
        self.scales = tuple(file.scales[0] for file in files)
        self.offsets = tuple(file.offsets[0] for file in files)
        self.descriptions = tuple(file.descriptions[0] for file in files)

    def read(self, bands: tuple[int, ...] | None = None, window: Window | None = None) -> np.ndarray:
        """Read pixels as (bands, height, width), like `GeoTiff.read`."""
        files = self._files if bands is None else [self._files[band - 1] for band in bands]
        return np.concatenate([file.read((1,), window) for file in files])

    def internal_mask(self, window: Window | None = None) -> np.ndarray:
        """Read the masks stored in the files, bool (height, width): False where one of them hides a pixel."""
        return np.asarray(np.logical_and.reduce([file.internal_mask(window) for file in self._files]))

    def left_out(self, window: Window | None = None) -> np.ndarray:
        """Return bool (height, width): True in blocks that were left out in any file."""
        return np.asarray(np.logical_or.reduce([file.left_out(window) for file in self._files]))


def _require_one_band(file: GeoTiff) -> None:
    if file.count != 1:
        raise PipelineError(
            f"{file.path} has {file.count} bands; in separate files there is one band a file: gdal_translate -b 1"
        )
    if file.colour_table is not None:
        raise PipelineError(f"{file.path} has a colour table; it is an image of its own, not one of several bands")
