"""UTM to longitude and latitude.

Formulas: J. P. Snyder, Map Projections, a Working Manual (USGS 1987), pages 63 and 64; WGS 84. Accurate to 0.5 m.
Projecting with pyproj instead changes the sixth decimal of one number in ten, and so the bytes of the archives.
"""

import math
from dataclasses import dataclass

from affine import Affine

from pipeline.raster.georeference import Georeference
from pipeline.sources.sample.noise import Shape

AXIS = 6378137.0
E2 = 0.00669437999014
SCALE = 0.9996
DEGREE = math.pi / 180
PIXEL = 10
"""Pixel size of Sentinel-2 in metres."""

Ring = list[list[float]]
"""Closed outline of [longitude, latitude]."""


@dataclass(frozen=True)
class UtmGrid:
    """Pixel grid of a Sentinel-2 chip."""

    shape: Shape
    zone: int
    south: bool
    left: int
    """Easting of the left edge, in metres."""
    top: int
    """Northing of the top edge, in metres."""

    @property
    def georeference(self) -> Georeference:
        """CRS and transform."""
        crs = f"EPSG:{(32700 if self.south else 32600) + self.zone}"
        return Georeference(crs, Affine(PIXEL, 0.0, self.left, 0.0, -PIXEL, self.top))

    @property
    def outline(self) -> Ring:
        """Corners of the grid, counterclockwise from the bottom left."""
        bottom, right = self.top - PIXEL * self.shape[0], self.left + PIXEL * self.shape[1]
        corners = (self.left, bottom), (right, bottom), (right, self.top), (self.left, self.top), (self.left, bottom)
        return [to_degrees(easting, northing, self.zone, self.south) for easting, northing in corners]


def to_degrees(easting: float, northing: float, zone: int, south: bool) -> list[float]:
    """Convert to [longitude, latitude] in degrees, to six decimals: the last bit of a sine depends on the CPU."""
    foot = _footpoint((northing - 10_000_000.0 * south) / SCALE)
    sine, cosine = math.sin(foot), math.cos(foot)
    tangent2 = (sine / cosine) ** 2
    c = E2 / (1 - E2) * cosine * cosine
    radius = AXIS / math.sqrt(1 - E2 * sine * sine)
    d = (easting - 500_000.0) / (radius * SCALE)
    d2 = d * d
    fall = d2 / 2 - (5 + 3 * tangent2 + 10 * c - 4 * c * c - 9 * E2 / (1 - E2)) * d2 * d2 / 24
    latitude = foot - sine / cosine * (1 - E2 * sine * sine) / (1 - E2) * fall
    turn = 1 - (1 + 2 * tangent2 + c) * d2 / 6 + (5 + 28 * tangent2 + 24 * tangent2 * tangent2) * d2 * d2 / 120
    longitude = d * turn / cosine
    return [round(zone * 6 - 183 + longitude / DEGREE, 6), round(latitude / DEGREE, 6)]


def _footpoint(arc: float) -> float:
    """Return the footpoint latitude in radians for a meridian arc of `arc` metres from the equator."""
    mu = arc / (AXIS * (1 - E2 / 4 - 3 * E2 * E2 / 64 - 5 * E2 * E2 * E2 / 256))
    root = math.sqrt(1 - E2)
    e1 = (1 - root) / (1 + root)
    return mu + 3 * e1 / 2 * math.sin(2 * mu) + 21 * e1 * e1 / 16 * math.sin(4 * mu)
