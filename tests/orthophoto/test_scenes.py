"""A scene's chips, their rows and counts: edges, transparency, near infrared, unsuitable masks."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import chip_folders
from pipeline.formats.classes import ClassTable
from pipeline.formats.datasets import CLASSES
from pipeline.formats.png import read_image, read_mask
from pipeline.orthophoto.scenes import TiledScene, tile_scene
from pipeline.orthophoto.section import TileSection
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.layout import Scene
from tests.orthophoto.test_section import section
from tests.world import TWO_CLASSES, UTM, at, gradient, halves, orthophoto

DROP = section()
PAD = section(partial="pad")


def cut(folder: Path, scene: Scene, how: TileSection = DROP, table: ClassTable = TWO_CLASSES) -> TiledScene:
    for name in chip_folders(len(how.bands)):
        (folder / "chips" / name).mkdir(parents=True, exist_ok=True)
    return tile_scene(scene, how, table, folder / "chips")


def ids(tiled: TiledScene) -> list[object]:
    return [row["id"] for row in tiled.rows]


def test_a_chip_has_the_pixels_and_position_of_its_window(tmp_path: Path) -> None:
    tiled = cut(tmp_path, orthophoto(tmp_path, "a"))
    assert ids(tiled) == ["a_0", "a_1", "a_2", "a_3", "a_4", "a_5"]
    image_HWC = read_image(tmp_path / "chips/images/a_5.png")
    assert image_HWC.shape == (32, 32, 3)
    assert image_HWC[0, 0].tolist() == [33, 65, 50]
    assert image_HWC[31, 31].tolist() == [64, 96, 50]
    assert np.array_equal(read_mask(tmp_path / "chips/masks/a_1.png"), halves(32, 32))
    place = {"row": 32, "column": 64, "x": 500032.0, "y": 999984.0, "crs": UTM, "pixel_size": 0.5}
    assert (place | {"pixels_1": 0, "pixels_2": 1024, "pixels_ignored": 0}).items() <= tiled.rows[5].items()


@pytest.mark.parametrize("alpha", ["auto", "none"])
@pytest.mark.parametrize("bands", [(4, 1, 2), (1, 2, 3)])
@pytest.mark.parametrize("profile", [{}, {"photometric": "RGB", "alpha": "YES"}, {"photometric": "MINISBLACK"}])
def test_near_infrared_is_not_transparency(
    tmp_path: Path, alpha: str, bands: tuple[int, int, int], profile: dict[str, Any]
) -> None:
    """The fourth band ranges from 0, as over water, to 255; by default GDAL marks it as alpha."""
    image_CHW = np.concatenate([gradient(32, 32), np.linspace(0, 255, 1024).reshape(1, 32, 32).astype(np.uint8)])
    image_CHW[3, :4] = 0
    scene = orthophoto(tmp_path, "a", gradient(32, 32))
    write_geotiff(scene.image, image_CHW, at(pixel=0.5), **profile)
    tiled = cut(tmp_path, scene, section(bands=bands, alpha=alpha))
    assert [row["pixels_ignored"] for row in tiled.rows] == [0]
    assert (tiled.pixels, tiled.transparent) == (1024, 0)
    red_HW = read_image(tmp_path / "chips/images/a_0.png")[..., 0]
    assert red_HW[0, 0] == (0 if bands[0] == 4 else 1)
    assert (red_HW[4:] > 0).all()


def test_transparency_and_declared_no_data_both_hide(tmp_path: Path) -> None:
    alpha_HW = np.full((32, 32), 255, np.uint8)
    alpha_HW[0] = 0
    scene = orthophoto(tmp_path, "a", gradient(32, 32))
    image_CHW = np.concatenate([gradient(32, 32), alpha_HW[None]])
    image_CHW[:3, 9, 9] = 50
    write_geotiff(scene.image, image_CHW, at(pixel=0.5), photometric="RGB", alpha="YES", nodata=50)
    tiled = cut(tmp_path, scene)
    assert (tiled.rows[0]["pixels_ignored"], tiled.transparent) == (33, 32)


@pytest.mark.parametrize(("dtype", "opaque"), [("uint8", 1), ("uint8", 254), ("uint16", 65535)])
def test_alpha_may_have_any_two_values(tmp_path: Path, dtype: str, opaque: int) -> None:
    scene = orthophoto(tmp_path, "a", gradient(32, 64))
    alpha_HW = np.full((32, 64), opaque)
    alpha_HW[:5] = 0
    bands_CHW = np.concatenate([gradient(32, 64), alpha_HW[None]]).astype(dtype)
    write_geotiff(scene.image, bands_CHW, at(pixel=0.5), photometric="RGB", alpha="YES")
    assert cut(tmp_path, scene, section(stretch=(0, 255))).transparent == 320


def test_16_bit_images_need_a_stretch(tmp_path: Path) -> None:
    scene = orthophoto(tmp_path, "a", gradient(32, 32, dtype="uint16") * 100)
    with pytest.raises(
        PipelineError, match=r"a.tif is uint16, but chips have 8 bits; set tile.stretch to \[low, high\]"
    ):
        cut(tmp_path, scene)
    cut(tmp_path, scene, section(stretch=(0.0, 5100.0)))
    assert read_image(tmp_path / "chips/images/a_0.png")[9, 19].tolist() == [50, 100, 250]


def test_a_missing_band_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"images/a.tif has no band 4; it has 3, counted from 1"):
        cut(tmp_path, orthophoto(tmp_path, "a"), section(bands=(4, 2, 1)))
    grey = orthophoto(tmp_path, "grey", gradient(64, 96, 1))
    with pytest.raises(PipelineError, match=r"grey.tif has no band 2; it has 1, .*: set tile.bands to .*\[1, 1, 1\]"):
        cut(tmp_path, grey, section(bands=(1, 2, 3)))


def test_the_official_mask_gives_its_72_official_chips(shared: Path, tmp_path: Path) -> None:
    scene = "N-33-60-D-c-4-2"
    folder = shared / "data/landcoverai-official"
    mask = folder / f"{scene}.tif"
    official = [name for part in ("train", "val", "test") for name in (folder / f"{part}.txt").read_text().split()]
    tiled = cut(tmp_path, Scene(scene, mask, mask), section(size=512, bands=(1, 1, 1)), CLASSES["landcoverai"])
    expected = sorted(name for name in official if name.rpartition("_")[0] == scene)
    assert len(expected) == 72
    assert sorted(str(name) for name in ids(tiled)) == expected
    with open_geotiff(mask) as file:
        classes_HW = file.read()[0]
        corner = file.georeference
    first, last = tiled.rows[0], tiled.rows[-1]
    assert (first["x"], first["y"]) == (corner.transform.c, corner.transform.f)
    assert (last["row"], last["column"]) == (4096, 3584)
    assert np.array_equal(read_mask(tmp_path / f"chips/masks/{last['id']}.png"), classes_HW[4096:4608, 3584:4096])


@pytest.mark.parametrize(
    ("bands", "profile", "message"),
    [
        (3, {}, r"masks/a.tif has 3 bands; a mask has one, of class ids"),
        (1, {"compress": "jpeg"}, r"masks/a.tif is JPEG-compressed, which invents class ids along edges"),
    ],
)
def test_a_multi_band_or_jpeg_mask_is_refused(
    tmp_path: Path, bands: int, profile: dict[str, Any], message: str
) -> None:
    scene = orthophoto(tmp_path, "a")
    write_geotiff(scene.mask, np.stack([halves(64, 96)] * bands), at(pixel=0.5), **profile)
    with pytest.raises(PipelineError, match=message):
        cut(tmp_path, scene)


def test_only_labelled_pixels_of_chips_count_as_declared_no_data(tmp_path: Path) -> None:
    image_CHW, mask_HW = gradient(32, 96), np.zeros((32, 96), np.uint8)
    image_CHW[:, :4, :32] = 255  # hidden in the first chip
    image_CHW[:, :, 32:64] = 255  # the second window is hidden and dropped
    mask_HW[8:, 64:] = 1
    scene = orthophoto(tmp_path, "a")
    write_geotiff(scene.image, image_CHW, at(), nodata=255)
    write_geotiff(scene.mask, mask_HW[None], at(), nodata=0)
    tiled = cut(tmp_path, scene, table=CLASSES["landcoverai"])
    assert (ids(tiled), tiled.unlabelled) == (["a_0", "a_2"], 1)
    assert (
        tiled.nodata_classes == {"0": 28 * 32 + 8 * 32} == {"0": sum(int(str(row["pixels_0"])) for row in tiled.rows)}
    )
