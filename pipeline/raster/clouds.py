"""What hides the ground in a Sentinel-2 chip: one code a pixel, and the shares of each."""

from enum import IntEnum

import numpy as np


class Sky(IntEnum):
    """What a pixel shows; ordered, so that the larger wins where two sources disagree."""

    CLEAR = 0
    SHADOW = 1
    HAZE = 2
    CLOUD = 3
    NO_DATA = 4


SCL = {
    0: Sky.NO_DATA,
    1: Sky.NO_DATA,  # saturated or defective
    2: Sky.CLEAR,  # dark, not shadow
    3: Sky.SHADOW,
    4: Sky.CLEAR,
    5: Sky.CLEAR,
    6: Sky.CLEAR,
    7: Sky.CLEAR,
    8: Sky.CLOUD,
    9: Sky.CLOUD,
    10: Sky.HAZE,
    11: Sky.CLEAR,  # snow
}
"""Classes of sen2cor's scene classification."""
GHANA = {0: Sky.CLEAR, 1: Sky.CLOUD, 2: Sky.SHADOW, 3: Sky.HAZE}
"""Codes of the Ghana dataset's `cloudmask`."""


def from_codes(codes_HW: np.ndarray, table: dict[int, Sky]) -> np.ndarray:
    """Translate an archive's codes to `Sky`, uint8 (height, width); codes not in `table`, NaN too, are no-data."""
    sky_HW = np.full(codes_HW.shape, np.uint8(Sky.NO_DATA))
    for code, sky in table.items():
        sky_HW[codes_HW == code] = sky
    return sky_HW


def from_probability(cld_HW: np.ndarray, scl_HW: np.ndarray, threshold: int) -> np.ndarray:
    """`Sky` with sen2cor's cloud probability in place of its classes for cloud and haze.

    Args:
        cld_HW: percent; what is none, such as 255, is no-data.
        scl_HW: codes of `SCL`.
        threshold: the least percentage of a cloud.
    """
    ground: dict[int, Sky] = {code: Sky.CLEAR if sky in (Sky.CLOUD, Sky.HAZE) else sky for code, sky in SCL.items()}
    sky_HW = from_codes(scl_HW, ground)
    sky_HW[cld_HW >= threshold] = Sky.CLOUD
    sky_HW[~((cld_HW >= 0) & (cld_HW <= 100))] = Sky.NO_DATA
    return sky_HW


def without_data(sky_HW: np.ndarray, bands_CHW: np.ndarray) -> np.ndarray:
    """The same, no-data where any used band is 0, as Sentinel-2 writes where it saw nothing, or not a number."""
    unseen_CHW = (bands_CHW == 0) | ~np.isfinite(bands_CHW)
    return np.where(unseen_CHW.any(axis=0), np.uint8(Sky.NO_DATA), sky_HW)


def shares(sky_HW: np.ndarray) -> dict[str, float]:
    """Share of the pixels, 0 to 1, that are `cloud`, `shadow`, `haze`, `no_data`."""
    counts = np.bincount(sky_HW.ravel(), minlength=len(Sky)) / sky_HW.size
    return {sky.name.lower(): float(counts[sky]) for sky in (Sky.CLOUD, Sky.SHADOW, Sky.HAZE, Sky.NO_DATA)}
