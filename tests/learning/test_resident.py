"""Chips in memory stay as they were decoded; see test_loaders.py for their batches."""

from pathlib import Path

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.learning.data import Chips
from pipeline.learning.resident import ResidentChips
from tests.learning.world import BRIGHTNESS, chips_folder

CPU = torch.device("cpu")


def two_chips(folder: Path) -> Chips:
    return Chips(folder, ["c00", "c01"], BRIGHTNESS)


def test_a_changed_batch_leaves_the_chips_in_memory_as_they_are(tmp_path: Path) -> None:
    kept = ResidentChips(two_chips(chips_folder(tmp_path / "chips", 2)), "gpu", CPU)
    images, masks = kept.__getitems__([1, 0])
    before = images.clone(), masks.clone()
    images.zero_(), masks.zero_()
    assert all(torch.equal(*pair) for pair in zip(before, kept.__getitems__([1, 0]), strict=True))


def test_a_chip_of_another_size_than_the_others_is_one_line(tmp_path: Path) -> None:
    chips_folder(tmp_path / "other", 2, side=64)
    folder = chips_folder(tmp_path / "chips", 2)
    for kind in ("images", "masks"):
        (tmp_path / "other" / kind / "c01.png").rename(folder / kind / "c01.png")
    with pytest.raises(PipelineError) as error:
        ResidentChips(two_chips(folder), "ram", CPU)
    assert str(error.value) == (
        f"{folder}: the image of c01 has 64 x 64 px and its mask 64 x 64, those of c00 32 x 32; restore the files with "
        "`dvc checkout`"
    )
