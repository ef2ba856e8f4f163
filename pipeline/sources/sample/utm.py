"""UTM to longitude and latitude by additions, products and quotients alone: the same digits on every processor.

Formulas: J. P. Snyder, Map Projections, a Working Manual (USGS 1987), pages 63 and 64; WGS 84. Good to half a metre.
"""

import math

from affine import Affine

from pipeline.sources.sample.noise import Shape

AXIS = 6378137.0
E2 = 0.00669437999014
SCALE = 0.9996
DEGREE = math.pi / 180

Ring = list[list[float]]


def epsg(zone: int, south: bool) -> str:
    """The CRS's code."""
    return f"EPSG:{(32700 if south else 32600) + zone}"


def outline(transform: Affine, shape: Shape, zone: int, south: bool) -> Ring:
    """The corners of a grid as a closed ring of [longitude, latitude], counterclockwise from the bottom left."""
    height, width = shape
    left, top = transform.c, transform.f
    right, bottom = left + width * transform.a, top + height * transform.e
    corners = ((left, bottom), (right, bottom), (right, top), (left, top), (left, bottom))
    return [to_degrees(x, y, zone, south) for x, y in corners]


def to_degrees(easting: float, northing: float, zone: int, south: bool) -> list[float]:
    """[longitude, latitude] in degrees, six digits after the point."""
    foot = _footpoint((northing - 10_000_000.0 * south) / SCALE)
    sine, cosine = _sine(foot), _sine(foot + math.pi / 2)
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
    """The latitude, in radians, of the meridian's point that lies `arc` metres from the equator."""
    mu = arc / (AXIS * (1 - E2 / 4 - 3 * E2 * E2 / 64 - 5 * E2 * E2 * E2 / 256))
    root = math.sqrt(1 - E2)
    e1 = (1 - root) / (1 + root)
    return mu + 3 * e1 / 2 * _sine(2 * mu) + 21 * e1 * e1 / 16 * _sine(4 * mu)


def _sine(angle: float) -> float:
    """Taylor's series: the C library's sine differs by processor in its last bit."""
    term = total = angle
    for n in range(1, 14):
        term *= -angle * angle / (2 * n * (2 * n + 1))
        total += term
    return total
