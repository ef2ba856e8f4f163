"""A satellite's overpass: what the ground reflects on one date, by season, slope and light."""

from dataclasses import dataclass
from datetime import date

import numpy as np

from pipeline.sources.sample.ground import Ground
from pipeline.sources.sample.noise import Dice, derive, fractal_noise, signed, softened, white_noise
from pipeline.sources.sample.shapes import TURN, Point, direction
from pipeline.sources.sample.spectra import BLOTCH, CROPS, DRY, GRAIN, GREEN, Kind

NEUTRAL = 1024
AIR = (110, 70, 40, 30, 20, 15, 10, 10, 5, 5)
"""What clear air adds in the bands of `spectra.BANDS`, reflectance times 10,000."""


@dataclass(frozen=True)
class Overpass:
    """One date over one site."""

    day: date
    greenness: int
    """Of the season: 0, dry, to 1023, the height of the rains."""
    seed: int

    @property
    def from_sun(self) -> Point:
        """Direction vector of shadows: the sun stands in the south-east, from April on in the north-east."""
        return direction(TURN // 2 + (10 if self.day.month in (10, 11, 12, 1, 2, 3) else -6))

    def dice(self, purpose: str) -> Dice:
        """Chance for one purpose."""
        return Dice(derive(self.seed, purpose))

    def noise(self, ground: Ground, cell: int, octaves: int, purpose: str) -> np.ndarray:
        """Fractal noise over the site that is this date's own: (height, width) of int32, 0 to 1023."""
        return fractal_noise(ground.site.shape, cell, octaves, derive(self.seed, "noise", purpose))


def reflectance(ground: Ground, overpass: Overpass, columns: tuple[int, ...]) -> np.ndarray:
    """What reaches the sensor without clouds.

    Args:
        ground: the site.
        overpass: date and season.
        columns: which of `spectra.BANDS` to render.

    Returns:
        (bands, height, width) of int32, reflectance times 10,000.
    """
    kind_HW = _burnt(ground, overpass)
    green_HW = _greenness(ground, overpass, kind_HW)
    light_HW = _light(ground, overpass, kind_HW)
    clear = overpass.dice("air").between(600, 1500)
    bands_CHW = np.empty((len(columns), *ground.site.shape), np.int32)
    for number, column in enumerate(columns):
        dry_HW = DRY[:, column][kind_HW]
        value_HW = dry_HW + ((GREEN[:, column][kind_HW] - dry_HW) * green_HW >> 10)
        value_HW = softened(value_HW * light_HW >> 10)
        sensor_HW = signed(white_noise(ground.site.shape, derive(overpass.seed, "sensor", column)), 28)
        bands_CHW[number] = value_HW + (AIR[column] * clear >> 10) + sensor_HW
    return np.asarray(np.maximum(bands_CHW, 1))


def _burnt(ground: Ground, overpass: Overpass) -> np.ndarray:
    """The kinds, with grass burnt here and there in the dry season: as dark as water."""
    if overpass.greenness > 420 or overpass.dice("fires").below(2):
        return ground.kind_HW
    scar_HW = overpass.noise(ground, 46, 4, "scars") > overpass.dice("scars").between(640, 720)
    return np.where(scar_HW & (ground.kind_HW == Kind.GRASS), np.uint8(Kind.BURNT), ground.kind_HW)


def _greenness(ground: Ground, overpass: Overpass, kind_HW: np.ndarray) -> np.ndarray:
    """How green each pixel is, int32, 0 to 1023: moist places for long, each field in its own time."""
    green_HW = (
        overpass.greenness + signed(ground.moisture_HW, 420) + signed(overpass.noise(ground, 24, 4, "growth"), 160)
    )
    sown = signed(white_noise((1, ground.fields), derive(ground.site.seed, "sown")), 260)
    sown += signed(white_noise((1, ground.fields), derive(overpass.seed, "ripe")), 170)
    farmed_HW = kind_HW >= CROPS[0]
    green_HW[farmed_HW] = (overpass.greenness + sown[0][ground.field_HW])[farmed_HW]
    forest_HW = kind_HW == Kind.FOREST
    green_HW[forest_HW] = (green_HW[forest_HW] >> 1) + 430
    water_HW = kind_HW <= Kind.RIVER
    green_HW[water_HW] = 400 + signed(ground.moisture_HW[water_HW], 420)
    return np.asarray(np.clip(green_HW, 0, 1023))


def _light(ground: Ground, overpass: Overpass, kind_HW: np.ndarray) -> np.ndarray:
    """Light on each pixel, int32, 1024 is neutral: texture of the cover, field by field, and slopes to the sun."""
    light_HW = NEUTRAL + (ground.blotch_HW * BLOTCH[kind_HW] + ground.grain_HW * GRAIN[kind_HW]) // 1000
    shade = signed(white_noise((1, ground.fields), derive(ground.site.seed, "field shade")), 110)[0]
    light_HW += np.where(kind_HW >= CROPS[0], shade[ground.field_HW], 0)
    slope_HW = _slope(ground.height_HW, overpass.from_sun)
    light_HW += np.where(kind_HW <= Kind.RIVER, 0, np.clip(slope_HW * 12, -520, 420))
    light_HW = np.clip(light_HW, 260, 1900)
    return np.asarray(light_HW * overpass.dice("light").between(930, 1090) >> 10)


def _slope(height_HW: np.ndarray, from_sun: Point) -> np.ndarray:
    """How much the ground falls towards the sun, per pixel."""
    down, right = (np.zeros_like(height_HW) for _ in range(2))
    down[1:-1] = height_HW[2:] - height_HW[:-2]
    right[:, 1:-1] = height_HW[:, 2:] - height_HW[:, :-2]
    return np.asarray(down * from_sun[0] + right * from_sun[1] >> 11)
