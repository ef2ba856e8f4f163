"""Sentinel-2 tiles of the LandCoverNet sample, with the landscapes of their chips."""

from dataclasses import dataclass

from pipeline.sources.sample.ground import Landscape


@dataclass(frozen=True)
class MgrsTile:
    """A tile of Sentinel-2's 100 km MGRS grid."""

    name: str
    zone: int
    south: bool
    left: int
    """Easting of the left edge, in metres."""
    top: int
    """Northing of the top edge, in metres."""
    greenness: tuple[int, ...]
    """Of each month, 0 to 1023."""
    landscapes: tuple[Landscape, ...]
    """Of each chip."""


_SAVANNAH = Landscape(wood=330, farmed=150, bare=30, lake=20, villages=2)
_FARMLAND = Landscape(wood=240, farmed=440, bare=30, lake=50, villages=6)
_VALLEY = Landscape(wood=460, farmed=210, bare=20, river=6, villages=3)
_SHORE = Landscape(wood=340, farmed=360, bare=20, lake=320, villages=3)
_DELTA = Landscape(wood=380, farmed=260, bare=60, lake=60, river=10, villages=3)
_SUMMIT = Landscape(wood=560, bare=40, snow=200)
_FOOTHILLS = Landscape(wood=720, farmed=220, lake=20, villages=2)
_PLAIN = Landscape(wood=100, farmed=170, bare=330, lake=15, river=5, villages=3)

TILES = (
    MgrsTile(
        "29PKL", 29, False, 199980, 1100040, (160, 90, 60, 160, 400, 640, 840, 960, 990, 840, 560, 300),
        (_SAVANNAH, _FARMLAND, _VALLEY, _SAVANNAH, _FARMLAND, _VALLEY, _SAVANNAH, _FARMLAND),
    ),
    MgrsTile(
        "36MXE", 36, True, 600000, 10000000, (380, 360, 560, 850, 950, 800, 620, 560, 600, 660, 760, 620),
        (_SHORE, _FARMLAND, _DELTA, _SHORE, _FARMLAND, _SHORE, _DELTA, _FARMLAND),
    ),
    MgrsTile(
        "37MCS", 37, True, 300000, 9700000, (420, 300, 460, 820, 900, 640, 460, 330, 240, 260, 560, 600),
        (_SUMMIT, _PLAIN, _FOOTHILLS, _SUMMIT, _PLAIN, _FOOTHILLS, _SUMMIT, _PLAIN),
    ),
)  # fmt: skip
