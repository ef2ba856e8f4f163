"""A scale bar of round length for the picture of a scene."""

import math
from dataclasses import dataclass

from pyproj import Geod, Transformer
from pyproj.exceptions import ProjError

from pipeline.raster.georeference import Georeference

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
    metres = metres_per_column(georeference, height, width)
    if metres is None:
        pixels = max(1.0, _round_down(width * LONGEST_SHARE))
        return ScaleBar(pixels / width, f"{pixels:,.0f} px")
    length = _round_down(metres * width * LONGEST_SHARE)
    return ScaleBar(length / (metres * width), _label(length))


def metres_per_column(georeference: Georeference, height: int, width: int) -> float | None:
    """Return the length of a pixel along its row at the centre of a scene, in metres on the ellipsoid.

    On the ellipsoid, because lengths in EPSG:3857 are twice those on the ground at 60° latitude.

    Args:
        georeference: of the scene, in any CRS and any orientation.
        height: of the scene in pixels.
        width: of the scene in pixels.

    Returns:
        None without a georeference, or where the CRS cannot be converted to longitude and latitude.
    """
    if georeference.crs is None or not georeference.is_known:
        return None
    start, end = (georeference.transform @ (width / 2 + side, height / 2) for side in (-0.5, 0.5))
    try:
        to_degrees = Transformer.from_crs(georeference.crs, "EPSG:4326", always_xy=True)
    except ProjError:  # a local grid
        return None
    longitudes, latitudes = to_degrees.transform((start[0], end[0]), (start[1], end[1]))
    metres = float(Geod(ellps="WGS84").line_length(longitudes, latitudes))
    return metres if math.isfinite(metres) and metres > 0 else None


def _round_down(value: float) -> float:
    """Return the largest 1, 2 or 5 times a power of ten up to `value`, which is positive."""
    power = 10.0 ** math.floor(math.log10(value))
    return max(factor * power for factor in (0.5, 1, 2, 5) if factor * power <= value)


def _label(metres: float) -> str:
    size, unit = next(((size, unit) for size, unit in ((1000, "km"), (1, "m")) if metres >= size), (0.01, "cm"))
    return f"{metres / size:,.10g} {unit}"
