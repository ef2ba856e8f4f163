"""The sample of LandCoverNet Africa: Sentinel-2 chips on several dates, with clouds, and their labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np
from affine import Affine

from pipeline.core.files import write_text
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources.sample.acquisition import Overpass, reflectance
from pipeline.sources.sample.clouds import Weather, cloud_probability, draw_veil, scene_classification, seen_through
from pipeline.sources.sample.ground import Ground, Site, plan_ground
from pipeline.sources.sample.labelling import label
from pipeline.sources.sample.noise import Dice, derive
from pipeline.sources.sample.spectra import Kind
from pipeline.sources.sample.stac import Collection, geotiff
from pipeline.sources.sample.tiles import TILES, Tile
from pipeline.sources.sample.utm import Ring, epsg, outline

PREFIX = "ref_landcovernet_af_v1"
SHAPE = (256, 256)
METRES = 10
COLUMNS = {"B02": 0, "B03": 1, "B04": 2, "B08": 6}
"""The bands that are written, and which of `spectra.BANDS` they are."""
LICENCE = "CC-BY-4.0"
YEAR = 2018
UNNAMED = {7, 18}
"""Which chips, counted over all tiles, have pixels that no labeller could name."""
NAMES = (
    "No Data",
    "Water",
    "Artificial Bareground",
    "Natural Bareground",
    "Permanent Snow/Ice",
    "Woody Vegetation",
    "Cultivated Vegetation",
    "(Semi) Natural Vegetation",
)


@dataclass(frozen=True)
class Chip:
    """A place in a tile."""

    id: str
    tile: Tile
    georeference: Georeference
    ring: Ring
    ground: Ground


CLEAR = (Weather(), Weather(cloud=8), Weather(haze=30), Weather(cloud=16))
HIDDEN = (Weather(cloud=120), Weather(cloud=330), Weather(haze=550), Weather(missing=300), Weather(cloud=640),
          Weather(cloud=210, haze=250), Weather(cloud=80, missing=90))  # fmt: skip


def write_landcovernet(seed: int, folder: Path) -> Iterator[Path]:
    """Write the archive below `folder`; yield each finished file, relative to it."""
    source = Collection(f"{PREFIX}_source_sentinel_2", "LandCoverNet Africa Sentinel-2 source imagery", folder)
    labels = Collection(f"{PREFIX}_labels", "LandCoverNet Africa Labels", folder)
    written: list[tuple[Chip, list[Overpass]]] = []
    for tile in TILES:
        for chip in _chips(tile, seed):
            overpasses = _overpasses(chip, derive(seed, chip.id), number=len(written))
            for overpass, weather in overpasses:
                yield from _write_date(source, chip, overpass, weather)
            days = [overpass for overpass, _ in overpasses]
            yield from _write_label(labels, chip, days, unnamed=len(written) in UNNAMED)
            written.append((chip, days))
    rings = [chip.ring for chip, _ in written]
    dates = [_item(source, chip, overpass) for chip, days in written for overpass in days]
    chips = [f"{labels.id}_{chip.id}" for chip, _ in written]
    year = (f"{YEAR}-01-01", f"{YEAR}-12-31")
    yield source.write(dates, rings, year, LICENCE)
    yield labels.write(chips, rings, year, LICENCE)


def _chips(tile: Tile, seed: int) -> Iterator[Chip]:
    """Chips in places of a 6 by 5 grid over the tile, numbered as it counts."""
    dice = Dice(derive(seed, tile.name))
    places = sorted(dice.shuffled(range(30))[: len(tile.countries)])
    for place, country in zip(places, tile.countries, strict=True):
        x = tile.corner[0] + place % 6 * 18000 + 20 * dice.below(700)
        y = tile.corner[1] - place // 6 * 21000 - 20 * dice.below(800)
        transform = Affine(METRES, 0.0, x, 0.0, -METRES, y)
        ring = outline(transform, SHAPE, tile.zone, tile.south)
        ground = plan_ground(Site(SHAPE, derive(seed, tile.name, place), country))
        reference = Georeference(epsg(tile.zone, tile.south), transform)
        yield Chip(f"{tile.name}_{place:02d}", tile, reference, ring, ground)


def _overpasses(chip: Chip, seed: int, number: int) -> list[tuple[Overpass, Weather]]:
    """A date in each quarter of the year; one is clear, and a second for five chips of eight."""
    dice = Dice(derive(seed, "overpasses"))
    weathers = [Weather(), dice.pick(CLEAR if number * 5 % 8 < 5 else HIDDEN), dice.pick(HIDDEN), dice.pick(HIDDEN)]
    overpasses = []
    for quarter, weather in enumerate(dice.shuffled(weathers)):
        day = date(YEAR, 1, 3) + timedelta(days=91 * quarter + 5 * dice.below(17))
        greenness = chip.tile.greenness[day.month - 1]
        overpasses.append((Overpass(day, greenness, derive(seed, day)), weather))
    return overpasses


def _item(source: Collection, chip: Chip, overpass: Overpass) -> str:
    return f"{source.id}_{chip.id}_{overpass.day:%Y%m%d}"


def _write_date(source: Collection, chip: Chip, overpass: Overpass, weather: Weather) -> Iterator[Path]:
    ground_CHW = reflectance(chip.ground, overpass, tuple(COLUMNS.values()))
    veil = draw_veil(SHAPE, weather, overpass.from_sun, overpass.seed)
    seen_CHW = seen_through(ground_CHW, veil, tuple(COLUMNS.values()))
    files = dict(zip(COLUMNS, seen_CHW, strict=True)) | {
        "CLD": cloud_probability(veil, overpass.seed),
        "SCL": scene_classification(ground_CHW, chip.ground.kind_HW == Kind.SNOW, veil),
    }
    item = _item(source, chip, overpass)
    for name, pixels_HW in files.items():
        path = Path(source.id, item, f"{name}.tif")
        nodata = 255 if name == "CLD" else 0
        write_geotiff(source.folder / path, pixels_HW[None], chip.georeference, nodata=nodata)
        yield path
    yield source.write_item(
        item,
        chip.ring,
        {"datetime": f"{overpass.day}T00:00:00Z"},
        assets={name: geotiff(f"{name}.tif", name) for name in files},
    )


def _write_label(labels: Collection, chip: Chip, days: list[Overpass], unnamed: bool) -> Iterator[Path]:
    item = f"{labels.id}_{chip.id}"
    bands_CHW = label(chip.ground, unnamed)
    place = Path(labels.id, item)
    write_geotiff(labels.folder / place / "labels.tif", bands_CHW, chip.georeference, nodata=0, interleave="pixel")
    yield place / "labels.tif"
    rows = "".join(f"{number},{overpass.day:%Y%m%d}\n" for number, overpass in enumerate(days))
    write_text(labels.folder / place / "source_dates.csv", f",{chip.tile.name}\n{rows}")
    yield place / "source_dates.csv"
    counts = np.bincount(bands_CHW[0].ravel(), minlength=len(NAMES)).tolist()
    sources = [f"{PREFIX}_source_sentinel_2_{chip.id}_{overpass.day:%Y%m%d}" for overpass in days]
    yield labels.write_item(
        item,
        chip.ring,
        _label_properties(counts),
        links=[{"rel": "source", "href": f"../../{PREFIX}_source_sentinel_2/{source}/stac.json"} for source in sources],
        assets={
            "labels": geotiff("labels.tif", "Land Cover")
            | {"file:values": [{"value": [value], "summary": name} for value, name in enumerate(NAMES)]},
            "source_dates": {
                "href": "source_dates.csv",
                "type": "text/csv",
                "title": "Source Imagery Dates (synthetic)",
            },
        },
        extensions=["https://stac-extensions.github.io/label/v1.0.0/schema.json"],
    )


def _label_properties(counts: list[int]) -> dict[str, object]:
    """As in a real item: classes without pixels are not counted."""
    present = [{"name": NAMES[value], "count": count} for value, count in enumerate(counts) if value and count]
    return {
        "datetime": f"{YEAR}-07-01T00:00:00Z",
        "label:description": "Synthetic Land Cover Type Classification",
        "label:type": "raster",
        "label:classes": [{"name": None, "classes": list(range(len(NAMES)))}],
        "label:overviews": [{"property_key": "land_cover_type", "counts": present}],
    }
