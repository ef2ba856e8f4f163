"""Scenes for the benchmarks of `tile`: orthophotos of noisy texture with masks of patches, in a raw folder.

python -m benchmarks._tile_scenes RAW COUNT [HEIGHT WIDTH]
"""

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import rasterio
from rasterio.transform import Affine

from pipeline.formats.classes import write_classes
from pipeline.formats.datasets import CLASSES
from pipeline.raster.layout import write_source

HEIGHT, WIDTH = 9000, 9500
"""Of a scene of LandCover.ai at 25 cm."""
PIXEL, CRS = 0.25, "EPSG:2180"
PATCH = 40
"""Side in pixels of the cells of which patches consist."""


def write_scenes(raw: Path, count: int, height: int = HEIGHT, width: int = WIDTH) -> None:
    """Write a raw folder of scenes that differ: RGB and mask, LZW in strips, as GDAL does by default.

    Args:
        raw: the folder.
        count: number of scenes.
        height: rows of a scene.
        width: columns of a scene.
    """
    table = CLASSES["landcoverai"]
    for folder in ("images", "masks"):
        (raw / folder).mkdir(parents=True)
    for number in range(count):
        generator = np.random.default_rng(number)
        mask_HW = _patches(generator, height, width, table.ids)
        _write(raw / f"masks/scene-{number:04}.tif", [mask_HW], number)
        _write(raw / f"images/scene-{number:04}.tif", _texture(generator, mask_HW), number, photometric="rgb")
    write_classes(raw / "classes.json", table)
    write_source(raw, "local")


def _patches(generator: np.random.Generator, height: int, width: int, ids: Sequence[int]) -> np.ndarray:
    """Return class_HW: cells of random classes, merged into patches by a majority that favours the first class."""
    rows, columns = -(-height // PATCH), -(-width // PATCH)
    cells_HW = generator.choice(ids, (rows, columns), p=np.array([3, *[1] * (len(ids) - 1)]) / (len(ids) + 2))
    return np.kron(cells_HW, np.ones((PATCH, PATCH), int))[:height, :width].astype(np.uint8)


def _texture(generator: np.random.Generator, mask_HW: np.ndarray) -> list[np.ndarray]:
    """Return bands_CHW, uint8: a colour for each class, and noise of each pixel, most of it common to the bands."""
    common_HW = generator.integers(0, 20, mask_HW.shape, np.uint8)
    colours = generator.integers(40, 180, (3, 256), np.uint8)
    return [colour[mask_HW] + common_HW + generator.integers(0, 6, mask_HW.shape, np.uint8) for colour in colours]


def _write(path: Path, bands_CHW: list[np.ndarray], number: int, **options: object) -> None:
    height, width = bands_CHW[0].shape
    place = {"crs": CRS, "transform": Affine(PIXEL, 0, 500_000 + PIXEL * width * number, 0, -PIXEL, 600_000)}
    shape = {"height": height, "width": width, "count": len(bands_CHW), "dtype": "uint8", "compress": "lzw"}
    with rasterio.open(path, "w", driver="GTiff", **shape, **place, **options) as dataset:
        dataset.write(np.stack(bands_CHW))


if __name__ == "__main__":
    write_scenes(Path(sys.argv[1]), *map(int, sys.argv[2:]))
