"""Batches are the same chips in the same order, from files or from memory."""

from pathlib import Path

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.learning import resident
from pipeline.learning.batches import BatchPlan
from pipeline.learning.data import Batch, Chips
from pipeline.learning.distributed import ProcessGroup
from pipeline.learning.loaders import ChipSource, scoring_loader, training_loader
from pipeline.learning.resident import MemoryName, ResidentChips, chip_bytes
from tests.learning.world import BRIGHTNESS, chips_folder

CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chips_folder(tmp_path_factory.mktemp("data") / "chips", 5, bands=4)


def some_chips(folder: Path, count: int = 5, bands: int = 3) -> Chips:
    return Chips(folder, [f"c{number:02}" for number in range(count)], BRIGHTNESS, bands)


def test_scoring_sees_every_chip_once_in_the_order_of_the_list(folder: Path) -> None:
    chips = some_chips(folder)
    batches = list(scoring_loader(chips, 2, 0))
    assert [len(images) for images, _ in batches] == [2, 2, 1]
    assert torch.equal(torch.cat([masks for _, masks in batches]), torch.stack([chips[index][1] for index in range(5)]))


def test_more_ranks_than_chips_are_refused(folder: Path) -> None:
    three = ProcessGroup(3, 0, 3)
    with pytest.raises(
        PipelineError, match=r"^train\.txt lists 2 chips, too few for 3 devices with train\.accumulate 1"
    ):
        training_loader(some_chips(folder, 2), BatchPlan(3, three), 0, seed=1)
    with pytest.raises(PipelineError, match=r"^val\.txt lists 2 chips, too few for 3 devices; lower train\.devices$"):
        scoring_loader(some_chips(folder, 2), 3, 0, three)


def batches_of(chips: ChipSource) -> list[Batch]:
    """Two epochs of training and one of validation."""
    loader, drawn = training_loader(chips, BatchPlan(2), 0, seed=3), []
    for epoch in (0, 1):
        loader.batch_sampler.sampler.set_epoch(epoch)  # type: ignore[union-attr]
        drawn += list(loader)
    return [*drawn, *scoring_loader(chips, 3, 0)]


@pytest.mark.parametrize("memory", ["gpu", "ram"])
@pytest.mark.parametrize("bands", [3, 4])
@pytest.mark.parametrize("per_block", [1, 2, 100])
def test_batches_from_memory_are_those_from_files(
    folder: Path, memory: MemoryName, bands: int, per_block: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    chips = some_chips(folder, bands=bands)
    monkeypatch.setattr(resident, "BLOCK", per_block * chip_bytes(chips))
    kept = ResidentChips(chips, memory, CPU)
    assert (len(kept), chip_bytes(chips)) == (5, 32 * 32 * (bands + 1))
    pairs = list(zip(batches_of(chips), batches_of(kept), strict=True))
    assert len(pairs) == 6  # a batch of one chip is not trained on
    for (images, masks), (images_kept, masks_kept) in pairs:
        assert (images_kept.dtype, masks_kept.dtype) == (torch.uint8, torch.uint8)
        assert torch.equal(images, images_kept)
        assert torch.equal(masks, masks_kept)
