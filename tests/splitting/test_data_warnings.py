"""What a person should know before a training is said in one line each."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from pipeline.formats.chips import make_chip_folders
from pipeline.formats.png import write_image, write_mask
from pipeline.splitting.alignment import REACH
from pipeline.splitting.data_warnings import data_warnings
from tests.splitting.test_alignment import Pairs, fields
from tests.splitting.world import grid
from tests.world import TWO_CLASSES

PARTS = ["train"] * 8 + ["val"] * 2 + ["test"] * 2


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    save(tmp_path, fields(12))
    return tmp_path


def save(folder: Path, pairs: Pairs) -> None:
    make_chip_folders(folder)
    for number, (image_HWC, mask_HW) in enumerate(pairs):
        write_image(folder / f"images/s_0_{number}.png", image_HWC)
        write_mask(folder / f"masks/s_0_{number}.png", mask_HW, TWO_CLASSES)


def chips(pixels_1: list[int], pixels_2: list[int]) -> pd.DataFrame:
    return grid("s", 1, 12).assign(part=PARTS, pixels_1=pixels_1, pixels_2=pixels_2)


def test_good_chips_give_no_warning(folder: Path) -> None:
    assert list(data_warnings(folder, chips([10] * 12, [5] * 12), TWO_CLASSES)) == []


def test_a_class_that_a_part_lacks_is_named(folder: Path) -> None:
    first, second = TWO_CLASSES.names
    assert list(data_warnings(folder, chips([10] * 12, [5] * 8 + [0] * 2 + [5] * 2), TWO_CLASSES)) == [
        f"val has no pixel of {second}: these classes do not count there"
    ]
    assert list(data_warnings(folder, chips([0] * 8 + [9] * 4, [5] * 10 + [0] * 2), TWO_CLASSES)) == [
        f"train has no pixel of {first}: these classes cannot be learned",
        f"test has no pixel of {second}: these classes have no score",
    ]


def test_a_class_without_any_pixel_and_one_with_nearly_all_are_named(folder: Path) -> None:
    first, second = TWO_CLASSES.names
    lines = list(data_warnings(folder, chips([10] * 12, [0] * 12), TWO_CLASSES))
    assert lines == [
        f"no chip has a pixel of {second}",
        f"100.0 % of the labelled pixels are {first}: a model that predicts nothing else scores well",
    ]
    assert list(data_warnings(folder, chips([97] * 12, [3] * 12), TWO_CLASSES)) == []


def test_the_largest_shift_that_is_looked_for_may_be_exceeded(tmp_path: Path) -> None:
    save(tmp_path, fields(12, (REACH, 0)))
    (line,) = data_warnings(tmp_path, chips([10] * 12, [5] * 12), TWO_CLASSES)
    assert f"shifted by {REACH} px or more right: " in line


def test_shifted_masks_are_reported(tmp_path: Path) -> None:
    save(tmp_path, [(image, np.roll(mask, (7, -5), (0, 1))) for image, mask in fields(12)])
    (line,) = data_warnings(tmp_path, chips([10] * 12, [5] * 12), TWO_CLASSES)
    assert line == (
        "masks seem to be shifted by 5 px left and 7 px below: their borders fit the images best when moved back"
    )
