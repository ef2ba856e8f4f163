"""A scene in one GeoTIFF or one a band has the pixels that training had; damage and unsuitable values are named."""

import json
import os
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.core.failures import OnError
from pipeline.formats.chips import Imagery
from pipeline.formats.png import read_image, read_mask
from pipeline.orthophoto.scenes import tile_scene
from pipeline.raster.blocks import FilePixels
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.layout import Scene
from pipeline.scenes import row_buffer
from pipeline.scenes.geotiff_scene import open_band_files, open_scene
from pipeline.scenes.scene import ReadOptions
from pipeline.sentinel.clouds import PixelKind
from pipeline.sentinel.conversion import read_item
from pipeline.sentinel.items import ReadOptions as SentinelOptions
from pipeline.tif_to_png import TifToPngParams
from tests.orthophoto.test_cutting import damage
from tests.orthophoto.test_section import section
from tests.raster.world import refuse
from tests.world import TWO_CLASSES, at, gradient, hide, landcovernet_item, params

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


REFLECTANCE = Imagery(("B04", "B03", "B02"), 0.0001, 0.0, (0.0, 0.3))


def test_sentinel_2_windows_are_the_chips_that_tif_to_png_writes(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", date(2018, 1, 5))
    for band, name in enumerate(REFLECTANCE.bands):
        values_HW = gradient(16, 16, dtype="uint16")[band] * 100 + np.uint16(band)
        values_HW[band, 5] = 0
        values_HW[9, band] = 77
        write_geotiff(item.folder / f"{name}.tif", values_HW[None], at(), nodata=77)
    options = SentinelOptions("landcovernet", params(TifToPngParams).bands, "none", 50)
    chip_HWC, clouds_HW, _ = read_item(item, options, REFLECTANCE)
    files = [str(item.folder / f"{name}.tif") for name in REFLECTANCE.bands]
    with open_band_files(files, ReadOptions(REFLECTANCE)) as scene:
        image_HWC, valid_HW = scene.read(Window(0, 0, 16, 16))
    assert np.array_equal(image_HWC, chip_HWC)
    assert np.array_equal(valid_HW, clouds_HW != PixelKind.NO_DATA)
    assert (~valid_HW).sum() == 6


def test_band_files_must_match(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(4, 4)[:1], at())
    write_geotiff(tmp_path / "wide.tif", gradient(4, 8)[:1], at())
    write_geotiff(tmp_path / "deep.tif", gradient(4, 4, dtype="uint16")[:1], at())

    def refused(other: str, message: str) -> None:
        files = [str(tmp_path / f"{name}.tif") for name in ("a", other, "a")]
        refuse(message, open_band_files, files, ReadOptions(RGB))

    refused("wide", r"a.tif and .*wide.tif differ in size: .*; a band covers the first band; resample the band to the")
    refused("deep", r"a.tif is uint8 and .*deep.tif is uint16; all bands have one data type: gdal_translate -ot")


def tiled(path: Path, **profile: Any) -> np.ndarray:
    image_CHW = gradient(70, 100)
    write_geotiff(path, image_CHW, at(), tiled=True, blockxsize=16, blockysize=32, compress="deflate", **profile)
    return image_CHW.transpose(1, 2, 0)


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_damaged_blocks_are_left_out(tmp_path: Path, interleave: str) -> None:
    expected_HWC = tiled(tmp_path / "a.tif", interleave=interleave).copy()
    damage(tmp_path / "a.tif", (2, 1))
    damage(tmp_path / "a.tif", (6, 2), band=1 if interleave == "pixel" else 3)
    valid_HW = np.ones((70, 100), bool)
    valid_HW[32:64, 32:48] = valid_HW[64:, 96:] = False
    expected_HWC[~valid_HW] = 0
    with open_scene(str(tmp_path / "a.tif"), ReadOptions(RGB, "skip")) as scene:
        for window in (Window(30, 20, 50, 50), Window(0, 0, 100, 70), Window(33, 33, 3, 3), Window(0, 0, 100, 70)):
            part = window.toslices()
            image_HWC, read_HW = scene.read(window)
            assert np.array_equal(image_HWC, expected_HWC[part])
            assert np.array_equal(read_HW, valid_HW[part])
        assert len(scene.damaged) == 2
        assert scene.damaged[0].startswith(
            f"{tmp_path}/a.tif cannot be read, the file is damaged: block column 2, row 1 (pixel columns 32 to 47, rows"
        )
        assert "block column 6, row 2 (pixel columns 96 to 99, rows 64 to 69)" in scene.damaged[1]


def test_a_truncated_file_is_refused_or_its_missing_blocks_are_left_out(tmp_path: Path) -> None:
    expected_HWC = tiled(tmp_path / "a.tif")
    content = (tmp_path / "a.tif").read_bytes()
    (tmp_path / "a.tif").write_bytes(content[:-200])
    with pytest.raises(PipelineError, match="a.tif is truncated: "):
        read_scene(tmp_path / "a.tif")
    image_HWC, valid_HW = read_scene(tmp_path / "a.tif", on_error="skip")
    assert not valid_HW[69, 99]
    assert valid_HW[:64].all()
    assert np.array_equal(image_HWC, np.where(valid_HW[..., None], expected_HWC, 0))


def test_damage_to_a_band_file_and_to_a_mask_is_left_out(tmp_path: Path) -> None:
    files = [tmp_path / f"{band}.tif" for band in "rgb"]
    for path in files:
        write_geotiff(path, gradient(64, 64)[:1], at(), tiled=True, blockxsize=16, blockysize=16, compress="deflate")
    damage(files[0], (0, 0))
    damage(files[2], (3, 3))
    with open_band_files([str(path) for path in files], ReadOptions(RGB, "skip")) as scene:
        _, valid_HW = scene.read(Window(0, 0, 64, 64))
        assert (~valid_HW).sum() == 2 * 16 * 16
        assert not valid_HW[:16, :16].any()
        assert not valid_HW[48:, 48:].any()
        assert [text.partition(" cannot")[0] for text in scene.damaged] == [str(files[0]), str(files[2])]


def place(path: Path, image_CHW: np.ndarray, **profile: Any) -> Path:
    write_geotiff(path, image_CHW, at(), **profile)
    return path


def described(path: Path, names: list[str]) -> Path:
    """Band k is 1000 * k, all over."""
    values = np.arange(1000, 1000 * len(names) + 1, 1000, np.uint16)
    place(path, np.broadcast_to(values[:, None, None], (len(names), 4, 4)))
    with rasterio.open(path, "r+") as dataset:
        dataset.descriptions = names
    return path


RGB_NIR = ("B04", "B03", "B02", "B08")


@pytest.mark.parametrize(
    ("names", "bands", "values"),
    [
        (["B01", "B02", "B03", "B04"], RGB_NIR[:3], [4000, 3000, 2000]),
        (["B4, central wavelength 665 nm", "B3", "B2", "B8", "B8A"], RGB_NIR[:3], [1000, 2000, 3000]),
        (["b02", "b03", "b04"], RGB_NIR[:3], [3000, 2000, 1000]),
        (["", "", ""], RGB_NIR[:3], [1000, 2000, 3000]),  # in the model's order
        (["B8", "B2", "B3", "B4", "B12"], RGB_NIR, [4000, 3000, 2000, 1000]),
        (["", "", "", ""], RGB_NIR, [1000, 2000, 3000, 4000]),
    ],
)
def test_named_bands_are_found_by_their_descriptions(
    tmp_path: Path, names: list[str], bands: tuple[str, ...], values: list[int]
) -> None:
    image_HWC, _ = read_scene(described(tmp_path / "a.tif", names), Imagery(bands, 1e-4, 0.0, (0.0, 0.5)))
    assert image_HWC[0, 0].tolist() == [round(255 * value / 5000) for value in values]


WIDE = Imagery(("1", "2", "3"), stretch=(0.0, 4000.0))
NAMED = (
    r"the model reads B04, B03, B02 as red, green, blue; extract them in this order \(gdal_translate -b\); with bands"
)


@pytest.mark.parametrize(
    ("image_CHW", "imagery", "message"),
    [
        (gradient(4, 4, 4), REFLECTANCE, rf"a.tif has 4 bands without these descriptions, and {NAMED} in separate"),
        (
            gradient(4, 4),
            WIDE,
            r"would be dark with the model's stretch \[0, 4000\]; .*-ot Float32 -scale 0 255 0 4000$",
        ),
        (
            gradient(4, 4),
            REFLECTANCE,
            r"a.tif is uint8, 0 to 255, and would be dark: the model takes .* 0 to 3000 \(scale",
        ),
        (
            gradient(4, 4, dtype="uint16") + np.uint16(9000),
            REFLECTANCE,
            r"all black or white: its values are 9001 to 9050, and the model takes values from 0 to 3000 \(scale "
            r"0.0001, offset 0\); bring the scene to these: gdal_translate -ot Float32 -scale LOW HIGH 0 3000$",
        ),
        (gradient(4, 4, dtype="float32") / 9000, WIDE, r"all black or white: its values are 0.0001111.* to 0.00"),
        (
            gradient(4, 4, dtype="uint16"),
            Imagery(RGB_NIR, 0.0001, 0.0, (0.0, 0.3)),
            r"a.tif has 3 bands without these descriptions, and the model reads B04, B03, B02 as red, green, blue, "
            r"then B08; extract them .* --bands RED.tif GREEN.tif BLUE.tif B08.tif$",
        ),
    ],
)
def test_values_that_do_not_suit_the_model_are_refused(
    tmp_path: Path, image_CHW: np.ndarray, imagery: Imagery, message: str
) -> None:
    path = place(tmp_path / "a.tif", image_CHW, photometric="MINISBLACK")
    with pytest.raises(PipelineError, match=message) as error:
        read_scene(path, imagery)
    assert "tile." not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_declared_scale_other_than_the_models_is_refused(tmp_path: Path) -> None:
    path = place(tmp_path / "a.tif", gradient(4, 4, dtype="uint16") * 9)
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = (1e-4,) * 3, (-0.1,) * 3
    with pytest.raises(PipelineError, match=r"offset -0.1, and the model has 0.0001 and 0; pass --offset -0.1 if only"):
        read_scene(path, REFLECTANCE)
    with pytest.raises(PipelineError, match=r"are applied; convert the scene .*: gdal_translate -unscale -ot Byte"):
        read_scene(path, RGB)


def test_a_white_cloud_in_the_centre_is_no_reason_to_refuse(tmp_path: Path) -> None:
    image_CHW = np.full((3, 900, 900), 9000, np.uint16)
    image_CHW[:, 3, 3] = 1000
    image_HWC, _ = read_scene(place(tmp_path / "a.tif", image_CHW), REFLECTANCE)
    assert image_HWC[3, 3].tolist() == [85] * 3


def test_an_offset_of_the_user_applies(tmp_path: Path) -> None:
    path = place(tmp_path / "a.tif", np.full((3, 4, 4), 2500, np.uint16))
    assert read_scene(path, Imagery(REFLECTANCE.bands, 1e-4, -0.1, (0.0, 0.3)))[0][0, 0].tolist() == [128] * 3


def test_near_infrared_taken_for_alpha_is_noted(tmp_path: Path) -> None:
    with_nir(tmp_path / "a.tif")
    with open_scene(str(tmp_path / "a.tif"), ReadOptions(RGB)) as scene:
        assert scene.notes == [
            f"{tmp_path}/a.tif: its alpha band is ignored, since it has more than two values, as near infrared has"
        ]


def test_the_identity_follows_the_file_and_its_sidecars(tmp_path: Path) -> None:
    def identity() -> Any:
        with open_scene(str(tmp_path / "a.tif"), ReadOptions(RGB)) as scene:
            return json.loads(json.dumps(scene.identity))

    place(tmp_path / "a.tif", gradient(8, 8))
    first = identity()
    assert identity() == first
    (tmp_path / "a.tif.aux.xml").write_text("<PAMDataset/>")
    second = identity()
    os.utime(tmp_path / "a.tif", ns=(1, 1))
    assert first != second != identity() != first


def one_strip(path: Path, **profile: Any) -> np.ndarray:
    """2,100 x 40 px; GDAL presents a strip of more than 2,000 rows as blocks of one row."""
    image_CHW = np.random.default_rng(0).integers(1, 16, (4, 2100, 40), np.uint8)
    place(path, image_CHW, blockysize=2100, nodata=0, photometric="MINISBLACK", **profile)
    return image_CHW[:3].transpose(1, 2, 0)


def test_a_compressed_strip_is_decoded_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    expected_HWC = one_strip(tmp_path / "a.tif", compress="deflate", interleave="pixel")
    with open_scene(str(tmp_path / "a.tif"), ReadOptions(RGB), check_values=False) as scene:
        assert scene.notes == [
            f"{tmp_path}/a.tif is stored in strips of 2100 rows, each decoded whole; a tiled copy takes less time and "
            f"memory: gdal_translate -co TILED=YES -co COMPRESS=DEFLATE {tmp_path}/a.tif tiled.tif"
        ]
        rows: list[int] = []
        read = FilePixels._read
        monkeypatch.setattr(
            FilePixels, "_read", lambda self, bands, window: rows.append(window.row_off) or read(self, bands, window)
        )
        monkeypatch.setattr(row_buffer, "CHUNK_PIXELS", 40 * 100)
        for top in range(0, 1800, 300):
            for left in (0, 20):
                image_HWC, _ = scene.read(Window(left, top, 20, 400))
                assert np.array_equal(image_HWC, expected_HWC[top : top + 400, left : left + 20])
    assert rows == sorted(set(rows))


@pytest.mark.parametrize("interleave", ["pixel", "band"])
def test_what_follows_damage_in_a_strip_is_left_out_whatever_the_order(tmp_path: Path, interleave: str) -> None:
    one_strip(tmp_path / "a.tif", compress="lzw", interleave=interleave)
    content = bytearray((tmp_path / "a.tif").read_bytes())
    start = len(content) // 2 if interleave == "pixel" else len(content) // 8
    content[start : start + 2000] = b"\xff" * 2000
    (tmp_path / "a.tif").write_bytes(content)
    masks = []
    for tops in (range(0, 2100, 700), (1400, 0, 700)):
        mask_HW = np.zeros((2100, 40), bool)
        with open_scene(str(tmp_path / "a.tif"), ReadOptions(RGB, "skip"), check_values=False) as scene:
            for top in tops:
                _, mask_HW[top : top + 700] = scene.read(Window(0, top, 40, 700))
            assert len(scene.damaged) == 1
        masks.append(mask_HW)
    assert np.array_equal(*masks)
    assert masks[0][:900].all()
    assert not masks[0][1200:].any()


def test_an_uncompressed_strip_is_read_row_by_row(tmp_path: Path) -> None:
    expected_HWC = one_strip(tmp_path / "a.tif", interleave="pixel")
    with open_geotiff(tmp_path / "a.tif") as image:
        assert image.block_shape[0] < 100
        assert not image.is_one_strip
    image_HWC, _ = read_scene(tmp_path / "a.tif")
    assert np.array_equal(image_HWC, expected_HWC)


def test_many_bands_in_one_strip_or_separate_files_are_as_in_one(tmp_path: Path) -> None:
    image_CHW = np.random.default_rng(0).integers(1, 256, (4, 300, 60), np.uint8)
    image_CHW[:, 3:9] = 0
    imagery, windows = Imagery(("1", "2", "3", "4")), [Window(3, 2, 50, 9), Window(0, 11, 60, 20)]
    place(tmp_path / "a.tif", image_CHW, nodata=0, photometric="MINISBLACK")
    place(tmp_path / "strip.tif", image_CHW, nodata=0, photometric="MINISBLACK", blockysize=300, compress="deflate")
    files = [str(place(tmp_path / f"{band}.tif", image_CHW[[band]], nodata=0)) for band in range(4)]
    visible_HW = np.where(np.arange(18000).reshape(300, 60) % 7, 255, 0).astype(np.uint8)
    for path in (tmp_path / "a.tif", tmp_path / "strip.tif", Path(files[1])):
        hide(path, visible_HW)
    with (
        open_scene(str(tmp_path / "a.tif"), ReadOptions(imagery)) as one,
        open_scene(str(tmp_path / "strip.tif"), ReadOptions(imagery)) as strip,
        open_band_files(files, ReadOptions(imagery)) as separate,
    ):
        assert any("stored in strips" in note for note in strip.notes)
        assert separate.georeference == at()
        assert [entry[0] for entry in separate.identity] == files
        for window in windows:
            image_HWC, valid_HW = one.read(window)
            for scene in (strip, separate):
                found_HWC, found_HW = scene.read(window)
                assert np.array_equal(found_HWC, image_HWC)
                assert np.array_equal(found_HW, valid_HW)
        assert one.read(windows[1])[0].shape == (20, 60, 4)
