"""What comes between a satellite and the ground: clouds and their shadows, haze, the edge of the swath."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

from pipeline.sources.sample.noise import Dice, Shape, derive, fractal_noise, quantile, signed, white_noise
from pipeline.sources.sample.shapes import Point, direction, moved

FULL = 1024
"""A veil that hides everything."""
SEEN = 256
"""The least thickness that counts as cloud, shadow or haze."""
MARGIN = 48
"""Pixels around a scene over which clouds can stand whose shadow falls into it."""
CLOUD = (6300, 6200, 6100, 6100, 6200, 6300, 6400, 6400, 5200, 4200)
"""Reflectance of a thick cloud in the bands of `spectra.BANDS`, times 10,000."""
HAZE = (2500, 2450, 2400, 2500, 2700, 2800, 2900, 2900, 1900, 1500)
SHADE = (560, 490, 430, 420, 410, 410, 410, 410, 400, 400)
"""Light in a cloud's shadow, in 1024ths: blue sky lights it."""


class Code(IntEnum):
    """Classes of sen2cor's scene classification."""

    NO_DATA = 0
    DARK = 2
    SHADOW = 3
    VEGETATION = 4
    BARE = 5
    WATER = 6
    UNCLASSIFIED = 7
    CLOUD_MEDIUM = 8
    CLOUD_HIGH = 9
    CIRRUS = 10
    SNOW = 11


@dataclass(frozen=True)
class Weather:
    """Shares of the scene, in thousandths."""

    cloud: int = 0
    haze: int = 0
    missing: int = 0


@dataclass(frozen=True)
class Veil:
    """Thickness of what hides the ground: int32, 0 to 1024."""

    cloud_HW: np.ndarray
    shadow_HW: np.ndarray
    haze_HW: np.ndarray
    missing_HW: np.ndarray
    """bool: outside the swath."""


def draw_veil(shape: Shape, weather: Weather, from_sun: Point, seed: int) -> Veil:
    """Draw the clouds of one date.

    Args:
        shape: of the scene.
        weather: how much of it is hidden.
        from_sun: direction vector of the shadows.
        seed: of places and forms.
    """
    cloud_HW, shadow_HW = _clouds(shape, weather.cloud, from_sun, seed)
    haze_HW = np.zeros(shape, np.int32)
    if weather.haze:
        thin_HW = fractal_noise(shape, 110, 4, derive(seed, "haze"))
        haze_HW = np.clip((thin_HW - quantile(thin_HW, 1000 - weather.haze)) * 3 + SEEN, 0, 760)
    return Veil(cloud_HW, shadow_HW, haze_HW, _outside_swath(shape, weather.missing, seed))


def _clouds(shape: Shape, permille: int, from_sun: Point, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Thickness of clouds, and of their shadows: the same shapes, moved."""
    if not permille:
        return np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    dice = Dice(derive(seed, "clouds"))
    canvas = shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN
    form = fractal_noise(canvas, dice.between(30, 70), 5, derive(seed, "cloud form"))
    away = moved((0, 0), from_sun, dice.between(14, 40))
    here, sunward = (
        form[MARGIN - rows : MARGIN - rows + shape[0], MARGIN - columns : MARGIN - columns + shape[1]]
        for rows, columns in ((0, 0), away)
    )
    least = quantile(here, 1000 - permille)
    cloud_HW, shadow_HW = (np.clip((part - least) * 6 + SEEN, 0, FULL) for part in (here, sunward))
    return cloud_HW, np.clip(shadow_HW * 2 - cloud_HW * 2, 0, FULL)


def _outside_swath(shape: Shape, permille: int, seed: int) -> np.ndarray:
    """bool: one side of a straight line that leans as the orbit does."""
    if not permille:
        return np.zeros(shape, bool)
    dice = Dice(derive(seed, "swath"))
    sine, cosine = direction(dice.pick((2, 3, 34, 35)))
    rows = np.arange(shape[0], dtype=np.int32)[:, None]
    columns = np.arange(shape[1], dtype=np.int32)[None, :]
    across_HW = rows * sine + columns * cosine
    return np.asarray(across_HW > quantile(across_HW, 1000 - permille))


def seen_through(bands_CHW: np.ndarray, veil: Veil, columns: tuple[int, ...]) -> np.ndarray:
    """The ground with shadows on it and haze and clouds before it.

    Args:
        bands_CHW: reflectance of the ground times 10,000, int32.
        veil: what hides it.
        columns: which of `spectra.BANDS` the bands are.

    Returns:
        (bands, height, width) of uint16; 0 outside the swath and nowhere else.
    """
    billows_HW = signed(veil.cloud_HW, 260) + 900  # thick parts are the brightest
    seen_CHW = np.empty(bands_CHW.shape, np.uint16)
    for number, column in enumerate(columns):
        value_HW = bands_CHW[number] * (FULL - (veil.shadow_HW * (FULL - SHADE[column]) >> 10)) >> 10
        value_HW += (HAZE[column] - value_HW) * veil.haze_HW >> 10
        value_HW += ((CLOUD[column] * billows_HW >> 10) - value_HW) * veil.cloud_HW >> 10
        seen_CHW[number] = np.where(veil.missing_HW, 0, np.clip(value_HW, 1, 16000))
    return seen_CHW


def scene_classification(ground_CHW: np.ndarray, snow_HW: np.ndarray, veil: Veil) -> np.ndarray:
    """SCL: sen2cor's classes, 20 m pixels on the grid of 10 m.

    Args:
        ground_CHW: blue, green, red and near infrared of the ground.
        snow_HW: bool.
        veil: what hides it.

    Returns:
        (height, width) of uint8, values of `Code`.
    """
    _, green_HW, red_HW, near_HW = ground_CHW
    contrast_HW = (near_HW - red_HW) * 100 // np.maximum(near_HW + red_HW, 1)
    rules = (
        (contrast_HW < 36, Code.UNCLASSIFIED),
        (contrast_HW < 30, Code.BARE),
        ((near_HW < 1050) & (red_HW < 700), Code.DARK),
        ((near_HW < 800) & (near_HW < green_HW), Code.WATER),
        (snow_HW, Code.SNOW),
        (veil.shadow_HW >= SEEN, Code.SHADOW),
        (veil.haze_HW >= SEEN, Code.CIRRUS),
        (veil.cloud_HW >= SEEN, Code.CLOUD_MEDIUM),
        (veil.cloud_HW >= 640, Code.CLOUD_HIGH),
        (veil.missing_HW, Code.NO_DATA),
    )
    code_HW = np.full(near_HW.shape, Code.VEGETATION, np.uint8)
    for where_HW, code in rules:
        code_HW[where_HW] = code
    return coarse(code_HW, 2)


def cloud_probability(veil: Veil, seed: int) -> np.ndarray:
    """CLD: percent as uint8 (height, width), 60 m pixels on the grid of 10 m; 255 outside the swath."""
    jitter_HW = signed(white_noise(veil.cloud_HW.shape, derive(seed, "probability")), 8)
    percent_HW = (np.maximum(veil.cloud_HW * 2, veil.haze_HW // 2) * 100 >> 10) + jitter_HW
    percent_HW[(veil.cloud_HW < SEEN // 4) & (veil.haze_HW < SEEN // 4)] = 0
    return coarse(np.where(veil.missing_HW, 255, np.clip(percent_HW, 0, 100)).astype(np.uint8), 6)


def cloud_mask(veil: Veil) -> np.ndarray:
    """Ghana's codes: 0 clear, 1 cloud, 2 shadow, 3 haze; uint8 (height, width)."""
    code_HW = np.zeros(veil.cloud_HW.shape, np.uint8)
    for thickness_HW, code in ((veil.haze_HW, 3), (veil.shadow_HW, 2), (veil.cloud_HW, 1)):
        code_HW[thickness_HW >= SEEN] = code
    return code_HW


def coarse(values_HW: np.ndarray, factor: int) -> np.ndarray:
    """The values of every `factor`-th row and column, repeated: a coarser grid upsampled by its nearest pixels."""
    height, width = values_HW.shape
    return values_HW[::factor, ::factor].repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]
