"""A chips folder as tensors.

N: chips of a batch. H, W: rows and columns of a chip. Pictures stay uint8 until they are on the device.
"""

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler, get_worker_info

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.png import read_image, read_mask
from pipeline.formats.splits import REFUSED
from pipeline.learning.distributed import ALONE, Ranks

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

    def __getitems__(self, indices: list[int]) -> list[Batch]:
        """Several chips, which the process that trains reads on all its cores at once."""
        if get_worker_info() is not None or len(indices) == 1:
            return [self[index] for index in indices]
        return list(_readers().map(self.__getitem__, indices))

    def __getitem__(self, index: int) -> Batch:
        """image_CHW and mask_HW, uint8."""
        name = f"{self.ids[index]}.png"
        image_HWC = read_image(self.folder / "images" / name)
        mask_HW = self._index[read_mask(self.folder / "masks" / name)]
        return torch.from_numpy(image_HWC).permute(2, 0, 1), torch.from_numpy(mask_HW)


@cache
def _readers() -> ThreadPoolExecutor:
    """Threads that live as long as the process; reading processes, which may be forks of it, have none."""
    return ThreadPoolExecutor(os.cpu_count())


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
        order = torch.randperm(self.count, generator=generator(Stream.ORDER, self.seed, self.epoch))
        return iter(order.tolist())


class Stream(IntEnum):
    """What random numbers are for; two streams share none, whatever their keys."""

    ORDER = 1
    """The order of the chips in an epoch."""
    AUGMENTATION = 2
    """Flips and turns of a batch."""
    LAYERS = 3
    """Layers that draw from torch's global generator, such as dropout."""
    WORKERS = 4
    """Seeds of the reading processes."""


def generator(stream: Stream, *key: int) -> torch.Generator:
    """Random numbers that depend on `stream` and `key` alone, not on who drew before.

    Keys of one stream must be of one length: `SeedSequence` fills short ones up with zeros.
    """
    state = int(np.random.SeedSequence((stream, *key)).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state)


@dataclass(frozen=True)
class BatchPlan:
    """How a batch is cut into steps: one after another on each process, side by side on all."""

    batch_size: int
    ranks: Ranks = ALONE
    accumulate: int = 1
    """Steps of a process that make up a batch."""

    @property
    def parts(self) -> int:
        """Steps that make up a batch, of all processes."""
        return self.accumulate * self.ranks.size

    def batches(self, count: int) -> int:
        """Batches of an epoch of `count` chips.

        A last batch is left out if it is of one chip, from which batch norm cannot learn, or of fewer chips than parts.
        """
        whole, left = divmod(count, self.batch_size)
        return whole + (left >= max(2, self.parts) or left == count)

    def bounds(self, step: int, count: int) -> tuple[int, int]:
        """From where to where in the order of `count` chips a step of this process goes."""
        batch, part = divmod(step, self.accumulate)
        part = part * self.ranks.size + self.ranks.rank
        start = batch * self.batch_size
        size = min(self.batch_size, count - start)
        return start + size * part // self.parts, start + size * (part + 1) // self.parts


class Steps(Sampler[list[int]]):
    """This process's part of each batch; together the parts are the batches, and no chip comes twice.

    Lightning's own sampler gives all processes as many chips, some of them twice. `sampler` is where Lightning looks
    for something that has `set_epoch`.
    """

    def __init__(self, sampler: Shuffle | SequentialSampler, count: int, cut: BatchPlan, whole: bool) -> None:
        """`whole`: no chip may be left out, so that a process may have a step less than another."""
        self.sampler, self.cut = sampler, cut
        batches = -(-count // cut.batch_size) if whole else cut.batches(count)
        bounds = [cut.bounds(step, count) for step in range(batches * cut.accumulate)]
        self._bounds = [(begin, end) for begin, end in bounds if end > begin]

    def __len__(self) -> int:
        return len(self._bounds)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        return (order[begin:end] for begin, end in self._bounds)

    def start(self, step: int) -> tuple[int, int]:
        """The batch to which a step belongs, and how many of that batch's chips come before it."""
        return divmod(self._bounds[step][0], self.cut.batch_size)


def training_loader(chips: Chips, cut: BatchPlan, workers: int, seed: int) -> DataLoader[Batch]:
    """Shuffled batches, as many steps on each process.

    Raises:
        PipelineError: too few chips for the processes.
    """
    if len(chips) < cut.parts:
        raise PipelineError(
            f"train.txt names {len(chips)} chips, too few for {cut.ranks.size} devices with train.accumulate "
            f"{cut.accumulate}; set smaller ones"
        )
    return _loader(chips, Steps(Shuffle(len(chips), seed), len(chips), cut, whole=False), workers)


def scoring_loader(chips: Chips, batch_size: int, workers: int, ranks: Ranks = ALONE) -> DataLoader[Batch]:
    """Every chip once, in the order of the list.

    Raises:
        PipelineError: fewer chips than processes.
    """
    cut = BatchPlan(batch_size, ranks)
    if len(chips) < cut.ranks.size:
        raise PipelineError(
            f"val.txt names {len(chips)} chips, too few for {cut.ranks.size} devices; set train.devices"
        )
    return _loader(chips, Steps(SequentialSampler(chips), len(chips), cut, whole=True), workers)


@contextmanager
def plain_errors() -> Iterator[None]:
    """Say an error of a reading process as if it came from this one: torch makes the other's traceback its text."""
    try:
        yield
    except PipelineError as error:
        if "PipelineError: " not in str(error):
            raise
        raise PipelineError(str(error).rpartition("PipelineError: ")[2].strip()) from None


def _end_quietly(_: int) -> None:
    """A node that is taken away tells all processes, and so does Ctrl-C: it is no failure that reading ones end."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def _loader(chips: Chips, steps: Steps, workers: int) -> DataLoader[Batch]:
    return DataLoader(
        chips,
        batch_sampler=steps,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_end_quietly,
        generator=generator(Stream.WORKERS),  # else the loader draws from the global one
    )
