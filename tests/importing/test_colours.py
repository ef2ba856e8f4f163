"""Antialiased edges, JPEG noise and unknown colours of painted masks: what is read, ignored or refused."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw
from scipy.ndimage import maximum_filter, minimum_filter

from pipeline.formats.classes import IGNORE
from pipeline.raster.geotiff import write_geotiff
from tests.importing.painting import MASK_HW, labels, masks, paint, refusal, rules
from tests.importing.world import write_picture


def test_a_jpeg_with_edges_is_read_elsewhere(tmp_path: Path) -> None:
    mask_HW = blobs()
    source = write_picture(tmp_path / "a.jpg", paint(mask_HW), quality=90)
    read_HW = labels(source, rules(colours={"tolerance": 64, "edges": "ignore"}))
    assert is_edge(mask_HW, 2)[read_HW != mask_HW].all()
    text = refusal(source, rules(colours={"tolerance": 20, "edges": "ignore"}))
    assert "raise the tolerance of 20 in classes.yaml (up to 79, no colour is within that of two classes), or" in text


@settings(max_examples=20)  # each fills a table of 16 million colours
@given(masks, st.integers(0, 40), st.integers(0, 10**6))
def test_noise_within_the_tolerance_changes_nothing(
    tmp_path_factory: pytest.TempPathFactory, mask_HW: np.ndarray, tolerance: int, seed: int
) -> None:
    noise_HWC = np.random.default_rng(seed).integers(-tolerance, tolerance + 1, (*mask_HW.shape, 3))
    noisy_HWC = np.clip(paint(mask_HW) + noise_HWC, 0, 255).astype(np.uint8)
    source = write_picture(tmp_path_factory.mktemp("mask") / "a.png", noisy_HWC)
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
        write_picture(source, drawn_HWC)
    else:
        write_geotiff(source, drawn_HWC.transpose(2, 0, 1))
    read_HW = labels(source, rules(colours={"edges": "ignore"}))
    assert is_edge(mask_HW, 2)[read_HW == IGNORE].all()
    assert (read_HW == mask_HW)[~is_edge(mask_HW, 2)].all()
    assert (read_HW == mask_HW)[read_HW != IGNORE].all()
    assert 0.01 < (read_HW == IGNORE).mean() < 0.05
    assert "if they are antialiased edges, write in classes.yaml: colours: {edges: ignore}" in refusal(source, rules())


@pytest.mark.parametrize(
    ("painted", "refused"),
    [
        (((slice(10, 14), 5, [128, 0, 0]), (20, 20, [128, 0, 0])), "4 px: [128, 0, 0] in 4 px, nearest 'class 1'"),
        (((20, 20, [128, 0, 90]),), "1 px: [128, 0, 90] in 1 px"),
    ],
)
def test_an_edge_is_a_mixture_of_colours_beside_it(tmp_path: Path, painted: Any, refused: str) -> None:
    """Not one away from an edge, nor another colour beside one."""
    rgb_HWC = paint(np.repeat([[0] * 20 + [1] * 20], 40, 0).astype(np.uint8))
    for row, column, colour in painted:
        rgb_HWC[row, column] = colour
    text = refusal(write_picture(tmp_path / "a.png", rgb_HWC), rules(colours={"edges": "ignore"}))
    assert text.startswith(f"contains colours of no class in {refused}")


@pytest.mark.parametrize(("width", "refused"), [(4, 0), (5, 300), (7, 900)])
def test_a_band_of_a_mixture_is_an_edge_up_to_four_pixels(tmp_path: Path, width: int, refused: int) -> None:
    rgb_HWC = paint(np.repeat([[0] * 20 + [1] * 20], 300, 0).astype(np.uint8))
    rgb_HWC[:, 20 : 20 + width] = 128, 0, 0
    source, table = write_picture(tmp_path / "a.png", rgb_HWC), rules(colours={"edges": "ignore"})
    if refused:
        assert refusal(source, table).startswith(f"contains colours of no class in {refused} px: [128, 0, 0]")
    else:
        assert (labels(source, table) == IGNORE).sum() == 300 * width


def test_edges_are_found_across_blocks(tmp_path: Path) -> None:
    mask_HW = np.repeat([0] * 255 + [1] * 45, 10).reshape(300, 10).astype(np.uint8)
    for row in range(253, 258):  # blocks meet at row 256
        rgb_HWC = paint(mask_HW)
        rgb_HWC[row] = 100, 0, 0
        read_HW = labels(
            write_picture(tmp_path / f"{row}.png", rgb_HWC), rules(colours={"edges": "ignore"}), f"{row}.tif"
        )
        np.testing.assert_array_equal(read_HW, np.where(np.arange(300)[:, None] == row, IGNORE, mask_HW))


def test_partly_transparent_pixels_are_edges(tmp_path: Path) -> None:
    alpha_HW = np.full(MASK_HW.shape, 255, np.uint8)
    alpha_HW[100, 3:9], alpha_HW[200] = 99, 0
    source = write_picture(tmp_path / "a.png", np.dstack([paint(MASK_HW), alpha_HW]))
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
    read_HW = labels(write_picture(tmp_path / "a.png", rgb_HWC), rules(GREYS, colours={"edges": "ignore"}))
    np.testing.assert_array_equal(read_HW, expected_HW)


def test_unknown_colours_are_counted_over_the_file_and_the_nearest_class_named(tmp_path: Path) -> None:
    rgb_HWC = paint(MASK_HW)
    rgb_HWC[10:270, 3] = 250, 4, 0
    rgb_HWC[299, 5:8] = 0, 150, 3
    text = refusal(write_picture(tmp_path / "a.png", rgb_HWC), rules())
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
    text = refusal(write_picture(tmp_path / "a.png", rgb_HWC), rules(colours={"tolerance": 3}))
    assert " and 2 more: add them to the classes of classes.yaml, or correct the colours there" in text
    assert "[250, 250, 0] in 70 px, nearest 'class 7' [10, 20, 230], 240 off" in text


def test_a_colour_between_two_classes_is_not_guessed(tmp_path: Path) -> None:
    table = rules({0: (0, 0, 0), 1: (20, 0, 0)}, colours={"tolerance": 15})
    read = write_picture(tmp_path / "a.png", np.array([[[9, 0, 0], [11, 0, 0]]], np.uint8))
    assert labels(read, table).tolist() == [[0, 1]]
    text = refusal(write_picture(tmp_path / "b.png", np.array([[[10, 0, 0], [11, 0, 0]]], np.uint8)), table)
    assert text.startswith("contains colours of no class in 1 px: [10, 0, 0] in 1 px, nearest")
    assert text.endswith("lower the tolerance of 15 in classes.yaml to at most 9, or add them to its classes")
