"""The oracle is the mask of class ids that was painted."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw
from scipy.ndimage import maximum_filter, minimum_filter

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE
from pipeline.importing.raster_masks import import_mask
from pipeline.importing.rules import LabelRules
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.importing.painting import COLOURS, labels, paint, rules, save, save_palette
from tests.png_bytes import write_few_bits
from tests.world import at, hide

IDS = tuple(COLOURS)
MASK_HW = np.random.default_rng(5).choice(IDS, (300, 70)).astype(np.uint8)
masks = arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.sampled_from(IDS))


def refusal(source: Path, table: LabelRules) -> str:
    target = source.parent / "out/refused.tif"
    with pytest.raises(PipelineError) as error:
        import_mask(source, target, table)
    assert "\n" not in str(error.value)
    assert str(error.value).startswith(str(source))
    assert not target.exists()
    return str(error.value).removeprefix(f"{source} ")


@settings(max_examples=40)  # each writes a file
@given(masks, st.sampled_from(["rgb", "rgba", "palette", "rgb tiff", "rgba tiff", "palette tiff"]), st.randoms())
def test_a_painted_mask_is_read_back_exactly(
    tmp_path_factory: pytest.TempPathFactory, mask_HW: np.ndarray, kind: str, random: Any
) -> None:
    folder = tmp_path_factory.mktemp("mask")
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
        write_geotiff(source := folder / "a.tif", (rgba_HWC if "rgba" in kind else rgb_HWC).transpose(2, 0, 1))
    else:
        source = save(folder / "a.png", rgba_HWC if kind == "rgba" else rgb_HWC)
    expected_HW = np.where(hidden_HW, IGNORE, mask_HW) if "rgba" in kind else mask_HW
    np.testing.assert_array_equal(labels(source, rules(masks="colours")), expected_HW)


@settings(max_examples=40)  # each writes a file
@given(masks, st.permutations(IDS), st.booleans())
def test_colours_give_classes_whatever_the_remap(
    tmp_path_factory: pytest.TempPathFactory, mask_HW: np.ndarray, order: list[int], takes_255: bool
) -> None:
    source = save(tmp_path_factory.mktemp("mask") / "a.png", paint(mask_HW))
    remap = dict(zip([*order[1:], 255 if takes_255 else 300], order, strict=True))
    np.testing.assert_array_equal(labels(source, rules(remap=remap | {order[0]: "ignore"})), mask_HW)


@pytest.mark.parametrize("shape", [(1, 1), (256, 3), (300, 70), (513, 260)])
def test_masks_of_several_blocks(tmp_path: Path, shape: tuple[int, int]) -> None:
    mask_HW = np.resize(MASK_HW, shape)
    np.testing.assert_array_equal(labels(save(tmp_path / "a.png", paint(mask_HW)), rules()), mask_HW)
    with open_geotiff(tmp_path / "out/imported.tif") as file:
        assert (file.nodata, file.dtypes) == ((255,), ("uint8",))


def test_a_painted_geotiff_keeps_its_place(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", paint(MASK_HW).transpose(2, 0, 1), at())
    labels(tmp_path / "a.tif", rules())
    with open_geotiff(tmp_path / "out/imported.tif") as file:
        assert file.georeference == at()


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_codes_are_kept_for_remap(tmp_path: Path, dtype: Any) -> None:
    codes_HW = np.array([[0, 40, 80, 255]], dtype) * dtype(1 if dtype == np.uint8 else 200)
    remap = {int(code): id_ for code, id_ in zip(codes_HW[0, 1:], IDS[1:], strict=True)}
    source = save(tmp_path / "a.png", codes_HW)
    assert labels(source, rules(remap=remap)).tolist() == [list(IDS)]
    with open_geotiff(tmp_path / "out/imported.tif") as file:
        assert file.read()[0].tolist() == codes_HW.tolist()
        assert file.nodata == (None,)  # 255 could be a code


@pytest.mark.parametrize("bits", [1, 2, 4])
def test_grey_of_few_bits_is_values(tmp_path: Path, bits: int) -> None:
    mask_HW = MASK_HW % 2**bits % 3
    np.testing.assert_array_equal(labels(write_few_bits(tmp_path / "a.png", mask_HW, bits), rules()), mask_HW)


def test_values_of_an_unknown_class_are_left_to_tile(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", np.array([[0, 99]], np.uint8))
    assert import_mask(source, tmp_path / "a.tif", rules())
    with pytest.raises(PipelineError, match="contains label values outside the class table: 99 in 1 px"):
        labels(source, rules())


@pytest.mark.parametrize("profile", [{}, {"nodata": 7}, {"photometric": "PALETTE"}])
def test_a_geotiff_of_values_is_left_to_be_copied(tmp_path: Path, profile: dict[str, Any]) -> None:
    write_geotiff(tmp_path / "a.tif", MASK_HW[None], **profile)
    assert not import_mask(tmp_path / "a.tif", tmp_path / "b.tif", rules())
    assert not (tmp_path / "b.tif").exists()


def test_transparent_values_are_ignored(tmp_path: Path) -> None:
    alpha_HW = np.where(MASK_HW == 2, 0, 255).astype(np.uint8)
    expected_HW = np.where(MASK_HW == 2, IGNORE, MASK_HW)
    source = save(tmp_path / "a.png", np.dstack([MASK_HW, alpha_HW]))
    np.testing.assert_array_equal(labels(source, rules()), expected_HW)
    write_geotiff(tmp_path / "a.tif", np.stack([MASK_HW, alpha_HW]), alpha="YES")
    np.testing.assert_array_equal(labels(tmp_path / "a.tif", rules()), expected_HW)
    source = save(tmp_path / "b.png", np.dstack([MASK_HW, alpha_HW + (alpha_HW == 0) * np.uint8(9)]))
    assert refusal(source, rules()).startswith("contains pixels that are partly transparent")
    np.testing.assert_array_equal(labels(source, rules(colours={"edges": "ignore"})), expected_HW)


def test_three_equal_bands_are_values_where_told(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", np.dstack([MASK_HW] * 3))
    np.testing.assert_array_equal(labels(source, rules(masks="values")), MASK_HW)
    assert "if its bands hold values, write masks: values" in refusal(source, rules())
    source = save(tmp_path / "b.png", paint(MASK_HW))
    assert refusal(source, rules(masks="values")).startswith(
        "has 3 bands that differ, but classes.yaml contains masks:"
    )


def test_other_counts_of_bands_are_refused(tmp_path: Path) -> None:
    for bands in (2, 4, 5):
        write_geotiff(tmp_path / "a.tif", np.ones((bands, 4, 4), np.uint16))
        assert refusal(tmp_path / "a.tif", rules()).startswith(f"has {bands} bands; a mask has one of values, or red")


# palettes: colours of ids 0, 1, 2; by value they are as they are, by colour as the palette says
RIGHT, SWAPPED, OTHER = [COLOURS[0], COLOURS[1], COLOURS[2]], [COLOURS[0], COLOURS[2], COLOURS[1]], [(1, 2, 3)] * 3
INDEX_HW = np.array([[0, 1, 2, 2]], np.uint8)
SWAPPED_IDS = [[0, 2, 1, 1]]


@pytest.mark.parametrize(
    ("masks", "palette", "add", "remap", "expected"),
    [
        ("auto", RIGHT, 0, {}, INDEX_HW.tolist()),  # both, and equal
        ("auto", OTHER, 0, {}, INDEX_HW.tolist()),  # values only
        ("auto", [*OTHER, *SWAPPED], 3, {}, SWAPPED_IDS),  # colours only
        ("auto", SWAPPED, 0, {}, "can be read in two ways"),
        ("auto", SWAPPED, 0, {1: 2, 2: 1}, SWAPPED_IDS),  # both, and equal by the remap
        ("auto", RIGHT, 0, {1: 2, 2: 1}, "can be read in two ways"),
        ("values", SWAPPED, 0, {}, INDEX_HW.tolist()),
        ("colours", SWAPPED, 0, {}, SWAPPED_IDS),
        ("colours", OTHER, 0, {}, "contains colours of no class in 4 px"),
    ],
)
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_a_palette_is_read_as_values_or_colours(
    tmp_path: Path, masks: str, palette: Any, add: int, remap: Any, expected: Any, ending: str
) -> None:
    source = tmp_path / f"a.{ending}"
    if ending == "png":
        save_palette(source, INDEX_HW + add, palette)
    else:
        write_geotiff(source, INDEX_HW[None] + np.uint8(add), at(), photometric="PALETTE")
        with rasterio.open(source, "r+") as dataset:
            dataset.write_colormap(1, dict(enumerate(palette)))
    table = rules(masks=masks, remap=remap)
    if isinstance(expected, str):
        assert expected in refusal(source, table)
    else:
        assert labels(source, table).tolist() == expected


def test_two_ways_are_named(tmp_path: Path) -> None:
    source = save_palette(tmp_path / "a.png", INDEX_HW, SWAPPED)
    assert refusal(source, rules()) == (
        "has a palette that can be read in two ways: value 1 is 'class 1' in classes.yaml, and its colour "
        "[0, 160, 0] is 'class 2'; write masks: values, or masks: colours, in classes.yaml"
    )


def test_a_palette_of_neither_is_left_to_tile_as_values(tmp_path: Path) -> None:
    source = save_palette(tmp_path / "a.png", INDEX_HW + 3, [*OTHER, *OTHER])
    with pytest.raises(PipelineError, match="outside the class table: 3 in 1 px, 4 in 1 px, 5 in 2 px"):
        labels(source, rules())


@pytest.mark.parametrize(
    ("masks", "transparency", "expected"),
    [
        ("colours", 2, [0, 1, 255, 255]),
        ("colours", bytes([0, 255, 0]), [255, 1, 255, 255]),
        ("values", 2, [0, 1, 2, 2]),  # as with declared no-data, a class is kept
        ("values", bytes([0, 255, 0]), [0, 1, 2, 2]),
    ],
)
def test_transparent_colours_of_a_palette(tmp_path: Path, masks: str, transparency: Any, expected: Any) -> None:
    source = save_palette(tmp_path / "a.png", INDEX_HW, RIGHT, transparency=transparency)
    assert labels(source, rules(masks=masks)).tolist() == [expected]


@pytest.mark.parametrize("transparency", [2, bytes([255, 255, 0, 0])])
def test_transparent_values_that_are_no_class_are_ignored(tmp_path: Path, transparency: Any) -> None:
    source = save_palette(tmp_path / "a.png", INDEX_HW, [*RIGHT, (0, 0, 0)], transparency=transparency)
    colours = {id_: colour for id_, colour in COLOURS.items() if id_ != 2}
    assert labels(source, rules(colours)).tolist() == [[0, 1, 255, 255]]


def test_two_classes_of_one_colour_are_refused_where_colours_are_needed(tmp_path: Path) -> None:
    table = rules(COLOURS | {9: COLOURS[1]})
    text = "is painted, but the classes 'class 1' and 'class 9' of classes.yaml have one colour, [255, 0, 0]"
    assert refusal(save(tmp_path / "a.png", paint(MASK_HW)), table).startswith(text)
    assert labels(save_palette(tmp_path / "b.png", INDEX_HW, RIGHT), table).tolist() == INDEX_HW.tolist()


def test_colours_are_missed_where_told_to_read_them(tmp_path: Path) -> None:
    source = save(tmp_path / "a.png", MASK_HW)
    assert refusal(source, rules(masks="colours")).startswith(
        "has no colours, but classes.yaml contains masks: colours"
    )


def test_a_painted_mask_has_8_bits(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", paint(MASK_HW).transpose(2, 0, 1).astype(np.uint16))
    assert refusal(tmp_path / "a.tif", rules()).startswith("has colours of type uint16; save the mask with 8 bits")


def test_a_mask_with_an_orientation_is_refused(tmp_path: Path) -> None:
    exif = Image.Exif()
    exif[0x0112] = 3
    assert refusal(save(tmp_path / "a.png", MASK_HW, exif=exif), rules()).startswith(
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
    source = save(tmp_path / "a.jpg", paint(MASK_HW))
    text = "is JPEG-compressed, which invents values along the edges of classes; save it as PNG from its source"
    assert refusal(source, rules()).startswith(f"{text}, or write in classes.yaml how far colours may be off")
    grey = save(tmp_path / "b.jpg", MASK_HW)
    assert refusal(grey, rules(colours={"tolerance": 9})) == text
    write_geotiff(tmp_path / "a.tif", paint(MASK_HW).transpose(2, 0, 1), compress="JPEG", photometric="YCBCR")
    assert refusal(tmp_path / "a.tif", rules()).startswith(text)


def test_a_jpeg_within_the_tolerance_is_read(tmp_path: Path) -> None:
    mask_HW = np.repeat(np.repeat(MASK_HW[:32, :16], 16, 0), 16, 1)  # in whole blocks of JPEG
    source = save(tmp_path / "a.jpg", paint(mask_HW), quality=80, subsampling=0)
    np.testing.assert_array_equal(labels(source, rules(colours={"tolerance": 12})), mask_HW)


def test_a_jpeg_with_edges_is_read_elsewhere(tmp_path: Path) -> None:
    mask_HW = blobs()
    source = save(tmp_path / "a.jpg", paint(mask_HW), quality=90)
    read_HW = labels(source, rules(colours={"tolerance": 64, "edges": "ignore"}))
    assert is_edge(mask_HW, 2)[read_HW != mask_HW].all()
    text = refusal(source, rules(colours={"tolerance": 20, "edges": "ignore"}))
    assert "raise the tolerance of 20 in classes.yaml (up to 79, no colour is within that of two classes), or" in text


@settings(max_examples=40)  # each writes a file
@given(masks, st.integers(0, 40), st.integers(0, 10**6))
def test_noise_within_the_tolerance_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, mask_HW: np.ndarray, tolerance: int, seed: int
) -> None:
    noise_HWC = np.random.default_rng(seed).integers(-tolerance, tolerance + 1, (*mask_HW.shape, 3))
    noisy_HWC = np.clip(paint(mask_HW) + noise_HWC, 0, 255).astype(np.uint8)
    source = save(tmp_path_factory.mktemp("mask") / "a.png", noisy_HWC)
    np.testing.assert_array_equal(labels(source, rules(colours={"tolerance": tolerance})), mask_HW)


def blobs(scale: int = 1, size: int = 300) -> np.ndarray:
    """Class ids: 1, 2 and 7 on 0, touching each other, drawn `scale` times as large."""
    image = Image.new("L", (size * scale, size * scale))
    draw = ImageDraw.Draw(image)
    box = [10 * scale, 20 * scale, 180 * scale, 290 * scale]
    draw.ellipse(box, fill=1)
    draw.polygon([(x * scale, y * scale) for x, y in ((90, 60), (290, 10), (250, 280))], fill=2)
    draw.ellipse([120 * scale, 130 * scale, 280 * scale, 240 * scale], fill=7)
    return np.asarray(image)


def is_edge(mask_HW: np.ndarray, reach: int) -> np.ndarray:
    """Whether there are two classes within `reach` px."""
    return maximum_filter(mask_HW, 2 * reach + 1) != minimum_filter(mask_HW, 2 * reach + 1)


@pytest.mark.parametrize("resample", [Image.Resampling.BOX, Image.Resampling.BILINEAR])
@pytest.mark.parametrize("ending", ["png", "tif"])
def test_antialiased_edges_are_ignored_by_choice(tmp_path: Path, resample: Any, ending: str) -> None:
    source, mask_HW = tmp_path / f"a.{ending}", blobs(4)[2::4, 2::4]
    drawn_HWC = np.asarray(Image.fromarray(paint(blobs(4))).resize((300, 300), resample))
    if ending == "png":
        save(source, drawn_HWC)
    else:
        write_geotiff(source, drawn_HWC.transpose(2, 0, 1))
    read_HW = labels(source, rules(colours={"edges": "ignore"}))
    assert is_edge(mask_HW, 2)[read_HW == IGNORE].all()
    assert (read_HW == mask_HW)[~is_edge(mask_HW, 2)].all()
    assert (read_HW == mask_HW)[read_HW != IGNORE].all()
    assert 0.01 < (read_HW == IGNORE).mean() < 0.05
    assert "if they are antialiased edges, write in classes.yaml: colours: {edges: ignore}" in refusal(source, rules())


def test_a_colour_away_from_edges_is_refused_although_it_is_a_blend(tmp_path: Path) -> None:
    rgb_HWC = paint(np.repeat([[0] * 20 + [1] * 20], 40, 0).astype(np.uint8))
    rgb_HWC[10:14, 5] = 128, 0, 0
    rgb_HWC[20, 20] = 128, 0, 0
    text = refusal(save(tmp_path / "a.png", rgb_HWC), rules(colours={"edges": "ignore"}))
    assert text.startswith(
        "contains colours of no class in 4 px: [128, 0, 0] in 4 px, nearest 'class 1' [255, 0, 0], 127"
    )


def test_a_colour_beside_an_edge_is_refused_unless_it_is_a_blend(tmp_path: Path) -> None:
    rgb_HWC = paint(np.repeat([[0] * 20 + [1] * 20], 40, 0).astype(np.uint8))
    rgb_HWC[20, 20] = 128, 0, 90
    text = refusal(save(tmp_path / "a.png", rgb_HWC), rules(colours={"edges": "ignore"}))
    assert text.startswith("contains colours of no class in 1 px: [128, 0, 90] in 1 px")


def test_edges_are_found_across_blocks(tmp_path: Path) -> None:
    mask_HW = np.repeat([0] * 255 + [1] * 45, 10).reshape(300, 10).astype(np.uint8)
    for row in range(253, 258):  # blocks meet at row 256
        rgb_HWC = paint(mask_HW)
        rgb_HWC[row] = 100, 0, 0
        read_HW = labels(save(tmp_path / f"{row}.png", rgb_HWC), rules(colours={"edges": "ignore"}), f"{row}.tif")
        np.testing.assert_array_equal(read_HW, np.where(np.arange(300)[:, None] == row, IGNORE, mask_HW))


def test_partly_transparent_pixels_are_edges(tmp_path: Path) -> None:
    alpha_HW = np.full(MASK_HW.shape, 255, np.uint8)
    alpha_HW[100, 3:9], alpha_HW[200] = 99, 0
    source = save(tmp_path / "a.png", np.dstack([paint(MASK_HW), alpha_HW]))
    expected_HW = np.where(alpha_HW == 255, MASK_HW, IGNORE)
    np.testing.assert_array_equal(labels(source, rules(colours={"edges": "ignore"})), expected_HW)
    assert refusal(source, rules()).startswith("contains 6 px that are partly transparent, as along antialiased edges")


GREYS = {0: (0, 0, 0), 1: (128, 128, 128), 2: (255, 255, 255)}


def test_an_edge_is_not_taken_for_the_class_whose_colour_it_has(tmp_path: Path) -> None:
    mask_HW = np.repeat([[0] * 10 + [1] * 10 + [2] * 10], 30, 0).astype(np.uint8)
    mask_HW[15:] = [0] * 15 + [2] * 15
    rgb_HWC = paint(mask_HW, GREYS)
    rgb_HWC[17:, 15] = 128  # between black and white
    expected_HW = mask_HW.copy()
    expected_HW[17:, 15] = IGNORE
    read_HW = labels(save(tmp_path / "a.png", rgb_HWC), rules(GREYS, colours={"edges": "ignore"}))
    np.testing.assert_array_equal(read_HW, expected_HW)


def test_unknown_colours_are_counted_over_the_file_and_the_nearest_class_named(tmp_path: Path) -> None:
    rgb_HWC = paint(MASK_HW)
    rgb_HWC[10:270, 3] = 250, 4, 0
    rgb_HWC[299, 5:8] = 0, 150, 3
    text = refusal(save(tmp_path / "a.png", rgb_HWC), rules())
    assert text == (
        "contains colours of no class in 263 px: [250, 4, 0] in 260 px, nearest 'class 1' [255, 0, 0], 5 off; "
        "[0, 150, 3] in 3 px, nearest 'class 2' [0, 160, 0], 10 off: if they are the colours of classes, changed by "
        "compression, write in classes.yaml: colours: {tolerance: 10}; else add them to its classes"
    )
    pasted = int(re.findall(r"tolerance: (\d+)", text)[0])
    assert (labels(tmp_path / "a.png", rules(colours={"tolerance": pasted}))[10:270, 3] == 1).all()


def test_a_missing_class_is_to_be_added(tmp_path: Path) -> None:
    rgb_HWC = paint(MASK_HW)
    for row in range(5):
        rgb_HWC[row] = 250, 250, 10 * row
    text = refusal(save(tmp_path / "a.png", rgb_HWC), rules())
    assert " and 2 more: add them to the classes of classes.yaml, or correct the colours there" in text
    assert "[250, 250, 0] in 70 px, nearest 'class 7' [10, 20, 230], 240 off" in text


def test_a_colour_between_two_classes_is_not_guessed(tmp_path: Path) -> None:
    table = rules({0: (0, 0, 0), 1: (20, 0, 0)}, colours={"tolerance": 15})
    read = save(tmp_path / "a.png", np.array([[[9, 0, 0], [11, 0, 0]]], np.uint8))
    assert labels(read, table).tolist() == [[0, 1]]
    source = save(tmp_path / "b.png", np.array([[[10, 0, 0], [11, 0, 0]]], np.uint8))
    assert refusal(source, table).startswith("contains colours of no class in 1 px: [10, 0, 0] in 1 px, nearest")
