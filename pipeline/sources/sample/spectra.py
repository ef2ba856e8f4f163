"""Ground covers of Sentinel-2 scenes and their reflectance, dry and green."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""Blue, green, red, three red-edge bands, near infrared, narrow near infrared, two short-wave infrared bands."""


class Cover(IntEnum):
    """Ground covers."""

    LAKE = 0
    RIVER = 1
    ROOF = 2
    EARTH = 3
    SAND = 4
    ROCK = 5
    SNOW = 6
    FOREST = 7
    GRASS = 8
    BURNT = 9
    GROUND_NUT = 10
    MAIZE = 11
    RICE = 12
    SOYA_BEAN = 13
    YAM = 14
    INTERCROP = 15
    SORGHUM = 16
    OKRA = 17
    CASSAVA = 18
    MILLET = 19


CROPS = tuple(cover for cover in Cover if cover >= Cover.GROUND_NUT)
"""In the order of the Ghana dataset's class ids, which count from 1."""

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


SURFACES: dict[Cover, Surface] = {
    Cover.LAKE: Surface(1, (640, 740, 520, 240, 90, 60), (520, 470, 240, 120, 60, 40), 80, 25),
    Cover.RIVER: Surface(1, (760, 1020, 1040, 620, 180, 110), (560, 740, 640, 360, 120, 80), 60, 30),
    Cover.ROOF: Surface(2, (1500, 1720, 1950, 2400, 2900, 2700), (1400, 1600, 1780, 2300, 2700, 2500), 60, 420),
    Cover.EARTH: Surface(2, (950, 1300, 1900, 2500, 3300, 2900), (850, 1200, 1700, 2500, 3000, 2500), 120, 140),
    Cover.SAND: Surface(3, (1150, 1600, 2150, 2800, 3800, 3400), (1000, 1450, 1900, 2700, 3400, 2900), 230, 70),
    Cover.ROCK: Surface(3, (880, 1040, 1220, 1500, 1900, 1700), (780, 930, 1050, 1400, 1700, 1500), 220, 230),
    Cover.SNOW: Surface(4, (6400, 6300, 6200, 5700, 900, 700), (6900, 6800, 6700, 6200, 800, 600), 120, 60),
    Cover.FOREST: Surface(5, (420, 600, 520, 2150, 1500, 800), (290, 480, 300, 2900, 1300, 550), 150, 270),
    Cover.GRASS: Surface(7, (720, 1030, 1340, 2150, 3000, 2300), (450, 790, 640, 2900, 2000, 1100), 170, 90),
    Cover.BURNT: Surface(7, (420, 470, 520, 800, 1500, 1500), (420, 500, 520, 1000, 1500, 1400), 260, 90),
    Cover.GROUND_NUT: Surface(6, (900, 1320, 1880, 2600, 3500, 3000), (500, 1010, 760, 3300, 2100, 1200), 80, 60),
    Cover.MAIZE: Surface(6, (860, 1330, 1640, 2450, 3300, 2600), (350, 800, 400, 3900, 1900, 900), 60, 50),
    Cover.RICE: Surface(6, (800, 1000, 1080, 1800, 2200, 1700), (520, 700, 430, 2500, 1000, 500), 50, 40),
    Cover.SOYA_BEAN: Surface(6, (640, 880, 1180, 2100, 2900, 2300), (330, 1000, 440, 4400, 1900, 900), 60, 40),
    Cover.YAM: Surface(6, (560, 720, 1060, 1800, 2600, 2200), (500, 720, 860, 2600, 2400, 1700), 60, 210),
    Cover.INTERCROP: Surface(6, (760, 1080, 1420, 2250, 3000, 2400), (460, 860, 660, 3100, 2100, 1200), 120, 190),
    Cover.SORGHUM: Surface(6, (980, 1420, 1560, 2500, 3500, 2800), (470, 740, 840, 2900, 2300, 1400), 70, 70),
    Cover.OKRA: Surface(6, (700, 1000, 1300, 2100, 2900, 2300), (420, 880, 520, 3500, 2000, 1000), 80, 120),
    Cover.CASSAVA: Surface(6, (640, 900, 1120, 2200, 2700, 2000), (380, 720, 420, 3300, 1800, 900), 90, 110),
    Cover.MILLET: Surface(6, (1020, 1450, 1780, 2600, 3700, 3000), (520, 900, 860, 3000, 2400, 1500), 70, 70),
}


def all_bands(spectrum: Spectrum) -> tuple[int, ...]:
    """Return the ten bands of `BANDS`, with the red edge interpolated between red and near infrared."""
    blue, green, red, nir, *swir = spectrum
    red_edge = [red + (nir - red) * percent // 100 for percent in (24, 74, 92)]
    return blue, green, red, *red_edge, nir, nir + (nir >> 5), *swir


DRY = np.array([all_bands(SURFACES[cover].dry) for cover in Cover], np.int32)
"""(covers, 10)"""
GREEN = np.array([all_bands(SURFACES[cover].green) for cover in Cover], np.int32)
"""(covers, 10)"""
BLOTCH = np.array([SURFACES[cover].blotch for cover in Cover], np.int32)
GRAIN = np.array([SURFACES[cover].grain for cover in Cover], np.int32)
LAND_COVER = np.array([SURFACES[cover].land_cover for cover in Cover], np.uint8)
