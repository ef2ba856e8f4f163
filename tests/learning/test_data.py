"""Every chip is read as stored, and lists line by line."""

from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import make_chip_folders
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.formats.png import write_image, write_mask
from pipeline.learning.data import Chips, read_list
from tests.learning.world import BRIGHTNESS, bright_chip, chips_folder

GAPS = ClassTable(classes=tuple(LandCoverClass(id=number, name=str(number), colour=(0, 0, 0)) for number in (1, 3, 7)))


def test_an_image_is_channels_first_and_a_mask_holds_the_index_of_the_class(tmp_path: Path) -> None:
    make_chip_folders(tmp_path)
    image_HWC = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    write_image(tmp_path / "images/a.png", image_HWC)
    write_mask(tmp_path / "masks/a.png", np.array([[1, 3, 7, 255], [0, 2, 1, 1]], np.uint8), GAPS)
    image_CHW, mask_HW = Chips(tmp_path, ["a"], GAPS)[0]
    assert (image_CHW.dtype, mask_HW.dtype) == (torch.uint8, torch.uint8)
    assert np.array_equal(image_CHW, image_HWC.transpose(2, 0, 1))
    assert mask_HW.tolist() == [[0, 1, 2, 255], [255, 255, 0, 0]]  # a value that is not a class id is ignored


def test_an_image_has_the_bands_that_are_asked_for(tmp_path: Path) -> None:
    folder = chips_folder(tmp_path / "chips", 1, bands=5)
    many_CHW, mask_HW = Chips(folder, ["c00"], BRIGHTNESS, 5)[0]
    rgb_CHW, same_HW = Chips(folder, ["c00"], BRIGHTNESS)[0]
    assert (many_CHW.dtype, tuple(many_CHW.shape)) == (torch.uint8, (5, 32, 32))
    assert torch.equal(many_CHW[:3], rgb_CHW)
    assert torch.equal(mask_HW, same_HW)
    assert np.array_equal(many_CHW.permute(1, 2, 0).numpy(), bright_chip(0, 32, 5)[0])


def test_a_list_is_read_line_by_line_and_refused_if_missing_or_empty(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a_1\nmy scene_0\n")
    assert read_list(tmp_path / "train.txt") == ["a_1", "my scene_0"]
    (tmp_path / "val.txt").write_text("\n")
    with pytest.raises(PipelineError, match=r"val\.txt is empty; run the stage split again$"):
        read_list(tmp_path / "val.txt")
    with pytest.raises(PipelineError, match=r"test\.txt does not exist; the stage split writes it: run `dvc repro`$"):
        read_list(tmp_path / "test.txt")
