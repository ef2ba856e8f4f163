from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from pipeline.core.failures import OnError
from pipeline.formats.chips import Imagery
from pipeline.formats.png import read_image, read_mask
from pipeline.inference.geotiff_scene import open_scene
from pipeline.inference.scene import ReadOptions
from pipeline.orthophoto.scenes import tile_scene
from pipeline.raster.geotiff import write_geotiff
from pipeline.raster.layout import Scene
from tests.orthophoto.test_section import section
from tests.world import TWO_CLASSES, at, gradient, hide

RGB = Imagery(("1", "2", "3"))


def read_scene(path: Path, imagery: Imagery = RGB, on_error: OnError = "stop") -> tuple[np.ndarray, np.ndarray]:
    """All pixels, in one window."""
    with open_scene(str(path), ReadOptions(imagery, on_error)) as scene:
        return scene.read(Window(0, 0, scene.width, scene.height))


def alpha(height: int, width: int) -> np.ndarray:
    alpha_1HW = np.full((1, height, width), 255, np.uint8)
    alpha_1HW[:, :9, 3:50] = 0
    return alpha_1HW


def with_alpha(path: Path) -> None:
    image_CHW = np.concatenate([gradient(70, 100), alpha(70, 100)])
    write_geotiff(path, image_CHW, at(), photometric="RGB", alpha="YES")


def with_nir(path: Path) -> None:
    """GDAL marks the fourth band as alpha, which is not."""
    write_geotiff(path, gradient(70, 100, 4) + np.arange(100, dtype=np.uint8), at())


def with_nodata(path: Path) -> None:
    image_CHW = gradient(70, 100, 4)
    image_CHW[:, 5:9] = 7
    write_geotiff(path, image_CHW, at(), nodata=7, photometric="MINISBLACK")


def with_mask(path: Path) -> None:
    write_geotiff(path, gradient(70, 100), at())
    hide(path, np.where(np.arange(7000).reshape(70, 100) % 7, 255, 0).astype(np.uint8))


def with_16_bits(path: Path) -> None:
    write_geotiff(path, gradient(70, 100, dtype="uint16") * 40, at(), nodata=400)


def with_scale(path: Path) -> None:
    write_geotiff(path, gradient(70, 100, dtype="uint16") * 40, at())
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (0.01, 0.02, 0.03), (0.0, -0.1, 0.0)


def with_floats(path: Path) -> None:
    image_CHW = gradient(70, 100, dtype="float32")
    image_CHW[1, 3, 4], image_CHW[2, 30, 40] = np.nan, np.inf
    write_geotiff(path, image_CHW, at())


def with_colour_table(path: Path) -> None:
    write_geotiff(path, gradient(70, 100)[:1] % 5, at(), photometric="PALETTE", nodata=3)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, {value: (40 * value, 9, 200 - value, 255) for value in range(4)})


@pytest.mark.parametrize(
    ("write", "stretch"),
    [
        (with_alpha, "none"),
        (with_nir, "none"),
        (with_nodata, "none"),
        (with_mask, "none"),
        (with_16_bits, (0.0, 4000.0)),
        (with_scale, (0.0, 40.0)),
        (with_floats, (0.0, 100.0)),
        (with_colour_table, "none"),
    ],
)
@pytest.mark.parametrize("bands", [(1, 2, 3), (3, 1, 2)])
def test_windows_are_the_chips_that_tile_writes(
    tmp_path: Path, write: Callable[[Path], None], stretch: Any, bands: tuple[int, int, int]
) -> None:
    files = Scene("a", tmp_path / "a.tif", tmp_path / "mask.tif")
    write(files.image)
    write_geotiff(files.mask, np.ones((1, 70, 100), np.uint8), at())
    how = section(partial="pad", bands=bands, stretch=stretch)
    for name in ("images", "masks"):
        (tmp_path / "chips" / name).mkdir(parents=True)
    tiled = tile_scene(files, how, TWO_CLASSES, tmp_path / "chips")
    with open_scene(str(files.image), ReadOptions(how.imagery)) as scene:
        for row in tiled.rows:
            top, left = int(str(row["row"])), int(str(row["column"]))
            image_HWC, valid_HW = scene.read(Window(left, top, min(32, 100 - left), min(32, 70 - top)))
            height, width = valid_HW.shape
            chip_HWC = read_image(tmp_path / "chips/images" / f"{row['id']}.png")
            mask_HW = read_mask(tmp_path / "chips/masks" / f"{row['id']}.png")
            assert np.array_equal(image_HWC, chip_HWC[:height, :width])
            assert np.array_equal(valid_HW, mask_HW[:height, :width] == 1)
    assert len(tiled.rows) == 12
