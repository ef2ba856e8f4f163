"""The sample of LandCover.ai: orthophotos of two pixel sizes, their masks and the three lists of tiles."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine

from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources.sample.lists import write_lists
from pipeline.sources.sample.noise import Dice, Shape, derive
from pipeline.sources.sample.rendering import photograph
from pipeline.sources.sample.scenery import classify, hand_drawn, plan_scenery
from pipeline.sources.sample.setting import choose_setting

SCALES = (4,) * 8 + (2,) * 4
"""Pixels in a metre, scene by scene."""
TILE = 512
"""Edge in pixels of the tiles that the lists name."""
CRS = (
    'PROJCS["Projection: Transverse Mercator; Datum: WGS84; Ellipsoid: WGS84",GEOGCS["WGS 84",DATUM["WGS_1984",'
    'SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]],'
    'PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",19],'
    'PARAMETER["scale_factor",0.9993],PARAMETER["false_easting",500000],PARAMETER["false_northing",-5300000],'
    'UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
)
"""Poland's transverse Mercator written out; no EPSG code stands for it."""


@dataclass(frozen=True)
class Sheet:
    """An orthophoto to make."""

    name: str
    shape: Shape
    per_metre: int
    georeference: Georeference


def write_landcoverai(seed: int, folder: Path) -> Iterator[Path]:
    """Write the archive below `folder`; yield each finished file, relative to it."""
    sheets = _sheets(seed)
    for sheet in sheets:
        image_CHW, mask_HW = make_pair(sheet, derive(seed, sheet.name))
        for kind, pixels in (("images", image_CHW), ("masks", mask_HW[None])):
            path = Path(kind, f"{sheet.name}.tif")
            write_geotiff(folder / path, pixels, sheet.georeference)
            yield path
    yield from write_lists([tile for sheet in sheets for tile in tile_ids(sheet)], seed, folder)


def make_pair(sheet: Sheet, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """An orthophoto, (3, height, width) of uint8, and its mask, (height, width) of uint8."""
    setting = choose_setting(sheet.shape, sheet.per_metre, seed)
    scenery = plan_scenery(setting)
    return photograph(scenery), hand_drawn(classify(scenery), setting)


def _sheets(seed: int) -> list[Sheet]:
    """Two full tiles and a part of one in each direction, named like sheets of the national grid."""
    dice = Dice(derive(seed, "sheets"))
    sheets: dict[str, Sheet] = {}
    while len(sheets) < len(SCALES):
        name = _sheet_name(dice)
        number = len(sheets)
        shape = dice.between(1080, 1260), dice.between(1080, 1260)
        metres = 1 / SCALES[number]
        corner = 300000 + 9000 * number + dice.below(4000) - 1e-6, 420000 + 23000 * (number % 5) + dice.below(9000) / 2
        transform = Affine(metres, 0.0, corner[0], 0.0, -metres, corner[1])
        sheets.setdefault(name, Sheet(name, shape, SCALES[number], Georeference(CRS, transform)))
    return [sheets[name] for name in sorted(sheets)]


def _sheet_name(dice: Dice) -> str:
    parts = (dice.pick("MN"), dice.pick(("33", "34")), dice.between(1, 144), dice.pick("ABCD"), dice.pick("abcd"))
    return "-".join(map(str, (*parts, dice.between(1, 4), dice.between(1, 4))))


def tile_ids(sheet: Sheet) -> list[str]:
    """Ids of the full tiles, row by row; the number rises for partial ones too, as in LandCover.ai's own cutting."""
    height, width = sheet.shape
    corners = [(row, column) for row in range(0, height, TILE) for column in range(0, width, TILE)]
    return [
        f"{sheet.name}_{number}"
        for number, (row, column) in enumerate(corners)
        if row + TILE <= height and column + TILE <= width
    ]
