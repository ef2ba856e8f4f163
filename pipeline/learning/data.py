"""A chips folder as tensors.

N: chips of a batch. H, W: rows and columns of a chip. Pictures stay uint8 until they are on the device.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler

from pipeline.chips import REFUSED
from pipeline.classes import IGNORE, ClassTable
from pipeline.errors import PipelineError
from pipeline.raster.chips import read_image, read_mask

Batch = tuple[torch.Tensor, torch.Tensor]
"""images_NCHW uint8 RGB; masks_NHW uint8, the class's *index* in the table or `IGNORE`."""


def read_list(path: Path) -> list[str]:
    """The chip ids of one part of a split.

    Raises:
        PipelineError: no such list, or nothing in it; the stage split could not make it.
    """
    refused = path.with_name(REFUSED)
    if refused.is_file():
        raise PipelineError(f"{path.parent} holds no lists: {refused.read_text(encoding='utf-8').strip()}")
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; the stage split writes it")
    # a line each: a scene may have spaces in its name
    ids = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not ids:
        raise PipelineError(f"{path} names no chip; run the stage split again")
    return ids


class Chips(Dataset[Batch]):
    """Chips by their ids.

    Class ids of a table need not be 0, 1, 2, …; a network's outputs are. Masks are handed out as the class's place
    in the table, so that no output stands for an id that is no class.
    """

    def __init__(self, folder: Path, ids: list[str], table: ClassTable) -> None:
        self.folder, self.ids = folder, ids
        self._index = np.full(256, IGNORE, np.uint8)
        self._index[list(table.ids)] = np.arange(len(table.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitem__(self, index: int) -> Batch:
        """image_CHW and mask_HW, uint8."""
        name = f"{self.ids[index]}.png"
        image_HWC = read_image(self.folder / "images" / name)
        mask_HW = self._index[read_mask(self.folder / "masks" / name)]
        return torch.from_numpy(image_HWC).permute(2, 0, 1), torch.from_numpy(mask_HW)


class Shuffle(Sampler[int]):
    """Another order each epoch, the same for the same seed and epoch."""

    def __init__(self, count: int, seed: int) -> None:
        self.count, self.seed, self.epoch = count, seed, 0

    def set_epoch(self, epoch: int) -> None:
        """Called by Lightning at the start of each epoch."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[int]:
        order = torch.randperm(self.count, generator=generator(self.seed, self.epoch))
        return iter(order.tolist())


def generator(*key: int) -> torch.Generator:
    """Random numbers that depend on `key` alone, not on who drew before."""
    state = int(np.random.SeedSequence(key).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state)


def training_loader(chips: Chips, batch_size: int, workers: int, seed: int) -> DataLoader[Batch]:
    """Shuffled batches; a last batch of one chip is left out, since batch norm cannot train on it."""
    alone = len(chips) > 1 and len(chips) % batch_size == 1
    return _loader(chips, batch_size, workers, sampler=Shuffle(len(chips), seed), drop_last=alone)


def scoring_loader(chips: Chips, batch_size: int, workers: int) -> DataLoader[Batch]:
    """Every chip once, in the order of the list."""
    return _loader(chips, batch_size, workers)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Say an error of a reading process as if it came from this one: torch makes the other's traceback its text."""
    try:
        yield
    except PipelineError as error:
        if "PipelineError: " not in str(error):
            raise
        raise PipelineError(str(error).rpartition("PipelineError: ")[2].strip()) from None


def _loader(
    chips: Chips, batch_size: int, workers: int, sampler: Shuffle | None = None, drop_last: bool = False
) -> DataLoader[Batch]:
    return DataLoader(
        chips,
        batch_size,
        sampler=sampler,
        drop_last=drop_last,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        generator=generator(0),  # of the seeds of reading processes: the global one shall not be drawn from
    )
