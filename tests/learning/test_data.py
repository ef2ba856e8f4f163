from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import SequentialSampler

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.formats.png import write_image, write_mask
from pipeline.learning.data import (
    BatchPlan,
    Chips,
    Shuffle,
    Steps,
    Stream,
    generator,
    plain_errors,
    read_list,
    scoring_loader,
    training_loader,
)
from pipeline.learning.distributed import Ranks
from tests.learning.world import BRIGHTNESS, chips_folder

GAPS = ClassTable(classes=tuple(LandCoverClass(id=number, name=str(number), colour=(0, 0, 0)) for number in (1, 3, 7)))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chips_folder(tmp_path_factory.mktemp("data") / "chips", 5)


def named(folder: Path, count: int = 5) -> Chips:
    return Chips(folder, [f"c{number:02}" for number in range(count)], BRIGHTNESS)


def test_a_mask_is_the_place_of_the_class_in_the_table_and_255_stays(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    write_image(tmp_path / "images/a.png", np.zeros((2, 2, 3), np.uint8))
    write_mask(tmp_path / "masks/a.png", np.array([[1, 3], [7, 255]], np.uint8), GAPS)
    _, mask_HW = Chips(tmp_path, ["a"], GAPS)[0]
    assert (mask_HW.tolist(), mask_HW.dtype) == ([[0, 1], [2, 255]], torch.uint8)


def test_a_value_that_is_no_class_is_ignored_not_taken_for_another(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    write_image(tmp_path / "images/a.png", np.zeros((1, 2, 3), np.uint8))
    write_mask(tmp_path / "masks/a.png", np.array([[0, 2]], np.uint8), GAPS)
    assert Chips(tmp_path, ["a"], GAPS)[0][1].tolist() == [[255, 255]]


def test_an_image_is_red_green_blue_first_then_rows_and_columns(tmp_path: Path) -> None:
    for part in ("images", "masks"):
        (tmp_path / part).mkdir()
    image_HWC = np.arange(2 * 4 * 3, dtype=np.uint8).reshape(2, 4, 3)
    write_image(tmp_path / "images/a.png", image_HWC)
    write_mask(tmp_path / "masks/a.png", np.ones((2, 4), np.uint8), GAPS)
    image_CHW, _ = Chips(tmp_path, ["a"], GAPS)[0]
    assert image_CHW.dtype == torch.uint8
    assert image_CHW[0].tolist() == [[0, 3, 6, 9], [12, 15, 18, 21]]
    assert image_CHW[2].tolist() == [[2, 5, 8, 11], [14, 17, 20, 23]]


def test_the_order_depends_on_seed_and_epoch_alone() -> None:
    first, second = Shuffle(50, 7), Shuffle(50, 7)
    torch.manual_seed(1)
    orders = {epoch: (first.set_epoch(epoch), list(first))[1] for epoch in (0, 1, 2)}
    torch.manual_seed(2)
    second.set_epoch(1)
    assert list(second) == orders[1]
    assert len({tuple(order) for order in orders.values()}) == 3
    assert all(sorted(order) == list(range(50)) for order in orders.values())
    assert list(Shuffle(50, 8)) != orders[0]
    assert len(first) == 50


def test_random_numbers_for_one_purpose_are_not_those_for_another() -> None:
    keys = [(stream, 7, epoch, *rest) for stream in Stream for epoch in (0, 1) for rest in ((0,), (1,))]
    drawn = {int(torch.randint(2**62, (1,), generator=generator(*key))) for key in [*keys, (Stream.ORDER, 7, 0)]}
    assert len(drawn) >= len(keys)
    order = torch.randint(2**62, (1,), generator=generator(Stream.ORDER, 7, 0))
    first_batch = torch.randint(2**62, (1,), generator=generator(Stream.AUGMENTATION, 7, 0, 0))
    assert order != first_batch


@pytest.mark.parametrize(
    ("chips", "batch_size", "sizes"),
    [(5, 2, [2, 2]), (4, 2, [2, 2]), (5, 3, [3, 2]), (5, 4, [4]), (3, 1, [1, 1, 1]), (1, 4, [1]), (3, 8, [3])],
)
def test_a_last_batch_of_one_chip_is_not_trained_on(
    folder: Path, chips: int, batch_size: int, sizes: list[int]
) -> None:
    loader = training_loader(named(folder, chips), BatchPlan(batch_size), 0, seed=1)
    assert [len(images) for images, _ in loader] == sizes


def test_scoring_sees_every_chip_once_in_the_order_of_the_list(folder: Path) -> None:
    chips = named(folder)
    batches = list(scoring_loader(chips, 2, 0))
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([masks for _, masks in batches]), torch.stack([chips[index][1] for index in range(5)]))


def test_two_workers_read_the_same_batches_as_none(folder: Path) -> None:
    alone, helped = (training_loader(named(folder), BatchPlan(2), workers, seed=3) for workers in (0, 2))
    for loader in (alone, helped):
        loader.batch_sampler.sampler.set_epoch(1)  # type: ignore[union-attr]
    pairs = list(zip(alone, helped, strict=True))
    assert len(pairs) == 2
    for (images, masks), (their_images, their_masks) in pairs:
        assert torch.equal(images, their_images)
        assert torch.equal(masks, their_masks)


def test_a_list_is_read_line_by_line(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("a_1\nb_2\n")
    assert read_list(tmp_path / "train.txt") == ["a_1", "b_2"]


def test_a_missing_list_names_the_stage_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"val\.txt does not exist; the stage split writes it$"):
        read_list(tmp_path / "val.txt")


def test_an_empty_list_is_refused(tmp_path: Path) -> None:
    (tmp_path / "val.txt").write_text("\n")
    with pytest.raises(PipelineError, match=r"val\.txt names no chip; run the stage split again$"):
        read_list(tmp_path / "val.txt")


@pytest.mark.parametrize("workers", [0, 1])
def test_a_missing_chip_is_named_in_one_line_whoever_reads_it(folder: Path, workers: int) -> None:
    loader = scoring_loader(Chips(folder, ["nowhere"], BRIGHTNESS), 1, workers)
    with pytest.raises(PipelineError) as error, plain_errors():
        list(loader)
    assert str(error.value).startswith(f"{folder / 'images/nowhere.png'} does not exist")
    assert "Traceback" not in str(error.value)
    assert "\n" not in str(error.value)


def test_a_chip_may_have_a_space_in_its_name(tmp_path: Path) -> None:
    (tmp_path / "train.txt").write_text("my scene_0\nmy scene_1\n")
    assert read_list(tmp_path / "train.txt") == ["my scene_0", "my scene_1"]


def steps_of(count: int, batch_size: int, size: int, accumulate: int, whole: bool) -> list[list[list[int]]]:
    """What each process reads."""
    order = SequentialSampler(range(count))
    cuts = [BatchPlan(batch_size, Ranks(size, rank, size), accumulate) for rank in range(size)]
    return [list(Steps(order, count, cut, whole)) for cut in cuts]


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4), st.integers(1, 3))
def test_together_processes_train_on_the_batches_of_one_and_on_no_chip_twice(
    count: int, batch_size: int, size: int, accumulate: int
) -> None:
    parts = size * accumulate
    if batch_size < parts or count < parts:
        return
    steps = steps_of(count, batch_size, size, accumulate, whole=False)
    assert len({len(one) for one in steps}) == 1  # gradients are added up, so all take as many
    assert len(steps[0]) % accumulate == 0
    batches = [
        [chip for step in range(start, start + accumulate) for one in steps for chip in one[step]]
        for start in range(0, len(steps[0]), accumulate)
    ]
    alone = [list(range(start, min(start + batch_size, count))) for start in range(0, count, batch_size)]
    left = len(alone[-1])
    if left < max(2, parts) and left < batch_size and len(alone) > 1:
        alone.pop()
    assert batches == alone
    sizes = [len(one[step]) for step in range(len(steps[0])) for one in steps]
    assert min(sizes) >= 1


@given(st.integers(1, 40), st.integers(1, 12), st.integers(1, 4))
def test_together_processes_score_every_chip_once(count: int, batch_size: int, size: int) -> None:
    steps = steps_of(count, batch_size, size, 1, whole=True)
    assert sorted(chip for one in steps for step in one for chip in step) == list(range(count))
    assert all(step for one in steps for step in one)


def test_more_processes_than_chips_are_refused(folder: Path) -> None:
    three = Ranks(3, 0, 3)
    with pytest.raises(
        PipelineError, match=r"^train\.txt names 2 chips, too few for 3 devices with train\.accumulate 1"
    ):
        training_loader(named(folder, 2), BatchPlan(3, three), 0, seed=1)
    with pytest.raises(PipelineError, match=r"^val\.txt names 2 chips, too few for 3 devices; set train\.devices$"):
        scoring_loader(named(folder, 2), 3, 0, three)
