"""The ground of a Sentinel-2 scene: lakes, rivers, woods, fields, villages, roads, bare soil, a mountain's snow."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import TOP, Dice, Shape, derive, fractal_noise, quantile, signed, white_noise
from pipeline.sources.sample.parcels import lay_parcels
from pipeline.sources.sample.shapes import TURN, Point, direction, moved, offsets, rounded, stroke
from pipeline.sources.sample.spectra import CROPS, LAND_COVER, Kind

ARTIFICIAL = 2
"""LandCoverNet's class of built-up ground: a village is one, with its trees and yards."""


@dataclass(frozen=True)
class Country:
    """How much of what a stretch of country has, in thousandths of its area where nothing else is said."""

    wood: int = 0
    farmed: int = 0
    bare: int = 0
    lake: int = 0
    snow: int = 0
    river: int = 0
    """Half the width of a river, in half pixels; 0 is none."""
    villages: int = 0
    """How many, along the road."""


@dataclass(frozen=True)
class Site:
    """A place before anything is on it."""

    shape: Shape
    seed: int
    country: Country

    def dice(self, purpose: str) -> Dice:
        """Chance for one purpose."""
        return Dice(derive(self.seed, purpose))

    def noise(self, cell: int, octaves: int, purpose: str) -> np.ndarray:
        """Fractal noise for one purpose: (height, width) of int32, 0 to 1023."""
        return fractal_noise(self.shape, cell, octaves, derive(self.seed, "noise", purpose))

    def white(self, purpose: str) -> np.ndarray:
        """White noise for one purpose: (height, width) of int32, 0 to 1023."""
        return white_noise(self.shape, derive(self.seed, "white", purpose))


@dataclass(frozen=True)
class Ground:
    """What lies where."""

    site: Site
    kind_HW: np.ndarray
    """uint8: what a pixel shows, values of `Kind`."""
    class_HW: np.ndarray
    """uint8: LandCoverNet's class, a village and a savannah as a whole."""
    field_HW: np.ndarray
    """int32: number of the field, also where none is farmed."""
    fields: int
    height_HW: np.ndarray
    """int32: height above the plain; only its slope is seen."""
    moisture_HW: np.ndarray
    """int32, 0 to 1023: where grass stays green for long."""
    blotch_HW: np.ndarray
    """int32, -1024 to 1023: patches that are lighter or darker on every date."""
    grain_HW: np.ndarray
    """int32, -1024 to 1023: the same from pixel to pixel."""


def plan_ground(site: Site) -> Ground:
    """Put a site together; what comes later lies over what came before."""
    country = site.country
    moisture_HW = site.noise(70, 5, "moisture")
    field_HW, fields = _fields(site)
    kind_HW = np.full(site.shape, Kind.GRASS, np.uint8)
    kind_HW[_most(site.noise(60, 5, "bare"), country.bare)] = Kind.SAND
    kind_HW[_most(moisture_HW + signed(site.noise(12, 3, "clearings"), 160), country.wood)] = Kind.FOREST
    farmed_HW = _most(_by_field(site.noise(90, 3, "farmed"), field_HW, fields), country.farmed)
    kind_HW[farmed_HW] = _crops(site, fields)[field_HW][farmed_HW]
    height_HW = _mountain(site, kind_HW) if country.snow else moisture_HW // 8
    road_HW, road = _road(site)
    village_HW = _villages(site, road) if country.villages else np.zeros(site.shape, bool)
    kind_HW[village_HW] = _compounds(site)[village_HW]
    if country.villages:
        kind_HW[road_HW] = Kind.EARTH
    _pour_water(site, kind_HW)
    class_HW = LAND_COVER[kind_HW]
    class_HW[village_HW & (class_HW != LAND_COVER[Kind.LAKE])] = ARTIFICIAL
    _scatter_trees(site, kind_HW, moisture_HW)
    blotch_HW, grain_HW = signed(site.noise(26, 4, "blotches"), 1024), signed(site.noise(2, 1, "grain"), 1024)
    return Ground(site, kind_HW, class_HW, field_HW, fields, height_HW, moisture_HW, blotch_HW, grain_HW)


def _most(liking_HW: np.ndarray, permille: int) -> np.ndarray:
    """bool: where a map is highest."""
    if not permille:
        return np.zeros(liking_HW.shape, bool)
    return np.asarray(liking_HW > quantile(liking_HW, 1000 - permille))


def _fields(site: Site) -> tuple[np.ndarray, int]:
    """Smallholders' fields, 50 to 180 m: strips in two directions whose borders wander."""
    margin = 12
    canvas = site.shape[0] + 2 * margin, site.shape[1] + 2 * margin
    dice = site.dice("fields")
    parcels = lay_parcels(canvas, dice.between(0, TURN - 1), (5, 12), (9, 20), dice)
    rows = signed(site.noise(40, 3, "field rows"), margin) + np.arange(site.shape[0], dtype=np.int32)[:, None]
    columns = signed(site.noise(40, 3, "field columns"), margin) + np.arange(site.shape[1], dtype=np.int32)[None, :]
    return parcels.field_HW[rows + margin, columns + margin], parcels.count


def _by_field(liking_HW: np.ndarray, field_HW: np.ndarray, fields: int) -> np.ndarray:
    """Each pixel's field's mean, so that fields are farmed whole. Sums of whole numbers are exact in any order."""
    sums = np.bincount(field_HW.ravel(), liking_HW.ravel(), minlength=fields).astype(np.int64)
    means = sums // np.maximum(np.bincount(field_HW.ravel(), minlength=fields), 1)
    return np.asarray(means.astype(np.int32)[field_HW])


def _crops(site: Site, fields: int) -> np.ndarray:
    """The crop of each field, values of `Kind`: a district grows a few."""
    dice = site.dice("crops")
    grown = [dice.pick(CROPS) for _ in range(5)]
    return np.array([dice.pick(grown) for _ in range(fields)], np.uint8)


def _mountain(site: Site, kind_HW: np.ndarray) -> np.ndarray:
    """A slope that rises to one side: heath, rock, and snow at its top; gives back the height."""
    rows, columns = offsets((slice(0, site.shape[0]), slice(0, site.shape[1])), (0, 0))
    sine, cosine = direction(site.dice("slope").between(0, TURN - 1))
    rise_HW = ((rows * sine + columns * cosine) * 5 >> 10).astype(np.int32)
    height_HW = np.asarray(rise_HW + site.noise(90, 6, "ridges"))
    snow = site.country.snow
    kind_HW[_most(height_HW, snow + 420)] = Kind.GRASS
    kind_HW[_most(height_HW + signed(site.noise(10, 3, "scree"), 120), snow + 200)] = Kind.ROCK
    kind_HW[_most(height_HW + signed(site.noise(8, 3, "drifts"), 60), snow)] = Kind.SNOW
    return height_HW


def _course(site: Site, purpose: str, bend: int) -> list[Point]:
    """A way across the site, in half pixels; the more bend, the more it winds."""
    dice = site.dice(purpose)
    height, width = site.shape[0] * 2, site.shape[1] * 2
    heading = dice.between(-6, 6)
    points = [(dice.between(height // 5, height * 4 // 5), -40)]
    while points[-1][1] < width + 40:
        points.append(moved(points[-1], direction(heading + dice.between(-bend, bend)), dice.between(24, 50)))
    points = rounded(rounded(points))
    return [(column, row) for row, column in points] if dice.below(2) else points


def _stroke(site: Site, course: list[Point], half_width: int) -> np.ndarray:
    """bool: pixels of a line that is drawn in half pixels, so that a track can be less than two pixels wide."""
    return stroke((site.shape[0] * 2, site.shape[1] * 2), course, half_width)[::2, ::2]


def _road(site: Site) -> tuple[np.ndarray, list[Point]]:
    course = _course(site, "road", 3)
    return _stroke(site, course, 1), [(row // 2, column // 2) for row, column in course]


def _villages(site: Site, road: list[Point]) -> np.ndarray:
    """bool: ragged patches along the road."""
    village_HW = np.zeros(site.shape, bool)
    ragged_HW = site.noise(9, 3, "outskirts")
    dice = site.dice("villages")
    inside = [
        point for point in road if all(4 <= place < size - 4 for place, size in zip(point, site.shape, strict=True))
    ]
    for _ in range(site.country.villages if inside else 0):
        rows, columns = offsets((slice(0, site.shape[0]), slice(0, site.shape[1])), dice.pick(inside))
        radius = dice.between(8, 19) * min(site.shape[0], 160) // 160 + 2
        village_HW |= (rows * rows + columns * columns) * 512 < radius * radius * ragged_HW
    return village_HW


def _compounds(site: Site) -> np.ndarray:
    """What a village shows: trodden earth, tin and thatched roofs, shade trees, yards."""
    lot_HW, roof_HW = site.noise(4, 2, "lots"), site.white("roofs")
    kind_HW = np.full(site.shape, Kind.EARTH, np.uint8)
    kind_HW[lot_HW < 470] = Kind.GRASS
    kind_HW[lot_HW < 380] = Kind.FOREST
    kind_HW[(roof_HW < 420) & (lot_HW > 500)] = Kind.ROOF
    return kind_HW


def _pour_water(site: Site, kind_HW: np.ndarray) -> None:
    """A lake with its shore, and a river between gallery forests and sand banks."""
    country = site.country
    shore_HW = site.noise(170, 5, "lake")
    kind_HW[_most(shore_HW, country.lake)] = Kind.LAKE
    if not country.river:
        return
    course = _course(site, "river", 12)
    gallery_HW = _stroke(site, course, country.river + 12) & (site.noise(14, 3, "gallery") > 420)
    kind_HW[gallery_HW & (kind_HW != Kind.LAKE)] = Kind.FOREST
    bank_HW = _stroke(site, course, country.river + 3) & (site.noise(16, 2, "banks") > 660)
    kind_HW[bank_HW & (kind_HW != Kind.LAKE)] = Kind.SAND
    kind_HW[_stroke(site, course, country.river)] = Kind.RIVER


def _scatter_trees(site: Site, kind_HW: np.ndarray, moisture_HW: np.ndarray) -> None:
    """Single trees, more where it is moist, in grass and fields; they belong to the class of what they stand in."""
    chance_HW = np.clip(moisture_HW - 330, 30, 400) // 2
    trees_HW = site.white("trees") > TOP - chance_HW
    kind_HW[trees_HW & (kind_HW == Kind.GRASS)] = Kind.FOREST
    kind_HW[(site.white("shade trees") > TOP - 25) & (kind_HW >= CROPS[0])] = Kind.FOREST
