"""The tiles of Sentinel-2's grid that the sample of LandCoverNet has chips in, and the country there."""

from dataclasses import dataclass

from pipeline.sources.sample.ground import Country


@dataclass(frozen=True)
class Tile:
    """A tile of Sentinel-2's grid (100 km of MGRS) and the country of its chips."""

    name: str
    zone: int
    south: bool
    corner: tuple[int, int]
    """x and y of its top left, in metres."""
    greenness: tuple[int, ...]
    """Month by month, 0 to 1023."""
    countries: tuple[Country, ...]


_SAVANNAH = Country(wood=330, farmed=150, bare=30, lake=20, villages=2)
_FARMLAND = Country(wood=240, farmed=440, bare=30, lake=50, villages=6)
_VALLEY = Country(wood=460, farmed=210, bare=20, river=6, villages=3)
_SHORE = Country(wood=340, farmed=360, bare=20, lake=320, villages=3)
_DELTA = Country(wood=380, farmed=260, bare=60, lake=60, river=10, villages=3)
_SUMMIT = Country(wood=560, bare=40, snow=200)
_FOOTHILLS = Country(wood=720, farmed=220, lake=20, villages=2)
_PLAIN = Country(wood=100, farmed=170, bare=330, lake=15, river=5, villages=3)

TILES = (
    Tile(
        "29PKL", 29, False, (199980, 1100040), (160, 90, 60, 160, 400, 640, 840, 960, 990, 840, 560, 300),
        (_SAVANNAH, _FARMLAND, _VALLEY, _SAVANNAH, _FARMLAND, _VALLEY, _SAVANNAH, _FARMLAND),
    ),
    Tile(
        "36MXE", 36, True, (600000, 10000000), (380, 360, 560, 850, 950, 800, 620, 560, 600, 660, 760, 620),
        (_SHORE, _FARMLAND, _DELTA, _SHORE, _FARMLAND, _SHORE, _DELTA, _FARMLAND),
    ),
    Tile(
        "37MCS", 37, True, (300000, 9700000), (420, 300, 460, 820, 900, 640, 460, 330, 240, 260, 560, 600),
        (_SUMMIT, _PLAIN, _FOOTHILLS, _SUMMIT, _PLAIN, _FOOTHILLS, _SUMMIT, _PLAIN),
    ),
)  # fmt: skip
