"""A scale bar of round length for the picture of a scene."""

import math
from dataclasses import dataclass

from pipeline.raster.georeference import Georeference
from pipeline.scenes.ground import ground_size

LONGEST_SHARE = 0.25
"""Longest bar, as a share of the width of the scene."""


@dataclass(frozen=True)
class ScaleBar:
    """A bar along the rows of a scene."""

    share: float
    """Its length as a share of the width of the scene, 0 to 1."""
    label: str
    """Its length with its unit, such as `2 km`, or in pixels if the size of a pixel is unknown."""


def scale_bar(georeference: Georeference, height: int, width: int) -> ScaleBar:
    """Return the longest bar of 1, 2 or 5 times a power of ten that takes at most a quarter of the width.

    Args:
        georeference: of the scene.
        height: of the scene in pixels.
        width: of the scene in pixels.
    """
    ground = ground_size(georeference, height, width)
    if ground is None:
        pixels = max(1.0, _round_down(width * LONGEST_SHARE))
        return ScaleBar(pixels / width, f"{pixels:,.0f} px")
    length = _round_down(ground.width * width * LONGEST_SHARE)
    return ScaleBar(length / (ground.width * width), _label(length))


def _round_down(value: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten up to `value`, which is positive."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (0.5, 1, 2, 5) if factor * power <= value)


def _label(metres: float) -> str:
    size, unit = next(((size, unit) for size, unit in ((1000, "km"), (1, "m")) if metres >= size), (0.01, "cm"))
    return f"{metres / size:,.10g} {unit}"
