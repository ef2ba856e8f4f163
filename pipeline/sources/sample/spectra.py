"""What covers the ground in a Sentinel-2 scene, and the light that each cover reflects, dry and green."""

from dataclasses import dataclass
from enum import IntEnum

import numpy as np

BANDS = ("B02", "B03", "B04", "B05", "B06", "B07", "B08", "B8A", "B11", "B12")
"""Blue, green, red, three of the red edge, near infrared, the narrow one, two of the short-wave infrared."""


class Kind(IntEnum):
    """A cover of the ground."""

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


CROPS = tuple(kind for kind in Kind if kind >= Kind.GROUND_NUT)
"""In the order of the Ghana dataset's class ids, which count from 1."""

Spectrum = tuple[int, int, int, int, int, int]
"""Blue, green, red, near and two short-wave infrared bands, reflectance times 10,000."""


@dataclass(frozen=True)
class Cover:
    """How one kind looks."""

    land_cover: int
    """Class id of LandCoverNet."""
    dry: Spectrum
    """At the end of the dry season; of water: full of silt."""
    green: Spectrum
    """At the height of the rains; of water: clear."""
    blotch: int
    """Contrast of patches of some 200 m, in thousandths."""
    grain: int
    """Contrast from pixel to pixel, in thousandths."""


COVERS: dict[Kind, Cover] = {
    Kind.LAKE: Cover(1, (640, 740, 520, 240, 90, 60), (520, 470, 240, 120, 60, 40), 80, 25),
    Kind.RIVER: Cover(1, (760, 1020, 1040, 620, 180, 110), (560, 740, 640, 360, 120, 80), 60, 30),
    Kind.ROOF: Cover(2, (1500, 1720, 1950, 2400, 2900, 2700), (1400, 1600, 1780, 2300, 2700, 2500), 60, 420),
    Kind.EARTH: Cover(2, (950, 1300, 1900, 2500, 3300, 2900), (850, 1200, 1700, 2500, 3000, 2500), 120, 140),
    Kind.SAND: Cover(3, (1150, 1600, 2150, 2800, 3800, 3400), (1000, 1450, 1900, 2700, 3400, 2900), 230, 70),
    Kind.ROCK: Cover(3, (880, 1040, 1220, 1500, 1900, 1700), (780, 930, 1050, 1400, 1700, 1500), 220, 230),
    Kind.SNOW: Cover(4, (6400, 6300, 6200, 5700, 900, 700), (6900, 6800, 6700, 6200, 800, 600), 120, 60),
    Kind.FOREST: Cover(5, (420, 600, 520, 2150, 1500, 800), (290, 480, 300, 2900, 1300, 550), 150, 270),
    Kind.GRASS: Cover(7, (720, 1030, 1340, 2150, 3000, 2300), (450, 790, 640, 2900, 2000, 1100), 170, 90),
    Kind.BURNT: Cover(7, (420, 470, 520, 800, 1500, 1500), (420, 500, 520, 1000, 1500, 1400), 260, 90),
    Kind.GROUND_NUT: Cover(6, (900, 1320, 1880, 2600, 3500, 3000), (500, 1010, 760, 3300, 2100, 1200), 80, 60),
    Kind.MAIZE: Cover(6, (860, 1330, 1640, 2450, 3300, 2600), (350, 800, 400, 3900, 1900, 900), 60, 50),
    Kind.RICE: Cover(6, (800, 1000, 1080, 1800, 2200, 1700), (520, 700, 430, 2500, 1000, 500), 50, 40),
    Kind.SOYA_BEAN: Cover(6, (640, 880, 1180, 2100, 2900, 2300), (330, 1000, 440, 4400, 1900, 900), 60, 40),
    Kind.YAM: Cover(6, (560, 720, 1060, 1800, 2600, 2200), (500, 720, 860, 2600, 2400, 1700), 60, 210),
    Kind.INTERCROP: Cover(6, (760, 1080, 1420, 2250, 3000, 2400), (460, 860, 660, 3100, 2100, 1200), 120, 190),
    Kind.SORGHUM: Cover(6, (980, 1420, 1560, 2500, 3500, 2800), (470, 740, 840, 2900, 2300, 1400), 70, 70),
    Kind.OKRA: Cover(6, (700, 1000, 1300, 2100, 2900, 2300), (420, 880, 520, 3500, 2000, 1000), 80, 120),
    Kind.CASSAVA: Cover(6, (640, 900, 1120, 2200, 2700, 2000), (380, 720, 420, 3300, 1800, 900), 90, 110),
    Kind.MILLET: Cover(6, (1020, 1450, 1780, 2600, 3700, 3000), (520, 900, 860, 3000, 2400, 1500), 70, 70),
}


def all_bands(spectrum: Spectrum) -> tuple[int, ...]:
    """The ten bands of `BANDS`: the red edge climbs from red to near infrared."""
    blue, green, red, near, short, shorter = spectrum
    edge = [red + (near - red) * part // 100 for part in (24, 74, 92)]
    return blue, green, red, *edge, near, near + (near >> 5), short, shorter


DRY = np.array([all_bands(COVERS[kind].dry) for kind in Kind], np.int32)
"""(kinds, 10)"""
GREEN = np.array([all_bands(COVERS[kind].green) for kind in Kind], np.int32)
"""(kinds, 10)"""
BLOTCH = np.array([COVERS[kind].blotch for kind in Kind], np.int32)
GRAIN = np.array([COVERS[kind].grain for kind in Kind], np.int32)
LAND_COVER = np.array([COVERS[kind].land_cover for kind in Kind], np.uint8)
