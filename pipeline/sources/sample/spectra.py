"""Ground covers of Sentinel-2 scenes and their reflectance, dry and green."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""Blue, green, red, three red-edge bands, near infrared, narrow near infrared, two short-wave infrared bands."""

Spectrum = tuple[int, int, int, int, int, int]
"""Blue, green, red, near infrared and two short-wave infrared bands, reflectance times 10,000."""


@dataclass(frozen=True)
class Surface:
    """Class and appearance of a ground cover."""

    land_cover: int
    """Class id of LandCoverNet."""
    dry: Spectrum
    """At the end of the dry season; of water: turbid."""
    green: Spectrum
    """At the height of the rains; of water: clear."""
    blotch: int
    """Contrast of patches of some 200 m, in thousandths."""
    grain: int
    """Contrast from pixel to pixel, in thousandths."""


class Cover(IntEnum):
    """Ground covers."""

    surface: Surface

    def __new__(cls, value: int, surface: Surface) -> "Cover":
        """Create a cover with its surface."""
        cover = int.__new__(cls, value)
        cover._value_, cover.surface = value, surface
        return cover

    LAKE = 0, Surface(1, (640, 740, 520, 240, 90, 60), (520, 470, 240, 120, 60, 40), 80, 25)
    RIVER = 1, Surface(1, (760, 1020, 1040, 620, 180, 110), (560, 740, 640, 360, 120, 80), 60, 30)
    ROOF = 2, Surface(2, (1500, 1720, 1950, 2400, 2900, 2700), (1400, 1600, 1780, 2300, 2700, 2500), 60, 420)
    EARTH = 3, Surface(2, (950, 1300, 1900, 2500, 3300, 2900), (850, 1200, 1700, 2500, 3000, 2500), 120, 140)
    SAND = 4, Surface(3, (1150, 1600, 2150, 2800, 3800, 3400), (1000, 1450, 1900, 2700, 3400, 2900), 230, 70)
    ROCK = 5, Surface(3, (880, 1040, 1220, 1500, 1900, 1700), (780, 930, 1050, 1400, 1700, 1500), 220, 230)
    SNOW = 6, Surface(4, (6400, 6300, 6200, 5700, 900, 700), (6900, 6800, 6700, 6200, 800, 600), 120, 60)
    FOREST = 7, Surface(5, (420, 600, 520, 2150, 1500, 800), (290, 480, 300, 2900, 1300, 550), 150, 270)
    GRASS = 8, Surface(7, (720, 1030, 1340, 2150, 3000, 2300), (450, 790, 640, 2900, 2000, 1100), 170, 90)
    BURNT = 9, Surface(7, (420, 470, 520, 800, 1500, 1500), (420, 500, 520, 1000, 1500, 1400), 260, 90)
    GROUND_NUT = 10, Surface(6, (900, 1320, 1880, 2600, 3500, 3000), (500, 1010, 760, 3300, 2100, 1200), 80, 60)
    MAIZE = 11, Surface(6, (860, 1330, 1640, 2450, 3300, 2600), (350, 800, 400, 3900, 1900, 900), 60, 50)
    RICE = 12, Surface(6, (800, 1000, 1080, 1800, 2200, 1700), (520, 700, 430, 2500, 1000, 500), 50, 40)
    SOYA_BEAN = 13, Surface(6, (640, 880, 1180, 2100, 2900, 2300), (330, 1000, 440, 4400, 1900, 900), 60, 40)
    YAM = 14, Surface(6, (560, 720, 1060, 1800, 2600, 2200), (500, 720, 860, 2600, 2400, 1700), 60, 210)
    INTERCROP = 15, Surface(6, (760, 1080, 1420, 2250, 3000, 2400), (460, 860, 660, 3100, 2100, 1200), 120, 190)
    SORGHUM = 16, Surface(6, (980, 1420, 1560, 2500, 3500, 2800), (470, 740, 840, 2900, 2300, 1400), 70, 70)
    OKRA = 17, Surface(6, (700, 1000, 1300, 2100, 2900, 2300), (420, 880, 520, 3500, 2000, 1000), 80, 120)
    CASSAVA = 18, Surface(6, (640, 900, 1120, 2200, 2700, 2000), (380, 720, 420, 3300, 1800, 900), 90, 110)
    MILLET = 19, Surface(6, (1020, 1450, 1780, 2600, 3700, 3000), (520, 900, 860, 3000, 2400, 1500), 70, 70)


CROPS = tuple(cover for cover in Cover if cover >= Cover.GROUND_NUT)
"""In the order of the Ghana dataset's class ids, which count from 1."""


def all_bands(spectrum: Spectrum) -> tuple[int, ...]:
    """Return the ten bands of `BANDS`, with the red edge interpolated between red and near infrared."""
    blue, green, red, nir, *swir = spectrum
    red_edge = [red + (nir - red) * percent // 100 for percent in (24, 74, 92)]
    return blue, green, red, *red_edge, nir, nir + (nir >> 5), *swir


DRY = np.array([all_bands(cover.surface.dry) for cover in Cover], np.int32)
"""(covers, 10)"""
GREEN = np.array([all_bands(cover.surface.green) for cover in Cover], np.int32)
"""(covers, 10)"""
BLOTCH = np.array([cover.surface.blotch for cover in Cover], np.int32)
GRAIN = np.array([cover.surface.grain for cover in Cover], np.int32)
LAND_COVER = np.array([cover.surface.land_cover for cover in Cover], np.uint8)
