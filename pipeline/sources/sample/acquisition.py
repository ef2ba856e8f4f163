"""Surface reflectance on one acquisition date, by season, slope and illumination."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from pipeline.sources.sample.clouds import Occlusion, Weather, generate_occlusion
from pipeline.sources.sample.ground import Ground
from pipeline.sources.sample.noise import (
    Seeded,
    Shape,
    derive_seed,
    fractal_noise,
    per_field,
    signed,
    smooth,
    white_noise,
)
from pipeline.sources.sample.shapes import TURN, Point, direction
from pipeline.sources.sample.spectra import BLOTCH, CROPS, DRY, GRAIN, GREEN, Cover

NEUTRAL = 1024
"""Light that leaves reflectance unchanged."""
PATH_REFLECTANCE = (110, 70, 40, 30, 20, 15, 10, 10, 5, 5)
"""Added by a clear atmosphere in the bands of `spectra.BANDS`, reflectance times 10,000."""


@dataclass(frozen=True)
class Acquisition(Seeded):
    """One acquisition date of a site."""

    day: date
    greenness: int
    """Of the season: 0, dry, to 1023, the height of the rains."""
    seed: int
    weather: Weather = Weather()

    @property
    def shadow_direction(self) -> Point:
        """Direction vector of shadows: the sun is in the south-east, from April to September in the north-east."""
        return direction(TURN // 2 + (10 if self.day.month in (10, 11, 12, 1, 2, 3) else -6))

    def occlusion(self, shape: Shape) -> Occlusion:
        """Generate the clouds, shadows, haze and swath of this date."""
        return generate_occlusion(shape, self.weather, self.shadow_direction, self.seed)


def reflectance(ground: Ground, acquisition: Acquisition, columns: tuple[int, ...]) -> np.ndarray:
    """Render a site without clouds.

    Args:
        ground: maps of the site.
        acquisition: date and season.
        columns: indices into `spectra.BANDS` of the bands to render.

    Returns:
        (bands, height, width) of int32, reflectance times 10,000.
    """
    cover_HW = _add_burn_scars(ground, acquisition)
    green_HW = _greenness(ground, acquisition, cover_HW)
    light_HW = _light(ground, acquisition, cover_HW)
    turbidity = acquisition.rng("air").between(600, 1500)
    bands_CHW = np.empty((len(columns), *ground.site.shape), np.int32)
    for number, column in enumerate(columns):
        dry_HW = DRY[:, column][cover_HW]
        value_HW = dry_HW + ((GREEN[:, column][cover_HW] - dry_HW) * green_HW >> 10)
        value_HW = smooth(value_HW * light_HW >> 10)
        sensor_HW = signed(white_noise(ground.site.shape, derive_seed(acquisition.seed, "sensor", column)), 28)
        bands_CHW[number] = value_HW + (PATH_REFLECTANCE[column] * turbidity >> 10) + sensor_HW
    return np.asarray(np.maximum(bands_CHW, 1))


def _add_burn_scars(ground: Ground, acquisition: Acquisition) -> np.ndarray:
    """Burn patches of grass on some dates of the dry season; burn scars are as dark as water."""
    if acquisition.greenness > 420 or acquisition.rng("fires").below(2):
        return ground.cover_HW
    noise_HW = fractal_noise(ground.site.shape, 46, 4, acquisition.noise_seed("scars"))
    scar_HW = noise_HW > acquisition.rng("scars").between(640, 720)
    return np.where(scar_HW & (ground.cover_HW == Cover.GRASS), np.uint8(Cover.BURNT), ground.cover_HW)


def _greenness(ground: Ground, acquisition: Acquisition, cover_HW: np.ndarray) -> np.ndarray:
    """Return the greenness of each pixel, int32, 0 to 1023: moist ground stays green; fields differ in phenology."""
    growth_HW = fractal_noise(ground.site.shape, 24, 4, acquisition.noise_seed("growth"))
    green_HW = acquisition.greenness + signed(ground.moisture_HW, 420) + signed(growth_HW, 160)
    sowing = per_field(ground.field_count, 260, derive_seed(ground.site.seed, "sown"))
    ripening = per_field(ground.field_count, 170, derive_seed(acquisition.seed, "ripe"))
    farmed_HW = cover_HW >= CROPS[0]
    green_HW[farmed_HW] = (acquisition.greenness + sowing + ripening)[ground.field_HW[farmed_HW]]
    forest_HW = cover_HW == Cover.FOREST
    green_HW[forest_HW] = (green_HW[forest_HW] >> 1) + 430
    water_HW = cover_HW <= Cover.RIVER
    green_HW[water_HW] = 400 + signed(ground.moisture_HW[water_HW], 420)
    return np.asarray(np.clip(green_HW, 0, 1023))


def _light(ground: Ground, acquisition: Acquisition, cover_HW: np.ndarray) -> np.ndarray:
    """Return the light on each pixel, int32, 1024 is neutral: texture of the cover, field by field, and terrain."""
    light_HW = NEUTRAL + (ground.blotch_HW * BLOTCH[cover_HW] + ground.grain_HW * GRAIN[cover_HW]) // 1000
    field_light = per_field(ground.field_count, 110, derive_seed(ground.site.seed, "field shade"))
    light_HW += np.where(cover_HW >= CROPS[0], field_light[ground.field_HW], 0)
    slope_HW = _sunward_slope(ground.height_HW, acquisition.shadow_direction)
    light_HW += np.where(cover_HW <= Cover.RIVER, 0, np.clip(slope_HW * 12, -520, 420))
    light_HW = np.clip(light_HW, 260, 1900)
    return np.asarray(light_HW * acquisition.rng("light").between(930, 1090) >> 10)


def _sunward_slope(height_HW: np.ndarray, shadow_direction: Point) -> np.ndarray:
    """Return how steeply each pixel faces the sun: the rise along the shadow; 0 at the edge of the site."""
    down_HW, right_HW = (np.zeros_like(height_HW) for _ in range(2))
    down_HW[1:-1] = height_HW[2:] - height_HW[:-2]
    right_HW[:, 1:-1] = height_HW[:, 2:] - height_HW[:, :-2]
    return np.asarray(down_HW * shadow_direction[0] + right_HW * shadow_direction[1] >> 11)
