"""Tell a transparency mask from a spectral band that is marked as alpha."""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from pipeline.raster.geotiff import GeoTiff

MAX_PARTIAL_ALPHA = 0.01
"""Share of a scene's pixels that may be partly transparent, as along an edge; a spectral band exceeds it."""


@dataclass(frozen=True)
class Transparency:
    """Transparency of an image."""

    band: int | None = None
    """Band that hides pixels where it is 0, counted from 1; None if there is none."""
    is_unused: bool = False
    """Whether a band marked as alpha hides nothing because it looks like a spectral band."""


class AlphaValues:
    """The values of a band marked as alpha, counted window by window."""

    def __init__(self, image: GeoTiff, band: int, pixels: int) -> None:
        """Count none yet; `pixels` are to come."""
        self.band, self._most = band, MAX_PARTIAL_ALPHA * pixels
        self._histogram_V = np.zeros(np.iinfo(image.dtypes[band - 1]).max + 1, np.int64)

    def add(self, alpha_HW: np.ndarray) -> bool:
        """Count a window; return whether the values so far are those of a spectral band."""
        self._histogram_V += np.bincount(alpha_HW.ravel(), minlength=len(self._histogram_V))
        partial = self._histogram_V[1:].sum() - self._histogram_V[1:].max()  # neither 0 nor the most frequent other one
        return bool(partial > self._most)


def alpha_band(image: GeoTiff, bands: tuple[int, ...]) -> int | None:
    """Return the band marked as alpha unless it is one of `bands`, those that are read; None if there is none."""
    return None if image.alpha_band in bands else image.alpha_band


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
    band = alpha_band(image, bands)
    if band is None:
        return Transparency()
    windows = list(windows)
    values = AlphaValues(image, band, sum(window.height * window.width for window in windows))
    for window in windows:
        if values.add(image.read((band,), window)[0]):
            return Transparency(is_unused=True)
    return Transparency(band)
