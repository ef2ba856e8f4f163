"""Sample of LandCover.ai: orthophotos of two pixel sizes, their masks and the official split."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from affine import Affine

from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources.sample.catalogue import write_split_lists
from pipeline.sources.sample.noise import Rng, Shape, derive_seed, perturb_borders
from pipeline.sources.sample.rendering import render
from pipeline.sources.sample.scene_layout import class_map, lay_out_scene
from pipeline.sources.sample.scene_spec import SceneSpec, random_scene_spec

SCALES = (4,) * 8 + (2,) * 4
"""Pixels per metre of each orthophoto."""
TILE = 512
"""Size in pixels of the tiles in the official split."""
CRS = (
    'PROJCS["Projection: Transverse Mercator; Datum: WGS84; Ellipsoid: WGS84",GEOGCS["WGS 84",DATUM["WGS_1984",'
    'SPHEROID["WGS 84",6378137,298.257223563,AUTHORITY["EPSG","7030"]],AUTHORITY["EPSG","6326"]],'
    'PRIMEM["Greenwich",0],UNIT["degree",0.0174532925199433,AUTHORITY["EPSG","9122"]],AUTHORITY["EPSG","4326"]],'
    'PROJECTION["Transverse_Mercator"],PARAMETER["latitude_of_origin",0],PARAMETER["central_meridian",19],'
    'PARAMETER["scale_factor",0.9993],PARAMETER["false_easting",500000],PARAMETER["false_northing",-5300000],'
    'UNIT["metre",1,AUTHORITY["EPSG","9001"]],AXIS["Easting",EAST],AXIS["Northing",NORTH]]'
)
"""Transverse Mercator for Poland as WKT; it has no EPSG code."""


@dataclass(frozen=True)
class Sheet:
    """A map sheet to generate: an orthophoto and its mask."""

    name: str
    spec: SceneSpec
    georeference: Georeference


def write_landcoverai(seed: int, folder: Path) -> Iterator[Path]:
    """Write the archive to `folder`; yield each finished file, relative to it."""
    sheets = _sheets(seed)
    for sheet in sheets:
        image_CHW, mask_HW = generate_pair(sheet.spec)
        for kind, pixels in (("images", image_CHW), ("masks", mask_HW[None])):
            path = Path(kind, f"{sheet.name}.tif")
            write_geotiff(folder / path, pixels, sheet.georeference)
            yield path
    tiles = [tile for sheet in sheets for tile in tile_ids(sheet.name, sheet.spec.shape)]
    yield from write_split_lists(tiles, seed, folder)


def generate_pair(spec: SceneSpec) -> tuple[np.ndarray, np.ndarray]:
    """Generate an orthophoto, (3, height, width) of uint8, and its mask, (height, width) of uint8."""
    layout = lay_out_scene(spec)
    seeds = spec.noise_seed("hand rows"), spec.noise_seed("hand columns")
    return render(layout), perturb_borders(class_map(layout), reach=3, cell=37, seeds=seeds)


def _sheets(seed: int) -> list[Sheet]:
    """Draw sheets of two full tiles and a partial one in each direction, named as in the national grid."""
    rng = Rng(derive_seed(seed, "sheets"))
    sheets: dict[str, Sheet] = {}
    while len(sheets) < len(SCALES):
        name = _sheet_name(rng)
        number = len(sheets)
        shape = rng.between(1080, 1260), rng.between(1080, 1260)
        metres = 1 / SCALES[number]
        corner = 300000 + 9000 * number + rng.below(4000) - 1e-6, 420000 + 23000 * (number % 5) + rng.below(9000) / 2
        transform = Affine(metres, 0.0, corner[0], 0.0, -metres, corner[1])
        spec = random_scene_spec(shape, SCALES[number], derive_seed(seed, name))
        sheets.setdefault(name, Sheet(name, spec, Georeference(CRS, transform)))
    return [sheets[name] for name in sorted(sheets)]


def _sheet_name(rng: Rng) -> str:
    parts = (rng.choice("MN"), rng.choice(("33", "34")), rng.between(1, 144), rng.choice("ABCD"), rng.choice("abcd"))
    return "-".join(map(str, (*parts, rng.between(1, 4), rng.between(1, 4))))


def tile_ids(name: str, shape: Shape) -> list[str]:
    """Return the ids of full tiles, row by row; partial tiles are numbered too, as by LandCover.ai's own script."""
    height, width = shape
    corners = [(row, column) for row in range(0, height, TILE) for column in range(0, width, TILE)]
    return [
        f"{name}_{number}"
        for number, (row, column) in enumerate(corners)
        if row + TILE <= height and column + TILE <= width
    ]
