"""The sample of the Ghana crop types: 64 px cells of ten Sentinel-2 bands on three dates, a few fields labelled."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from affine import Affine

from pipeline.formats.datasets import CLASSES
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources.sample.acquisition import Overpass, reflectance
from pipeline.sources.sample.clouds import Weather, cloud_mask, draw_veil, seen_through
from pipeline.sources.sample.ground import Country, Ground, Site, plan_ground
from pipeline.sources.sample.lists import write_lists
from pipeline.sources.sample.noise import Dice, derive
from pipeline.sources.sample.shapes import TURN, Box
from pipeline.sources.sample.spectra import BANDS, CROPS, Kind
from pipeline.sources.sample.stac import Collection, geotiff
from pipeline.sources.sample.utm import Ring, epsg, outline

PREFIX = "su_african_crops_ghana"
SHAPE = (64, 64)
METRES = 10
ZONE = 30
CELLS = 40
YEAR = 2016
LICENCE = "CC-BY-SA-4.0"
LABELLED = SHAPE[0] * SHAPE[1] * 36 // 1000
"""Pixels of a cell that surveyors walked around, at most."""
WEIGHTS = {
    Kind.GROUND_NUT: 5,
    Kind.MAIZE: 6,
    Kind.RICE: 5,
    Kind.SOYA_BEAN: 4,
    Kind.YAM: 4,
    Kind.INTERCROP: 4,
    Kind.SORGHUM: 4,
    Kind.MILLET: 3,
}
"""How often each crop is labelled."""
GREENNESS = (140, 80, 60, 120, 300, 520, 720, 880, 940, 760, 430, 240)
COUNTRIES = (
    Country(wood=120, farmed=260, bare=20, villages=1),
    Country(wood=240, farmed=160, bare=10, river=3),
    Country(wood=60, farmed=420, bare=30, villages=2),
    Country(wood=160, farmed=240, bare=60),
)
CLEAR = (Weather(), Weather(), Weather(cloud=8), Weather(haze=12))
HIDDEN = (Weather(cloud=90), Weather(cloud=350), Weather(haze=500), Weather(missing=200), Weather(cloud=180, haze=300))


@dataclass(frozen=True)
class Cell:
    """One cell of the survey's grid."""

    number: str
    georeference: Georeference
    ring: Ring
    ground: Ground
    label_HW: np.ndarray
    """uint8: crop ids, 0 where no surveyor was."""


def write_ghana(seed: int, folder: Path) -> Iterator[Path]:
    """Write the archive below `folder`; yield each finished file, relative to it."""
    source = Collection(f"{PREFIX}_source_s2", "Semantic Segmentation of Crop Type in Ghana, Sentinel-2", folder)
    labels = Collection(f"{PREFIX}_labels", "Semantic Segmentation of Crop Type in Ghana, Labels", folder)
    cells = [survey(number, seed) for number in range(CELLS)]
    items = []
    for cell in cells:
        for overpass, weather in _overpasses(derive(seed, "dates", cell.number)):
            items.append((f"{source.id}_{cell.number}_{overpass.day:%Y_%m_%d}", cell))
            yield from _write_date(source, items[-1][0], cell, (overpass, weather))
        yield from _write_label(labels, cell)
    year = (f"{YEAR}-01-01", f"{YEAR}-12-31")
    rings = [cell.ring for cell in cells]
    yield source.write([name for name, _ in items], rings, year, LICENCE)
    yield labels.write([f"{labels.id}_{cell.number}" for cell in cells], rings, year, LICENCE)
    yield from write_lists([cell.number for cell in cells], seed, folder)


def survey(number: int, seed: int) -> Cell:
    """Lay out a cell and label some of its fields."""
    dice = Dice(derive(seed, "cell", number))
    x, y = 640000 + 640 * (3 * (number % 8) + dice.below(3)), 1080000 + 640 * (3 * (number // 8) + dice.below(3))
    transform = Affine(METRES, 0.0, x, 0.0, -METRES, y)
    ground = plan_ground(Site(SHAPE, derive(seed, "ground", number), dice.pick(COUNTRIES)))
    label_HW = _walk_fields(ground, dice)
    return Cell(
        f"{number:06d}", Georeference(epsg(ZONE, south=False), transform), outline(transform, SHAPE, ZONE, False),
        ground, label_HW,
    )  # fmt: skip


def _walk_fields(ground: Ground, dice: Dice) -> np.ndarray:
    """Put fields of 50 to 120 m side by side and label them; they lie on open land, whatever was there."""
    label_HW = np.zeros(SHAPE, np.uint8)
    open_HW = (ground.class_HW == 6) | (ground.class_HW == 7)
    weighted = [kind for kind, weight in WEIGHTS.items() for _ in range(weight)]
    heading, centre = dice.below(TURN), (dice.between(14, 50), dice.between(14, 50))
    for _ in range(40):
        place = centre[0] + dice.between(-13, 13), centre[1] + dice.between(-13, 13)
        box = Box(place, heading + dice.between(-2, 2), dice.between(3, 6), dice.between(2, 4))
        window = box.window(SHAPE, margin=1)
        inside, around = box.inside(window), box.inside(window, margin=1)
        kind = dice.pick(weighted)
        size = int(inside.sum())
        fits = size and open_HW[window][around].all() and not label_HW[window][around].any()
        if fits and int((label_HW > 0).sum()) + size <= LABELLED:
            label_HW[window][inside] = CROPS.index(kind) + 1
            ground.kind_HW[window][around] = Kind.GRASS
            ground.kind_HW[window][inside] = kind
    return label_HW


def _overpasses(seed: int) -> list[tuple[Overpass, Weather]]:
    """A date in the dry season and two in the rains; one is clear, and a second for two cells of three."""
    dice = Dice(derive(seed, "overpasses"))
    weathers = dice.shuffled([Weather(), dice.pick(CLEAR if dice.below(3) else HIDDEN), dice.pick(HIDDEN)])
    overpasses = []
    for start, weather in zip((date(YEAR, 5, 22), date(YEAR, 7, 21), date(YEAR, 9, 19)), weathers, strict=True):
        day = start + timedelta(days=10 * dice.below(6))
        overpasses.append((Overpass(day, GREENNESS[day.month - 1], derive(seed, day)), weather))
    return overpasses


def _write_date(source: Collection, item: str, cell: Cell, sky: tuple[Overpass, Weather]) -> Iterator[Path]:
    overpass, weather = sky
    columns = tuple(range(len(BANDS)))
    veil = draw_veil(SHAPE, weather, overpass.from_sun, overpass.seed)
    seen_CHW = seen_through(reflectance(cell.ground, overpass, columns), veil, columns)
    for name, pixels_CHW in (("source", seen_CHW), ("cloudmask", cloud_mask(veil)[None])):
        path = Path(source.id, item, f"{name}.tif")
        write_geotiff(source.folder / path, pixels_CHW, cell.georeference)
        yield path
    yield source.write_item(
        item,
        cell.ring,
        {"datetime": f"{overpass.day}T00:00:00Z"},
        assets={name: geotiff(f"{name}.tif", name) for name in ("source", "cloudmask")},
    )


def _write_label(labels: Collection, cell: Cell) -> Iterator[Path]:
    item = f"{labels.id}_{cell.number}"
    path = Path(labels.id, item, "labels.tif")
    write_geotiff(labels.folder / path, cell.label_HW.astype(np.float64)[None])
    yield path
    table = CLASSES["ghana"]
    names = [table.names[table.ids.index(value)] for value in np.unique(cell.label_HW).tolist() if value]
    properties = {
        "datetime": f"{YEAR}-01-01T00:00:00Z",
        "label:description": "Synthetic crop types",
        "label:type": "raster",
        "label:classes": [{"name": "crop", "classes": names}],
    }
    yield labels.write_item(item, cell.ring, properties, assets={"labels": geotiff("labels.tif", "Crop types")})
