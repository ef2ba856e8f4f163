"""A mask with a palette is read as values or as colours, as fits; where both fit, the user is asked."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipeline.core.errors import PipelineError
from pipeline.raster.geotiff import write_geotiff
from tests.importing.painting import COLOURS, MASK_HW, labels, paint, refusal, rules, save_palette
from tests.importing.world import write_picture
from tests.world import at


def test_three_equal_bands_are_values_where_told(tmp_path: Path) -> None:
    source = write_picture(tmp_path / "a.png", np.dstack([MASK_HW] * 3))
    np.testing.assert_array_equal(labels(source, rules(masks="values")), MASK_HW)
    assert "if its bands hold values, write masks: values" in refusal(source, rules())
    source = write_picture(tmp_path / "b.png", paint(MASK_HW))
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
        (
            "auto",
            SWAPPED,
            0,
            {},
            "has a palette that can be read in two ways: value 1 is 'class 1' in classes.yaml, and its colour "
            "[0, 160, 0] is 'class 2'; write masks: values, or masks: colours, in classes.yaml",
        ),
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


def test_a_palette_of_neither_is_left_to_tile_as_values(tmp_path: Path) -> None:
    source = save_palette(tmp_path / "a.png", INDEX_HW + 3, [*OTHER, *OTHER])
    with pytest.raises(PipelineError, match="outside the class table: 3 in 1 px, 4 in 1 px, 5 in 2 px"):
        labels(source, rules())


def test_two_classes_of_one_colour_are_refused_where_colours_are_needed(tmp_path: Path) -> None:
    table = rules(COLOURS | {9: COLOURS[1]})
    text = "is painted, but the classes 'class 1' and 'class 9' of classes.yaml have one colour, [255, 0, 0]"
    assert refusal(write_picture(tmp_path / "a.png", paint(MASK_HW)), table).startswith(text)
    assert labels(save_palette(tmp_path / "b.png", INDEX_HW, RIGHT), table).tolist() == INDEX_HW.tolist()


def test_colours_are_missed_where_told_to_read_them(tmp_path: Path) -> None:
    source = write_picture(tmp_path / "a.png", MASK_HW)
    assert refusal(source, rules(masks="colours")).startswith(
        "has no colours, but classes.yaml contains masks: colours"
    )
