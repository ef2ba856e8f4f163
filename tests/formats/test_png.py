from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip
from pipeline.formats.png import read_image, read_mask, save_chip, write_image, write_mask
from tests.world import TWO_CLASSES, gradient

MASK_HW = np.array([[1, 2, 2], [255, 255, 1]], np.uint8)


def test_an_image_is_8_bit_rgb_and_round_trips(tmp_path: Path) -> None:
    image_HWC = gradient(5, 7).transpose(1, 2, 0)
    write_image(tmp_path / "a.png", image_HWC)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "RGB"
        assert image.getpixel((6, 0)) == (1, 7, 50)  # row, column, constant: red, green, blue
    assert np.array_equal(read_image(tmp_path / "a.png"), image_HWC)


def test_a_mask_holds_class_ids_and_the_colours_of_the_table(tmp_path: Path) -> None:
    write_mask(tmp_path / "a.png", MASK_HW, TWO_CLASSES)
    with Image.open(tmp_path / "a.png") as image:
        assert image.mode == "P"
        assert np.array(image).tolist() == MASK_HW.tolist()
        colours = image.convert("RGB")
        assert colours.getpixel((0, 0)) == (0, 255, 127)
        assert colours.getpixel((1, 0)) == (10, 20, 30)
        assert colours.getpixel((0, 1)) == (255, 255, 255)
    assert np.array_equal(read_mask(tmp_path / "a.png"), MASK_HW)


def test_the_same_pixels_give_the_same_bytes(tmp_path: Path) -> None:
    for name in "ab":
        write_image(tmp_path / f"{name}.png", gradient(64, 64).transpose(1, 2, 0))
        write_mask(tmp_path / f"{name}-mask.png", MASK_HW, TWO_CLASSES)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a-mask.png").read_bytes() == (tmp_path / "b-mask.png").read_bytes()


def test_a_chip_is_two_files_and_a_row_with_pixel_counts(tmp_path: Path) -> None:
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    chip = Chip("place_7", "place", row=0, column=3, height=2, width=3)
    row = save_chip(tmp_path, chip, np.zeros((2, 3, 3), np.uint8), MASK_HW, TWO_CLASSES)
    assert {key: row[key] for key in ("id", "scene", "column", "x", "date")} == {
        "id": "place_7",
        "scene": "place",
        "column": 3,
        "x": None,
        "date": None,
    }
    assert (row["pixels_1"], row["pixels_2"], row["pixels_ignored"]) == (2, 2, 2)
    assert sorted(path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.png")) == [
        "images/place_7.png",
        "masks/place_7.png",
    ]


def test_a_png_of_another_mode_is_refused(tmp_path: Path) -> None:
    write_image(tmp_path / "a.png", np.zeros((2, 2, 3), np.uint8))
    with pytest.raises(PipelineError, match=r"a.png is a PNG of mode RGB, not P; another tool changed it"):
        read_mask(tmp_path / "a.png")


def test_a_missing_png_is_reported_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"a.png does not exist, but is listed in chips.csv; run `dvc checkout`"):
        read_image(tmp_path / "a.png")


@pytest.mark.parametrize("keep", [0, 4, 60, -30])
def test_a_damaged_png_is_refused(tmp_path: Path, keep: int) -> None:
    write_image(tmp_path / "a.png", gradient(64, 64).transpose(1, 2, 0))
    (tmp_path / "a.png").write_bytes((tmp_path / "a.png").read_bytes()[:keep])
    with pytest.raises(PipelineError, match=r"a.png cannot be read: .*; run `dvc repro`"):
        read_image(tmp_path / "a.png")


def test_another_format_is_refused_whatever_its_name(tmp_path: Path) -> None:
    Image.new("RGB", (2, 2)).save(tmp_path / "a.png", "GIF")
    with pytest.raises(PipelineError, match=r"a.png cannot be read"):
        read_image(tmp_path / "a.png")
