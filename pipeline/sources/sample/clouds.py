"""Clouds and their shadows, haze and the edge of the swath; and the cloud products derived from them."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import (
    Rng,
    Shape,
    derive_seed,
    fractal_noise,
    quantile,
    signed,
    top_share,
    white_noise,
)
from pipeline.sources.sample.shapes import Point, direction, move

OPAQUE = 1024
"""Thickness that hides the ground."""
DETECTABLE = 256
"""Least thickness that the cloud products report."""
MARGIN = 48
"""Pixels around a scene in which clouds can cast a shadow into it."""
CLOUD = (6300, 6200, 6100, 6100, 6200, 6300, 6400, 6400, 5200, 4200)
"""Reflectance of a thick cloud in the bands of `spectra.BANDS`, times 10,000."""
HAZE = (2500, 2450, 2400, 2500, 2700, 2800, 2900, 2900, 1900, 1500)
"""Reflectance of thick haze, likewise."""
SHADOW_LIGHT = (560, 490, 430, 420, 410, 410, 410, 410, 400, 400)
"""Light in a cloud's shadow, in 1024ths: diffuse, thus bluish."""


@dataclass(frozen=True)
class Weather:
    """Occluded shares of a scene, in thousandths."""

    cloud: int = 0
    haze: int = 0
    missing: int = 0
    """Outside the swath."""


@dataclass(frozen=True)
class Occlusion:
    """Thickness of what occludes the ground, 0 to 1024; maps are (height, width) of int32."""

    cloud_HW: np.ndarray
    shadow_HW: np.ndarray
    haze_HW: np.ndarray
    missing_HW: np.ndarray
    """bool: outside the swath."""


def generate_occlusion(shape: Shape, weather: Weather, shadow_direction: Point, seed: int) -> Occlusion:
    """Generate the clouds, shadows, haze and swath of one date.

    Args:
        shape: of the scene.
        weather: share of the scene that each occludes.
        shadow_direction: direction vector, away from the sun.
        seed: of positions and shapes.
    """
    cloud_HW, shadow_HW = _clouds(shape, weather.cloud, shadow_direction, seed)
    haze_HW = np.zeros(shape, np.int32)
    if weather.haze:
        noise_HW = fractal_noise(shape, 110, 4, derive_seed(seed, "haze"))
        haze_HW = np.clip((noise_HW - quantile(noise_HW, 1000 - weather.haze)) * 3 + DETECTABLE, 0, 760)
    return Occlusion(cloud_HW, shadow_HW, haze_HW, _outside_swath(shape, weather.missing, seed))


def _clouds(shape: Shape, permille: int, shadow_direction: Point, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the thickness of clouds and of their shadows, which are the same shapes displaced."""
    if not permille:
        return np.zeros(shape, np.int32), np.zeros(shape, np.int32)
    rng = Rng(derive_seed(seed, "clouds"))
    canvas = shape[0] + 2 * MARGIN, shape[1] + 2 * MARGIN
    noise = fractal_noise(canvas, rng.between(30, 70), 5, derive_seed(seed, "cloud form"))
    displacement = move((0, 0), shadow_direction, rng.between(14, 40))
    overhead_HW, sunward_HW = (
        noise[MARGIN - rows : MARGIN - rows + shape[0], MARGIN - columns : MARGIN - columns + shape[1]]
        for rows, columns in ((0, 0), displacement)
    )
    threshold = quantile(overhead_HW, 1000 - permille)
    cloud_HW, shadow_HW = (
        np.clip((noise_HW - threshold) * 6 + DETECTABLE, 0, OPAQUE) for noise_HW in (overhead_HW, sunward_HW)
    )
    return cloud_HW, np.clip(shadow_HW * 2 - cloud_HW * 2, 0, OPAQUE)


def _outside_swath(shape: Shape, permille: int, seed: int) -> np.ndarray:
    """Return one side of a straight line near the orbit's inclination, bool."""
    sine, cosine = direction(Rng(derive_seed(seed, "swath")).choice((2, 3, 34, 35)))
    rows, columns = np.indices(shape, np.int32, sparse=True)
    return top_share(rows * sine + columns * cosine, permille)


def apply_occlusion(bands_CHW: np.ndarray, occlusion: Occlusion, columns: tuple[int, ...]) -> np.ndarray:
    """Add shadows, haze and clouds to the ground.

    Args:
        bands_CHW: reflectance of the ground times 10,000, int32.
        occlusion: thickness of clouds, shadows and haze.
        columns: indices of the bands into `spectra.BANDS`.

    Returns:
        (bands, height, width) of uint16; 0 outside the swath, at least 1 inside.
    """
    brightness_HW = signed(occlusion.cloud_HW, 260) + 900  # thick clouds are brightest
    image_CHW = np.empty(bands_CHW.shape, np.uint16)
    for number, column in enumerate(columns):
        value_HW = bands_CHW[number] * (OPAQUE - (occlusion.shadow_HW * (OPAQUE - SHADOW_LIGHT[column]) >> 10)) >> 10
        value_HW += (HAZE[column] - value_HW) * occlusion.haze_HW >> 10
        value_HW += ((CLOUD[column] * brightness_HW >> 10) - value_HW) * occlusion.cloud_HW >> 10
        image_CHW[number] = np.where(occlusion.missing_HW, 0, np.clip(value_HW, 1, 16000))
    return image_CHW


def scene_classification(ground_CHW: np.ndarray, snow_HW: np.ndarray, occlusion: Occlusion) -> np.ndarray:
    """Classify like sen2cor's SCL: 20 m pixels, resampled to 10 m.

    Args:
        ground_CHW: blue, green, red and near infrared of the ground.
        snow_HW: bool.
        occlusion: thickness of clouds, shadows and haze.

    Returns:
        (height, width) of uint8, codes of `pipeline.sentinel.clouds.SCL`.
    """
    _, green_HW, red_HW, nir_HW = ground_CHW
    ndvi_HW = (nir_HW - red_HW) * 100 // np.maximum(nir_HW + red_HW, 1)
    rules = (
        (ndvi_HW < 36, 7),  # unclassified
        (ndvi_HW < 30, 5),  # bare
        ((nir_HW < 1050) & (red_HW < 700), 2),  # dark
        ((nir_HW < 800) & (nir_HW < green_HW), 6),  # water
        (snow_HW, 11),  # snow
        (occlusion.shadow_HW >= DETECTABLE, 3),  # shadow
        (occlusion.haze_HW >= DETECTABLE, 10),  # cirrus
        (occlusion.cloud_HW >= DETECTABLE, 8),  # medium probability
        (occlusion.cloud_HW >= 640, 9),  # high probability
        (occlusion.missing_HW, 0),  # no data
    )
    class_HW = np.full(nir_HW.shape, 4, np.uint8)  # vegetation
    for where_HW, code in rules:  # a later rule overrides an earlier one
        class_HW[where_HW] = code
    return coarsen(class_HW, 2)


def cloud_probability(occlusion: Occlusion, seed: int) -> np.ndarray:
    """Return CLD: percent, uint8 (height, width), 60 m pixels resampled to 10 m; 255 outside the swath."""
    noise_HW = signed(white_noise(occlusion.cloud_HW.shape, derive_seed(seed, "probability")), 8)
    percent_HW = (np.maximum(occlusion.cloud_HW * 2, occlusion.haze_HW // 2) * 100 >> 10) + noise_HW
    percent_HW[(occlusion.cloud_HW < DETECTABLE // 4) & (occlusion.haze_HW < DETECTABLE // 4)] = 0
    return coarsen(np.where(occlusion.missing_HW, 255, np.clip(percent_HW, 0, 100)).astype(np.uint8), 6)


def cloud_mask(occlusion: Occlusion) -> np.ndarray:
    """Return Ghana's cloud mask, uint8 (height, width): 0 clear, 1 cloud, 2 shadow, 3 haze."""
    code_HW = np.zeros(occlusion.cloud_HW.shape, np.uint8)
    for thickness_HW, code in ((occlusion.haze_HW, 3), (occlusion.shadow_HW, 2), (occlusion.cloud_HW, 1)):
        code_HW[thickness_HW >= DETECTABLE] = code
    return code_HW


def coarsen(values_HW: np.ndarray, factor: int) -> np.ndarray:
    """Sample every `factor`-th row and column and resample to the original grid (nearest neighbour)."""
    height, width = values_HW.shape
    return values_HW[::factor, ::factor].repeat(factor, axis=0).repeat(factor, axis=1)[:height, :width]
