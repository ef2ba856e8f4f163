"""Painted masks and masks of values are read as the class ids that were painted, in every format."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from pipeline.formats.classes import IGNORE
from pipeline.importing.raster_masks import import_mask
from pipeline.raster.georeference import UNKNOWN
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.importing.painting import COLOURS, IDS, MASK_HW, labels, masks, paint, refusal, rules, save_palette
from tests.importing.world import write_picture
from tests.png_bytes import write_few_bits
from tests.world import at, hide


@settings(max_examples=40)  # each writes a file
@given(masks, st.sampled_from(["rgb", "rgba", "palette", "rgb tiff", "rgba tiff", "palette tiff"]), st.randoms())
def test_a_painted_mask_is_read_back_exactly_whatever_the_remap(
    tmp_path_factory: pytest.TempPathFactory, mask_HW: np.ndarray, kind: str, random: Any
) -> None:
    folder = tmp_path_factory.mktemp("mask")
    first, *others = random.sample(IDS, len(IDS))
    remap = dict(zip([*others, random.choice([255, 300])], [first, *others], strict=True)) | {first: "ignore"}
    order = random.sample(range(256), 256)  # of the palette
    index_HW = np.array(order, np.uint8)[mask_HW]
    hidden_HW = mask_HW == 7
    rgb_HWC = paint(mask_HW)
    rgba_HWC = np.dstack([rgb_HWC, np.where(hidden_HW, 0, 255).astype(np.uint8)])
    palette = [(1, 2, 3)] * 256
    for id_, colour in COLOURS.items():
        palette[order[id_]] = colour
    if kind == "palette":
        source = save_palette(folder / "a.png", index_HW, palette)
    elif kind == "palette tiff":
        write_geotiff(folder / "a.tif", index_HW[None], at(), photometric="PALETTE")
        with rasterio.open(source := folder / "a.tif", "r+") as dataset:
            dataset.write_colormap(1, dict(enumerate(palette)))
    elif "tiff" in kind:
        write_geotiff(source := folder / "a.tif", (rgba_HWC if "rgba" in kind else rgb_HWC).transpose(2, 0, 1), at())
    else:
        source = write_picture(folder / "a.png", rgba_HWC if kind == "rgba" else rgb_HWC)
    expected_HW = np.where(hidden_HW, IGNORE, mask_HW) if "rgba" in kind else mask_HW
    np.testing.assert_array_equal(labels(source, rules(masks="colours", remap=remap)), expected_HW)
    with open_geotiff(folder / "out/imported.tif") as file:
        assert file.georeference == (at() if "tiff" in kind else UNKNOWN)


@pytest.mark.parametrize("shape", [(1, 1), (256, 3), (300, 70), (513, 260)])
def test_masks_of_several_blocks(tmp_path: Path, shape: tuple[int, int]) -> None:
    mask_HW = np.resize(MASK_HW, shape)
    np.testing.assert_array_equal(labels(write_picture(tmp_path / "a.png", paint(mask_HW)), rules()), mask_HW)
    with open_geotiff(tmp_path / "out/imported.tif") as file:
        assert (file.nodata, file.dtypes) == ((255,), ("uint8",))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_codes_are_kept_for_remap(tmp_path: Path, dtype: Any) -> None:
    codes_HW = np.array([[0, 40, 80, 255]], dtype) * dtype(1 if dtype == np.uint8 else 200)
    remap = {int(code): id_ for code, id_ in zip(codes_HW[0, 1:], IDS[1:], strict=True)}
    source = write_picture(tmp_path / "a.png", codes_HW)
    assert labels(source, rules(remap=remap)).tolist() == [list(IDS)]
    with open_geotiff(tmp_path / "out/imported.tif") as file:
        assert file.read()[0].tolist() == codes_HW.tolist()
        assert file.nodata == (None,)  # 255 could be a code


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_values(tmp_path: Path, bits: int) -> None:
    mask_HW = MASK_HW % 2**bits % 3
    np.testing.assert_array_equal(labels(write_few_bits(tmp_path / "a.png", mask_HW, bits), rules()), mask_HW)


@pytest.mark.parametrize("profile", [{}, {"nodata": 7}, {"photometric": "PALETTE"}])
def test_a_geotiff_of_values_is_left_to_be_copied(tmp_path: Path, profile: dict[str, Any]) -> None:
    write_geotiff(tmp_path / "a.tif", MASK_HW[None], **profile)
    assert not import_mask(tmp_path / "a.tif", tmp_path / "b.tif", rules())
    assert not (tmp_path / "b.tif").exists()


def test_transparent_values_are_ignored(tmp_path: Path) -> None:
    alpha_HW = np.where(MASK_HW == 2, 0, 255).astype(np.uint8)
    expected_HW = np.where(MASK_HW == 2, IGNORE, MASK_HW)
    source = write_picture(tmp_path / "a.png", np.dstack([MASK_HW, alpha_HW]))
    np.testing.assert_array_equal(labels(source, rules()), expected_HW)
    write_geotiff(tmp_path / "a.tif", np.stack([MASK_HW, alpha_HW]), alpha="YES")
    np.testing.assert_array_equal(labels(tmp_path / "a.tif", rules()), expected_HW)
    source = write_picture(tmp_path / "b.png", np.dstack([MASK_HW, alpha_HW + (alpha_HW == 0) * np.uint8(9)]))
    assert refusal(source, rules()).startswith("contains pixels that are partly transparent")
    np.testing.assert_array_equal(labels(source, rules(colours={"edges": "ignore"})), expected_HW)


def test_a_painted_mask_has_8_bits(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", paint(MASK_HW).transpose(2, 0, 1).astype(np.uint16))
    assert refusal(tmp_path / "a.tif", rules()).startswith("has colours of type uint16; save the mask with 8 bits")


def test_a_mask_with_an_orientation_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    assert refusal(write_picture(tmp_path / "a.png", MASK_HW, exif=exif), rules()).startswith(
        "has EXIF orientation 3; a mask is"
    )


def test_hidden_and_no_data_pixels_of_a_painted_geotiff_are_ignored(tmp_path: Path) -> None:
    rgb_CHW = paint(MASK_HW).transpose(2, 0, 1).copy()
    rgb_CHW[:, :5], rgb_CHW[:, 5:9] = 200, 77
    expected_HW = MASK_HW.copy()
    expected_HW[:9] = IGNORE
    write_geotiff(tmp_path / "a.tif", rgb_CHW, at(), nodata=200)
    hide(tmp_path / "a.tif", np.where(np.arange(300)[:, None] < 9, 0, 255).astype(np.uint8) * np.ones_like(MASK_HW))
    np.testing.assert_array_equal(labels(tmp_path / "a.tif", rules()), expected_HW)
    write_geotiff(tmp_path / "b.tif", rgb_CHW[:, :5], nodata=200)
    assert (labels(tmp_path / "b.tif", rules()) == IGNORE).all()


def test_no_data_in_the_colour_of_a_class_is_refused(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", paint(MASK_HW).transpose(2, 0, 1), nodata=0)
    assert refusal(tmp_path / "a.tif", rules()).startswith(
        "declares 0 as no-data, but [0, 0, 0] is the colour of 'class 0'"
    )
    rgb_CHW = paint(MASK_HW[MASK_HW > 0][None]).transpose(2, 0, 1)
    write_geotiff(tmp_path / "b.tif", rgb_CHW, nodata=0)
    assert labels(tmp_path / "b.tif", rules()).tolist() == [MASK_HW[MASK_HW > 0].tolist()]


def test_jpeg_is_refused_without_a_tolerance(tmp_path: Path) -> None:
    source = write_picture(tmp_path / "a.jpg", paint(MASK_HW))
    text = "is JPEG-compressed, which invents values along the edges of classes; save it as PNG from its source"
    assert refusal(source, rules()).startswith(f"{text}, or write in classes.yaml how far colours may be off")
    grey = write_picture(tmp_path / "b.jpg", MASK_HW)
    assert refusal(grey, rules(colours={"tolerance": 9})) == text
    write_geotiff(tmp_path / "a.tif", paint(MASK_HW).transpose(2, 0, 1), compress="JPEG", photometric="YCBCR")
    assert refusal(tmp_path / "a.tif", rules()).startswith(text)


def test_three_equal_bands_of_floats_keep_their_no_data(tmp_path: Path) -> None:
    values_HW = np.array([[0, 1], [7, -9999]], np.float32)
    write_geotiff(source := tmp_path / "a.tif", np.stack([values_HW] * 3), at(), nodata=-9999)
    np.testing.assert_array_equal(labels(source, rules(masks="values")), [[0, 1], [7, IGNORE]])
