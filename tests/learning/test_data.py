from pathlib import Path

import numpy as np
import pytest
import torch

from pipeline.classes import ClassTable, LandCoverClass
from pipeline.errors import PipelineError
from pipeline.learning.data import Chips, Shuffle, plain_errors, read_list, scoring_loader, training_loader
from pipeline.raster.chips import write_image, write_mask
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


@pytest.mark.parametrize(
    ("chips", "batch_size", "sizes"),
    [(5, 2, [2, 2]), (4, 2, [2, 2]), (5, 3, [3, 2]), (5, 4, [4]), (3, 1, [1, 1, 1]), (1, 4, [1]), (3, 8, [3])],
)
def test_a_last_batch_of_one_chip_is_not_trained_on(
    folder: Path, chips: int, batch_size: int, sizes: list[int]
) -> None:
    loader = training_loader(named(folder, chips), batch_size, 0, seed=1)
    assert [len(images) for images, _ in loader] == sizes


def test_scoring_sees_every_chip_once_in_the_order_of_the_list(folder: Path) -> None:
    chips = named(folder)
    batches = list(scoring_loader(chips, 2, 0))
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([masks for _, masks in batches]), torch.stack([chips[index][1] for index in range(5)]))


def test_two_workers_read_the_same_batches_as_none(folder: Path) -> None:
    alone, helped = (training_loader(named(folder), 2, workers, seed=3) for workers in (0, 2))
    for loader in (alone, helped):
        loader.sampler.set_epoch(1)  # type: ignore[attr-defined]
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
