"""Every chip is read as stored and drawn once a pass, whatever the devices, workers and interruptions."""

from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import SequentialSampler

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import make_chip_folders
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.formats.png import write_image, write_mask
from pipeline.learning.data import (
    BatchPlan,
    Chips,
    MicroBatchSampler,
    Shuffle,
    Stream,
    generator,
    read_list,
    scoring_loader,
    training_loader,
)
from pipeline.learning.distributed import ProcessGroup
from tests.learning.world import BRIGHTNESS, bright_chip, chips_folder

GAPS = ClassTable(classes=tuple(LandCoverClass(id=number, name=str(number), colour=(0, 0, 0)) for number in (1, 3, 7)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chips_folder(tmp_path_factory.mktemp("data") / "chips", 5)


def some_chips(folder: Path, count: int = 5) -> Chips:
    return Chips(folder, [f"c{number:02}" for number in range(count)], BRIGHTNESS)


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


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    orders = []
    for seed, epoch in ((7, 0), (7, 1), (8, 1), (7, 1)):
        torch.manual_seed(len(orders))
        shuffle = Shuffle(50, seed)
        shuffle.set_epoch(epoch)
        orders.append(list(shuffle))
    assert orders[3] == orders[1]
    assert len({tuple(order) for order in orders}) == 3


def test_without_length_an_epoch_is_the_pass_of_its_number() -> None:
    shuffle = Shuffle(8, 7)
    for epoch, expected in enumerate(([0, 1, 4, 5, 2, 3, 7, 6], [2, 3, 4, 1, 7, 5, 6, 0])):  # as in earlier versions
        shuffle.set_epoch(epoch)
        assert list(shuffle) == expected


@given(st.integers(1, 12), st.integers(1, 30), st.integers(1, 5))
def test_epochs_of_any_length_continue_passes_that_cover_each_chip_once(count: int, length: int, epochs: int) -> None:
    drawn: list[int] = []
    for epoch in range(epochs):
        shuffle = Shuffle(count, 7, length)  # a new one, as after an interruption
        shuffle.set_epoch(epoch)
        assert len(shuffle) == length
        drawn += shuffle
    assert len(drawn) == epochs * length
    whole = Shuffle(count, 7)
    for number, start in enumerate(range(0, len(drawn), count)):
        whole.set_epoch(number)
        order = list(whole)
        assert sorted(order) == list(range(count))
        assert drawn[start : start + count] == order[: len(drawn) - start]


def test_streams_of_random_numbers_are_independent() -> None:
    keys = [(stream, 7, epoch, batch) for stream in Stream for epoch in (0, 1) for batch in (0, 1)]
    drawn = {int(torch.randint(2**62, (1,), generator=generator(*key))) for key in keys}
    assert len(drawn) == len(keys)


def test_scoring_sees_every_chip_once_in_the_order_of_the_list(folder: Path) -> None:
    chips = some_chips(folder)
    batches = list(scoring_loader(chips, 2, 0))
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([masks for _, masks in batches]), torch.stack([chips[index][1] for index in range(5)]))


def test_a_list_is_read_line_by_line_and_refused_if_missing_or_empty(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a_1\nmy scene_0\n")
    assert read_list(tmp_path / "train.txt") == ["a_1", "my scene_0"]
    (tmp_path / "val.txt").write_text("\n")
    with pytest.raises(PipelineError, match=r"val\.txt is empty; run the stage split again$"):
        read_list(tmp_path / "val.txt")
    with pytest.raises(PipelineError, match=r"test\.txt does not exist; the stage split writes it: run `dvc repro`$"):
        read_list(tmp_path / "test.txt")


def steps_of(count: int, batch_size: int, size: int, accumulate: int, keep_all: bool) -> list[list[list[int]]]:
    """The micro-batches of each rank."""
    order = SequentialSampler(range(count))
    plans = [BatchPlan(batch_size, ProcessGroup(size, rank, size), accumulate) for rank in range(size)]
    return [list(MicroBatchSampler(order, count, plan, keep_all)) for plan in plans]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.integers(1, 3))
def test_ranks_divide_the_batches_of_a_single_process(count: int, batch_size: int, size: int, accumulate: int) -> None:
    parts = size * accumulate
    if batch_size < parts or count < parts:
        return
    steps = steps_of(count, batch_size, size, accumulate, keep_all=False)
    assert len({len(rank) for rank in steps}) == 1  # gradients are summed over ranks at each step
    assert len(steps[0]) % accumulate == 0
    batches = [
        [chip for step in range(start, start + accumulate) for rank in steps for chip in rank[step]]
        for start in range(0, len(steps[0]), accumulate)
    ]
    expected = [list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]
    rest = len(expected[-1])
    if rest < max(2, parts) and rest < batch_size and len(expected) > 1:
        expected.pop()
    assert batches == expected
    sizes = [len(rank[step]) for step in range(len(steps[0])) for rank in steps]
    assert min(sizes) >= 1


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4))
def test_ranks_score_every_chip_once(count: int, batch_size: int, size: int) -> None:
    steps = steps_of(count, batch_size, size, 1, keep_all=True)
    assert sorted(chip for rank in steps for step in rank for chip in step) == list(range(count))
    assert all(step for rank in steps for step in rank)


def test_more_ranks_than_chips_are_refused(folder: Path) -> None:
    three = ProcessGroup(3, 0, 3)
    with pytest.raises(
        PipelineError, match=r"^train\.txt lists 2 chips, too few for 3 devices with train\.accumulate 1"
    ):
        training_loader(some_chips(folder, 2), BatchPlan(3, three), 0, seed=1)
    with pytest.raises(PipelineError, match=r"^val\.txt lists 2 chips, too few for 3 devices; lower train\.devices$"):
        scoring_loader(some_chips(folder, 2), 3, 0, three)
