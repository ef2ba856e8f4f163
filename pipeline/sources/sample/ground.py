"""Ground of a Sentinel-2 site: water, woods, fields, villages, roads, bare soil, a snow-capped mountain."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import (
    NOISE_MAX,
    Seeded,
    Shape,
    derive_seed,
    fractal_noise,
    signed,
    top_share,
    white_noise,
)
from pipeline.sources.sample.shapes import TURN, Point, direction, generate_parcels, offsets, stroke, winding_line
from pipeline.sources.sample.spectra import CROPS, LAND_COVER, Cover

ARTIFICIAL = 2
"""LandCoverNet's class of villages, including their trees and yards."""


@dataclass(frozen=True)
class Landscape:
    """Composition of a site, in thousandths of its area unless stated otherwise."""

    wood: int = 0
    farmed: int = 0
    bare: int = 0
    lake: int = 0
    snow: int = 0
    river: int = 0
    """Half the width of the river, in half pixels; 0 for none."""
    villages: int = 0
    """Number of villages along the road."""


@dataclass(frozen=True)
class Site(Seeded):
    """What a site is generated from."""

    shape: Shape
    seed: int
    landscape: Landscape

    def noise(self, cell: int, octaves: int, purpose: str) -> np.ndarray:
        """Return fractal noise for one purpose: (height, width) of int32, 0 to 1023."""
        return fractal_noise(self.shape, cell, octaves, self.noise_seed(purpose))

    def white_noise(self, purpose: str) -> np.ndarray:
        """Return white noise for one purpose: (height, width) of int32, 0 to 1023."""
        return white_noise(self.shape, derive_seed(self.seed, "white", purpose))

    def offsets(self, origin: Point) -> tuple[np.ndarray, np.ndarray]:
        """Return the rows (height, 1) and columns (1, width) relative to `origin`."""
        return offsets((slice(0, self.shape[0]), slice(0, self.shape[1])), origin)


@dataclass(frozen=True)
class Ground:
    """Maps of a site, (height, width)."""

    site: Site
    cover_HW: np.ndarray
    """uint8: cover of each pixel, values of `Cover`."""
    class_HW: np.ndarray
    """uint8: LandCoverNet's class; villages and savannahs are one class each, whatever their pixels show."""
    field_HW: np.ndarray
    """int32: index of the field, whether farmed or not."""
    field_count: int
    height_HW: np.ndarray
    """int32: elevation; only its slope matters."""
    moisture_HW: np.ndarray
    """int32, 0 to 1023: how long grass stays green."""
    blotch_HW: np.ndarray
    """int32, -1024 to 1023: light and dark patches, the same on every date."""
    grain_HW: np.ndarray
    """int32, -1024 to 1023: likewise, pixel by pixel."""


def generate_ground(site: Site) -> Ground:
    """Generate a site; each layer covers those before it."""
    landscape = site.landscape
    moisture_HW = site.noise(70, 5, "moisture")
    field_HW, field_count = _fields(site)
    cover_HW = np.full(site.shape, Cover.GRASS, np.uint8)
    cover_HW[top_share(site.noise(60, 5, "bare"), landscape.bare)] = Cover.SAND
    cover_HW[top_share(moisture_HW + signed(site.noise(12, 3, "clearings"), 160), landscape.wood)] = Cover.FOREST
    farmed_HW = top_share(_field_means(site.noise(90, 3, "farmed"), field_HW, field_count), landscape.farmed)
    cover_HW[farmed_HW] = _crops(site, field_count)[field_HW][farmed_HW]
    height_HW = _add_mountain(site, cover_HW) if landscape.snow else moisture_HW // 8
    village_HW = _add_villages(site, cover_HW)
    _add_water(site, cover_HW)
    class_HW = LAND_COVER[cover_HW]
    class_HW[village_HW & (class_HW != LAND_COVER[Cover.LAKE])] = ARTIFICIAL
    _add_single_trees(site, cover_HW, moisture_HW)
    blotch_HW, grain_HW = signed(site.noise(26, 4, "blotches"), 1024), signed(site.noise(2, 1, "grain"), 1024)
    return Ground(site, cover_HW, class_HW, field_HW, field_count, height_HW, moisture_HW, blotch_HW, grain_HW)


def _fields(site: Site) -> tuple[np.ndarray, int]:
    """Generate smallholders' fields of 50 to 180 m with irregular borders."""
    margin = 12
    canvas = site.shape[0] + 2 * margin, site.shape[1] + 2 * margin
    rng = site.rng("fields")
    parcels = generate_parcels(canvas, rng.between(0, TURN - 1), (5, 12), (9, 20), rng)
    rows, columns = site.offsets((-margin, -margin))
    rows = rows + signed(site.noise(40, 3, "field rows"), margin)
    columns = columns + signed(site.noise(40, 3, "field columns"), margin)
    return parcels.field_HW[rows, columns], parcels.count


def _field_means(suitability_HW: np.ndarray, field_HW: np.ndarray, field_count: int) -> np.ndarray:
    """Average over each field, so that fields are farmed as a whole; sums of integers are exact in any order."""
    sums = np.bincount(field_HW.ravel(), suitability_HW.ravel(), minlength=field_count).astype(np.int64)
    means = sums // np.maximum(np.bincount(field_HW.ravel(), minlength=field_count), 1)
    return np.asarray(means.astype(np.int32)[field_HW])


def _crops(site: Site, field_count: int) -> np.ndarray:
    """Draw the crop of each field, values of `Cover`, from a few that the district grows."""
    rng = site.rng("crops")
    district = [rng.choice(CROPS) for _ in range(5)]
    return np.array([rng.choice(district) for _ in range(field_count)], np.uint8)


def _add_mountain(site: Site, cover_HW: np.ndarray) -> np.ndarray:
    """Add heath, rock and snow by elevation, which rises to one side; return the elevation."""
    rows, columns = site.offsets((0, 0))
    sine, cosine = direction(site.rng("slope").between(0, TURN - 1))
    rise_HW = ((rows * sine + columns * cosine) * 5 >> 10).astype(np.int32)
    height_HW = np.asarray(rise_HW + site.noise(90, 6, "ridges"))
    snow = site.landscape.snow
    cover_HW[top_share(height_HW, snow + 420)] = Cover.GRASS
    cover_HW[top_share(height_HW + signed(site.noise(10, 3, "scree"), 120), snow + 200)] = Cover.ROCK
    cover_HW[top_share(height_HW + signed(site.noise(8, 3, "drifts"), 60), snow)] = Cover.SNOW
    return height_HW


def _add_villages(site: Site, cover_HW: np.ndarray) -> np.ndarray:
    """Add a road and irregular villages along it; return the mask of the villages."""
    village_HW = np.zeros(site.shape, bool)
    if not site.landscape.villages:
        return village_HW
    road = _polyline(site, "road", 3)
    outskirts_HW = site.noise(9, 3, "outskirts")
    rng = site.rng("villages")
    centres = [(row // 2, column // 2) for row, column in road]
    centres = [(row, column) for row, column in centres
               if 4 <= row < site.shape[0] - 4 and 4 <= column < site.shape[1] - 4]  # fmt: skip
    for _ in range(site.landscape.villages if centres else 0):
        rows, columns = site.offsets(rng.choice(centres))
        radius = rng.between(8, 19) * min(site.shape[0], 160) // 160 + 2
        village_HW |= (rows * rows + columns * columns) * 512 < radius * radius * outskirts_HW
    cover_HW[village_HW] = _village_cover(site)[village_HW]
    cover_HW[_stroke(site, road, 1)] = Cover.EARTH
    return village_HW


def _village_cover(site: Site) -> np.ndarray:
    """Mix trodden earth, roofs, shade trees and yards."""
    lot_HW, roof_HW = site.noise(4, 2, "lots"), site.white_noise("roofs")
    cover_HW = np.full(site.shape, Cover.EARTH, np.uint8)
    cover_HW[lot_HW < 470] = Cover.GRASS
    cover_HW[lot_HW < 380] = Cover.FOREST
    cover_HW[(roof_HW < 420) & (lot_HW > 500)] = Cover.ROOF
    return cover_HW


def _add_water(site: Site, cover_HW: np.ndarray) -> None:
    """Add a lake, and a river lined with gallery forest and sand banks."""
    landscape = site.landscape
    cover_HW[top_share(site.noise(170, 5, "lake"), landscape.lake)] = Cover.LAKE
    if not landscape.river:
        return
    river = _polyline(site, "river", 12)
    gallery_HW = _stroke(site, river, landscape.river + 12) & (site.noise(14, 3, "gallery") > 420)
    cover_HW[gallery_HW & (cover_HW != Cover.LAKE)] = Cover.FOREST
    bank_HW = _stroke(site, river, landscape.river + 3) & (site.noise(16, 2, "banks") > 660)
    cover_HW[bank_HW & (cover_HW != Cover.LAKE)] = Cover.SAND
    cover_HW[_stroke(site, river, landscape.river)] = Cover.RIVER


def _add_single_trees(site: Site, cover_HW: np.ndarray, moisture_HW: np.ndarray) -> None:
    """Add trees to grass, more where it is moist, and to fields; the class of the pixel does not change."""
    probability_HW = np.clip(moisture_HW - 330, 30, 400) // 2
    tree_HW = site.white_noise("trees") > NOISE_MAX - probability_HW
    cover_HW[tree_HW & (cover_HW == Cover.GRASS)] = Cover.FOREST
    cover_HW[(site.white_noise("shade trees") > NOISE_MAX - 25) & (cover_HW >= CROPS[0])] = Cover.FOREST


def _polyline(site: Site, purpose: str, bend: int) -> list[Point]:
    """Wind across the site, in half pixels; turn by up to `bend` 64ths of a turn from the mean heading."""
    rng = site.rng(purpose)
    height, width = site.shape[0] * 2, site.shape[1] * 2
    heading = rng.between(-6, 6)
    start = rng.between(height // 5, height * 4 // 5), -40
    points = winding_line(rng, start, heading, bend, range(24, 51), lambda points: points[-1][1] < width + 40)
    return [(column, row) for row, column in points] if rng.below(2) else points


def _stroke(site: Site, points: list[Point], half_width: int) -> np.ndarray:
    """Rasterise a polyline in half pixels, so that a line may be narrower than two pixels."""
    return stroke((site.shape[0] * 2, site.shape[1] * 2), points, half_width)[::2, ::2]
