"""A part of an open GeoTIFF in memory."""

import numpy as np
from rasterio.windows import Window

from pipeline.raster.geotiff import GeoTiff


class LoadedPart(GeoTiff):
    """Bands of a window of a GeoTIFF, decoded at once: windows inside it are slices, for any thread to read."""

    def __init__(self, file: GeoTiff, bands: tuple[int, ...], window: Window) -> None:
        """Decode the bands, each once, and the internal mask.

        Args:
            file: an open file.
            bands: numbers counted from 1, all different.
            window: the part.

        Raises:
            PipelineError: the file lacks a band, or pixels cannot be decoded.
        """
        vars(self).update(vars(file))
        self._window, self._bands = window, bands
        self._bands_CHW = file.read(bands, window)
        self._visible_HW = file.internal_mask(window) if file.has_internal_mask else None

    def read(self, bands: tuple[int, ...] | None = None, window: Window | None = None) -> np.ndarray:
        """Read pixels as (bands, height, width), like `GeoTiff.read`, of the bands that were decoded.

        Bands in the order in which they were decoded are a view, which must not be changed.
        """
        assert set(bands or ()) <= set(self._bands), f"bands {bands} of {self._bands}"
        part_CHW = self._bands_CHW[:, *self._inside(window)]
        indices = [self._bands.index(band) for band in bands or self._bands]
        ordered = slice(indices[0], indices[0] + len(indices))
        return part_CHW[ordered if indices == list(range(ordered.start, ordered.stop)) else indices]

    def internal_mask(self, window: Window | None = None) -> np.ndarray:
        """Read the mask stored in the file, bool (height, width): False where hidden."""
        rows, columns = self._inside(window)
        if self._visible_HW is None:
            return np.ones((rows.stop - rows.start, columns.stop - columns.start), bool)
        return self._visible_HW[rows, columns].copy()

    def _inside(self, window: Window | None) -> tuple[slice, slice]:
        """Return the rows and columns of a window, counted in the part."""
        window = window or self._window
        top, left = window.row_off - self._window.row_off, window.col_off - self._window.col_off
        assert top >= 0 and left >= 0
        assert top + window.height <= self._window.height and left + window.width <= self._window.width
        return slice(top, top + window.height), slice(left, left + window.width)
