"""Sample of the Ghana crop types: 64 px cells of ten Sentinel-2 bands on three dates, with a few labelled fields."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from pipeline.formats.datasets import CLASSES
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources.sample.acquisition import Acquisition, reflectance
from pipeline.sources.sample.catalogue import Collection, UtmGrid, geotiff_asset, write_split_lists
from pipeline.sources.sample.clouds import Weather, apply_occlusion, cloud_mask
from pipeline.sources.sample.ground import Ground, Landscape, Site, generate_ground
from pipeline.sources.sample.noise import Rng, derive_seed
from pipeline.sources.sample.shapes import TURN, Box
from pipeline.sources.sample.spectra import BANDS, CROPS, LAND_COVER, Cover

PREFIX = "su_african_crops_ghana"
SHAPE = (64, 64)
ZONE = 30
CELLS = 40
YEAR = 2016
LICENCE = "CC-BY-SA-4.0"
MAX_LABELLED = SHAPE[0] * SHAPE[1] * 36 // 1000
"""Most labelled pixels in a cell."""
WEIGHTS = {
    Cover.GROUND_NUT: 5,
    Cover.MAIZE: 6,
    Cover.RICE: 5,
    Cover.SOYA_BEAN: 4,
    Cover.YAM: 4,
    Cover.INTERCROP: 4,
    Cover.SORGHUM: 4,
    Cover.MILLET: 3,
}
"""How often each crop is labelled."""
GREENNESS = (140, 80, 60, 120, 300, 520, 720, 880, 940, 760, 430, 240)
"""Of each month, 0 to 1023."""
LANDSCAPES = (
    Landscape(wood=120, farmed=260, bare=20, villages=1),
    Landscape(wood=240, farmed=160, bare=10, river=3),
    Landscape(wood=60, farmed=420, bare=30, villages=2),
    Landscape(wood=160, farmed=240, bare=60),
)
CLEAR = (Weather(), Weather(), Weather(cloud=8), Weather(haze=12))
CLOUDY = (Weather(cloud=90), Weather(cloud=350), Weather(haze=500), Weather(missing=200), Weather(cloud=180, haze=300))


@dataclass(frozen=True)
class Cell:
    """A cell of the survey grid."""

    number: str
    grid: UtmGrid
    ground: Ground
    label_HW: np.ndarray
    """uint8: crop ids, 0 where nothing was surveyed."""


def write_ghana(seed: int, folder: Path) -> Iterator[Path]:
    """Write the archive to `folder`; yield each finished file, relative to it."""
    source = Collection(f"{PREFIX}_source_s2", "Semantic Segmentation of Crop Type in Ghana, Sentinel-2", folder)
    labels = Collection(f"{PREFIX}_labels", "Semantic Segmentation of Crop Type in Ghana, Labels", folder)
    cells = [survey_cell(number, seed) for number in range(CELLS)]
    source_items = []
    for cell in cells:
        for acquisition in _acquisitions(derive_seed(seed, "dates", cell.number)):
            source_items.append(f"{source.id}_{cell.number}_{acquisition.day:%Y_%m_%d}")
            yield from _write_scene(source, source_items[-1], cell, acquisition)
        yield from _write_label(labels, cell)
    year = (f"{YEAR}-01-01", f"{YEAR}-12-31")
    outlines = [cell.grid.outline for cell in cells]
    yield source.write(source_items, outlines, year, LICENCE)
    yield labels.write([f"{labels.id}_{cell.number}" for cell in cells], outlines, year, LICENCE)
    yield from write_split_lists([cell.number for cell in cells], seed, folder)


def survey_cell(number: int, seed: int) -> Cell:
    """Generate a cell and label some of its fields."""
    rng = Rng(derive_seed(seed, "cell", number))
    left = 640000 + 640 * (3 * (number % 8) + rng.below(3))
    top = 1080000 + 640 * (3 * (number // 8) + rng.below(3))
    ground = generate_ground(Site(SHAPE, derive_seed(seed, "ground", number), rng.choice(LANDSCAPES)))
    return Cell(f"{number:06d}", UtmGrid(SHAPE, ZONE, False, left, top), ground, _label_fields(ground, rng))


def _label_fields(ground: Ground, rng: Rng) -> np.ndarray:
    """Place labelled fields of 50 to 120 m on open land, close to each other, and change the cover to match."""
    label_HW = np.zeros(SHAPE, np.uint8)
    open_HW = np.isin(ground.class_HW, (LAND_COVER[Cover.GRASS], LAND_COVER[CROPS[0]]))
    weighted = [crop for crop, weight in WEIGHTS.items() for _ in range(weight)]
    heading, centre = rng.below(TURN), (rng.between(14, 50), rng.between(14, 50))
    for _ in range(40):
        position = centre[0] + rng.between(-13, 13), centre[1] + rng.between(-13, 13)
        box = Box(position, heading + rng.between(-2, 2), rng.between(3, 6), rng.between(2, 4))
        window = box.window(SHAPE, margin=1)
        inside, around = box.inside(window), box.inside(window, margin=1)
        crop = rng.choice(weighted)
        size = int(inside.sum())
        fits = size and open_HW[window][around].all() and not label_HW[window][around].any()
        if fits and int((label_HW > 0).sum()) + size <= MAX_LABELLED:
            label_HW[window][inside] = CROPS.index(crop) + 1
            ground.cover_HW[window][around] = Cover.GRASS
            ground.cover_HW[window][inside] = crop
    return label_HW


def _acquisitions(seed: int) -> list[Acquisition]:
    """Draw three dates about two months apart; one is clear, and a second for two cells of three."""
    rng = Rng(derive_seed(seed, "overpasses"))
    weathers = rng.shuffled([Weather(), rng.choice(CLEAR if rng.below(3) else CLOUDY), rng.choice(CLOUDY)])
    acquisitions = []
    for start, weather in zip((date(YEAR, 5, 22), date(YEAR, 7, 21), date(YEAR, 9, 19)), weathers, strict=True):
        day = start + timedelta(days=10 * rng.below(6))
        acquisitions.append(Acquisition(day, GREENNESS[day.month - 1], derive_seed(seed, day), weather))
    return acquisitions


def _write_scene(source: Collection, item: str, cell: Cell, acquisition: Acquisition) -> Iterator[Path]:
    columns = tuple(range(len(BANDS)))
    occlusion = acquisition.occlusion(SHAPE)
    image_CHW = apply_occlusion(reflectance(cell.ground, acquisition, columns), occlusion, columns)
    rasters = {"source": image_CHW, "cloudmask": cloud_mask(occlusion)[None]}
    yield from source.write_scene(item, cell.grid, acquisition.day, rasters)


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
    assets = {"labels": geotiff_asset("labels.tif", "Crop types")}
    yield labels.write_item(item, cell.grid.outline, properties, assets=assets)
