"""Sample of LandCoverNet Africa: Sentinel-2 chips on several dates, with clouds, and their labels."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

import numpy as np

from pipeline.core.files import write_text
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources.sample.acquisition import Acquisition, reflectance
from pipeline.sources.sample.catalogue import Collection, UtmGrid, geotiff_asset
from pipeline.sources.sample.clouds import Weather, apply_occlusion, cloud_probability, scene_classification
from pipeline.sources.sample.ground import Ground, Landscape, Site, generate_ground
from pipeline.sources.sample.noise import Rng, derive_seed, fractal_noise, perturb_borders, top_share, white_noise
from pipeline.sources.sample.spectra import Cover

PREFIX = "ref_landcovernet_af_v1"
SHAPE = (256, 256)
COLUMNS = {"B02": 0, "B03": 1, "B04": 2, "B08": 6}
"""Bands of the archive and their indices into `spectra.BANDS`."""
NODATA = dict.fromkeys(COLUMNS, 0) | {"CLD": 255, "SCL": 0}
LICENCE = "CC-BY-4.0"
YEAR = 2018
WITH_UNLABELLED = {7, 18}
"""Chips with unlabelled pixels, counted over all tiles."""
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
CLEAR = (Weather(), Weather(cloud=8), Weather(haze=30), Weather(cloud=16))
CLOUDY = (Weather(cloud=120), Weather(cloud=330), Weather(haze=550), Weather(missing=300), Weather(cloud=640),
          Weather(cloud=210, haze=250), Weather(cloud=80, missing=90))  # fmt: skip


@dataclass(frozen=True)
class MgrsTile:
    """A tile of Sentinel-2's 100 km MGRS grid."""

    name: str
    """UTM zone; latitude band, south of the equator before N; and square."""
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
        "29PKL", 199980, 1100040, (160, 90, 60, 160, 400, 640, 840, 960, 990, 840, 560, 300),
        (_SAVANNAH, _FARMLAND, _VALLEY, _SAVANNAH, _FARMLAND, _VALLEY, _SAVANNAH, _FARMLAND),
    ),
    MgrsTile(
        "36MXE", 600000, 10000000, (380, 360, 560, 850, 950, 800, 620, 560, 600, 660, 760, 620),
        (_SHORE, _FARMLAND, _DELTA, _SHORE, _FARMLAND, _SHORE, _DELTA, _FARMLAND),
    ),
    MgrsTile(
        "37MCS", 300000, 9700000, (420, 300, 460, 820, 900, 640, 460, 330, 240, 260, 560, 600),
        (_SUMMIT, _PLAIN, _FOOTHILLS, _SUMMIT, _PLAIN, _FOOTHILLS, _SUMMIT, _PLAIN),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class SyntheticChip:
    """A chip to write: its position and ground."""

    id: str
    tile: MgrsTile
    grid: UtmGrid
    ground: Ground


def write_landcovernet(seed: int, folder: Path) -> Iterator[Path]:
    """Write the archive to `folder`; yield each finished file, relative to it."""
    source = Collection(f"{PREFIX}_source_sentinel_2", "LandCoverNet Africa Sentinel-2 source imagery", folder)
    labels = Collection(f"{PREFIX}_labels", "LandCoverNet Africa Labels", folder)
    chips: list[SyntheticChip] = []
    source_items: list[str] = []
    for tile in TILES:
        for chip in _chips(tile, seed):
            acquisitions = _acquisitions(tile, derive_seed(seed, chip.id), number=len(chips))
            scenes = {f"{source.id}_{chip.id}_{acquisition.day:%Y%m%d}": acquisition for acquisition in acquisitions}
            for item, acquisition in scenes.items():
                yield from _write_scene(source, item, chip, acquisition)
            yield from _write_label(labels, chip, scenes, with_unlabelled=len(chips) in WITH_UNLABELLED)
            chips.append(chip)
            source_items += scenes
    outlines = [chip.grid.outline for chip in chips]
    year = (f"{YEAR}-01-01", f"{YEAR}-12-31")
    yield source.write(source_items, outlines, year, LICENCE)
    yield labels.write([f"{labels.id}_{chip.id}" for chip in chips], outlines, year, LICENCE)


def _chips(tile: MgrsTile, seed: int) -> Iterator[SyntheticChip]:
    """Place chips at random in a 6 by 5 grid over the tile, numbered by their position in it."""
    rng = Rng(derive_seed(seed, tile.name))
    positions = sorted(rng.shuffled(range(30))[: len(tile.landscapes)])
    for position, landscape in zip(positions, tile.landscapes, strict=True):
        left = tile.left + position % 6 * 18000 + 20 * rng.below(700)
        top = tile.top - position // 6 * 21000 - 20 * rng.below(800)
        grid = UtmGrid(SHAPE, int(tile.name[:2]), tile.name[2] < "N", left, top)
        ground = generate_ground(Site(SHAPE, derive_seed(seed, tile.name, position), landscape))
        yield SyntheticChip(f"{tile.name}_{position:02d}", tile, grid, ground)


def _acquisitions(tile: MgrsTile, seed: int, number: int) -> list[Acquisition]:
    """Draw a date in each quarter of the year; one is clear, and a second for five chips of eight."""
    rng = Rng(derive_seed(seed, "overpasses"))
    second = CLEAR if number * 5 % 8 < 5 else CLOUDY
    weathers = [Weather(), rng.choice(second), rng.choice(CLOUDY), rng.choice(CLOUDY)]
    acquisitions = []
    for quarter, weather in enumerate(rng.shuffled(weathers)):
        day = date(YEAR, 1, 3) + timedelta(days=91 * quarter + 5 * rng.below(17))
        acquisitions.append(Acquisition(day, tile.greenness[day.month - 1], derive_seed(seed, day), weather))
    return acquisitions


def _write_scene(source: Collection, item: str, chip: SyntheticChip, acquisition: Acquisition) -> Iterator[Path]:
    columns = tuple(COLUMNS.values())
    ground_CHW = reflectance(chip.ground, acquisition, columns)
    occlusion = acquisition.occlusion(SHAPE)
    image_CHW = apply_occlusion(ground_CHW, occlusion, columns)
    rasters = dict(zip(COLUMNS, image_CHW, strict=True)) | {
        "CLD": cloud_probability(occlusion, acquisition.seed),
        "SCL": scene_classification(ground_CHW, chip.ground.cover_HW == Cover.SNOW, occlusion),
    }
    bands = {key: pixels_HW[None] for key, pixels_HW in rasters.items()}
    yield from source.write_scene(item, chip.grid, acquisition.day, bands, NODATA)


def _write_label(
    labels: Collection, chip: SyntheticChip, scenes: dict[str, Acquisition], with_unlabelled: bool
) -> Iterator[Path]:
    item = f"{labels.id}_{chip.id}"
    label_CHW = annotate(chip.ground, with_unlabelled)
    path = Path(labels.id, item, "labels.tif")
    write_geotiff(labels.folder / path, label_CHW, chip.grid.georeference, nodata=0, interleave="pixel")
    yield path
    rows = "".join(f"{number},{acquisition.day:%Y%m%d}\n" for number, acquisition in enumerate(scenes.values()))
    write_text(labels.folder / path.with_name("source_dates.csv"), f",{chip.tile.name}\n{rows}")
    yield path.with_name("source_dates.csv")
    yield labels.write_item(
        item,
        chip.grid.outline,
        _label_properties(label_CHW[0]),
        links=[{"rel": "source", "href": f"../../{PREFIX}_source_sentinel_2/{scene}/stac.json"} for scene in scenes],
        assets={
            "labels": geotiff_asset("labels.tif", "Land Cover")
            | {"file:values": [{"value": [value], "summary": name} for value, name in enumerate(NAMES)]},
            "source_dates": {
                "href": "source_dates.csv",
                "type": "text/csv",
                "title": "Source Imagery Dates (synthetic)",
            },
        },
        extensions=["https://stac-extensions.github.io/label/v1.0.0/schema.json"],
    )


def annotate(ground: Ground, with_unlabelled: bool) -> np.ndarray:
    """Return the class and the annotators' consensus in percent.

    Args:
        ground: maps of the site.
        with_unlabelled: leave some pixels without a class.

    Returns:
        (2, height, width) of uint16.
    """
    seed = ground.site.seed
    seeds = derive_seed(seed, "hand", 0), derive_seed(seed, "hand", 1)
    class_HW = perturb_borders(ground.class_HW, reach=1, cell=19, seeds=seeds)
    border_HW = np.zeros(class_HW.shape, bool)
    border_HW[:, 1:] |= class_HW[:, 1:] != class_HW[:, :-1]
    border_HW[1:] |= class_HW[1:] != class_HW[:-1]
    doubt_HW = fractal_noise(class_HW.shape, 12, 3, derive_seed(seed, "doubt"))
    block = white_noise((class_HW.shape[0] // 32, class_HW.shape[1] // 32), derive_seed(seed, "blocks"))
    block_HW = block.repeat(32, axis=0).repeat(32, axis=1)  # annotators labelled blocks of 32 pixels
    consensus_HW = np.full(class_HW.shape, 100, np.uint16)
    unsure_HW = border_HW | (doubt_HW > 700) | (block_HW > 860)
    consensus_HW[unsure_HW] = (64 + block_HW % 8)[unsure_HW]
    if with_unlabelled:
        unlabelled_HW = top_share(doubt_HW, 10) & (block_HW > 500)
        class_HW[unlabelled_HW] = 0
        consensus_HW[unlabelled_HW] = 34
    return np.stack([class_HW.astype(np.uint16), consensus_HW])


def _label_properties(class_HW: np.ndarray) -> dict[str, object]:
    """Describe a label as the real items do: without a count for absent classes."""
    counts = np.bincount(class_HW.ravel(), minlength=len(NAMES)).tolist()
    present = [{"name": NAMES[value], "count": count} for value, count in enumerate(counts) if value and count]
    return {
        "datetime": f"{YEAR}-07-01T00:00:00Z",
        "label:description": "Synthetic Land Cover Type Classification",
        "label:type": "raster",
        "label:classes": [{"name": None, "classes": list(range(len(NAMES)))}],
        "label:overviews": [{"property_key": "land_cover_type", "counts": present}],
    }
