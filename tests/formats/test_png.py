"""Images, further bands and masks are PNGs that any program reads; changed ones are refused."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip, make_chip_folders
from pipeline.formats.png import read_chip_image, read_image, read_mask, save_chip, write_bands, write_image, write_mask
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


def save(folder: Path, image_HWC: np.ndarray) -> Path:
    make_chip_folders(folder, image_HWC.shape[2])
    mask_HW = np.ones(image_HWC.shape[:2], np.uint8)
    save_chip(folder, Chip("a", "s", 0, 0, *mask_HW.shape), image_HWC, mask_HW, TWO_CLASSES)
    return folder


@given(st.integers(4, 8), st.integers(1, 5), st.integers(1, 5), st.integers(0, 99))
def test_many_bands_round_trip_and_the_first_three_are_an_rgb_chip(
    tmp_path_factory: pytest.TempPathFactory, bands: int, height: int, width: int, seed: int
) -> None:
    image_HWC = np.random.default_rng(seed).integers(0, 256, (height, width, bands), np.uint8)
    many, rgb = (save(tmp_path_factory.mktemp("chips"), image) for image in (image_HWC, image_HWC[..., :3]))
    for name in ("images/a.png", "masks/a.png"):
        assert (many / name).read_bytes() == (rgb / name).read_bytes()
    assert sorted(path.name for path in rgb.iterdir()) == ["images", "masks"]
    assert np.array_equal(read_chip_image(many, "a", bands), image_HWC)
    assert np.array_equal(read_chip_image(rgb, "a", 3), image_HWC[..., :3])


def test_further_bands_are_grey_from_top_to_bottom(tmp_path: Path) -> None:
    save(tmp_path, np.array([[[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]], np.uint8))
    with Image.open(tmp_path / "more_bands/a.png") as image:
        assert (image.mode, np.array(image).tolist()) == ("L", [[4, 9], [5, 10]])


def test_a_missing_or_misshapen_file_of_further_bands_is_refused(tmp_path: Path) -> None:
    path = save(tmp_path, np.zeros((2, 3, 5), np.uint8)) / "more_bands/a.png"
    with pytest.raises(PipelineError, match=r"a.png has 3 x 4 px; 3 further bands of 3 x 2 px are needed; run `dvc"):
        read_chip_image(tmp_path, "a", 6)
    write_image(path, np.zeros((4, 3, 3), np.uint8))
    with pytest.raises(PipelineError, match=r"more_bands/a.png is a PNG of mode RGB, not L; another tool changed it"):
        read_chip_image(tmp_path, "a", 5)
    write_bands(path, np.zeros((2, 3, 1), np.uint8))
    with pytest.raises(PipelineError, match=r"a.png has 3 x 2 px; 2 further bands of 3 x 2 px are needed"):
        read_chip_image(tmp_path, "a", 5)
    path.unlink()
    with pytest.raises(PipelineError, match=r"more_bands/a.png does not exist, but imagery.json lists 5 bands; run `d"):
        read_chip_image(tmp_path, "a", 5)


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
