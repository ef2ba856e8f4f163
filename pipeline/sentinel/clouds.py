"""Clouds, shadow, haze and no-data in a Sentinel-2 chip, by pixel and as shares."""

from enum import IntEnum

import numpy as np


class PixelKind(IntEnum):
    """What a pixel shows; where two sources disagree, the larger value wins."""

    CLEAR = 0
    SHADOW = 1
    HAZE = 2
    CLOUD = 3
    NO_DATA = 4


SCL = {
    0: PixelKind.NO_DATA,
    1: PixelKind.NO_DATA,  # saturated or defective
    2: PixelKind.CLEAR,  # dark, not shadow
    3: PixelKind.SHADOW,
    4: PixelKind.CLEAR,
    5: PixelKind.CLEAR,
    6: PixelKind.CLEAR,
    7: PixelKind.CLEAR,
    8: PixelKind.CLOUD,
    9: PixelKind.CLOUD,
    10: PixelKind.HAZE,
    11: PixelKind.CLEAR,  # snow
}
"""From the classes of sen2cor's scene classification (SCL)."""
GHANA = {0: PixelKind.CLEAR, 1: PixelKind.CLOUD, 2: PixelKind.SHADOW, 3: PixelKind.HAZE}
"""From the codes of the Ghana dataset's `cloudmask`."""


def from_codes(codes_HW: np.ndarray, table: dict[int, PixelKind]) -> np.ndarray:
    """Map an archive's codes to `PixelKind`, uint8 (height, width); codes missing in `table` become no-data."""
    clouds_HW = np.full(codes_HW.shape, np.uint8(PixelKind.NO_DATA))
    for code, kind in table.items():
        clouds_HW[codes_HW == code] = kind
    return clouds_HW


def from_probability(cld_HW: np.ndarray, scl_HW: np.ndarray, threshold: int) -> np.ndarray:
    """Find clouds by sen2cor's cloud probability, and shadow and no-data by its classes.

    Args:
        cld_HW: percent; values outside 0 to 100, such as 255, are no-data.
        scl_HW: codes of `SCL`.
        threshold: minimum cloud probability in percent.

    Returns:
        `PixelKind`, uint8 (height, width).
    """
    without_clouds: dict[int, PixelKind] = {
        code: PixelKind.CLEAR if kind in (PixelKind.CLOUD, PixelKind.HAZE) else kind for code, kind in SCL.items()
    }
    clouds_HW = from_codes(scl_HW, without_clouds)
    clouds_HW[cld_HW >= threshold] = PixelKind.CLOUD
    clouds_HW[~((cld_HW >= 0) & (cld_HW <= 100))] = PixelKind.NO_DATA
    return clouds_HW


def mark_no_data(clouds_HW: np.ndarray, bands_CHW: np.ndarray) -> np.ndarray:
    """Set no-data where any band is NaN, infinite, or 0, the no-data value of Sentinel-2."""
    missing_CHW = (bands_CHW == 0) | ~np.isfinite(bands_CHW)
    return np.where(missing_CHW.any(axis=0), np.uint8(PixelKind.NO_DATA), clouds_HW)


def shares(clouds_HW: np.ndarray) -> dict[str, float]:
    """Return the shares of the pixels, 0 to 1, that are `cloud`, `shadow`, `haze`, `no_data`."""
    counts = np.bincount(clouds_HW.ravel(), minlength=len(PixelKind)) / clouds_HW.size
    return {
        kind.name.lower(): float(counts[kind])
        for kind in (PixelKind.CLOUD, PixelKind.SHADOW, PixelKind.HAZE, PixelKind.NO_DATA)
    }
