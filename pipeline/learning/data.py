"""The chips of a split as tensors, and the loaders that batch them.

N: chips of a batch. H, W: rows and columns of a chip. Images stay uint8 until they are on the device.

A batch of `batch_size` chips is divided into micro-batches: `accumulate` steps on each rank. Ranks draw disjoint
micro-batches, so that a batch holds the same chips however many devices train.
"""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

import numpy as np
import torch
from torch.utils.data import DataLoader, Dataset, Sampler, SequentialSampler, get_worker_info

from pipeline.core.cpus import cpu_pool
from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IMAGE_BANDS
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.png import read_chip_image, read_mask
from pipeline.formats.splits import REFUSED
from pipeline.learning.distributed import SINGLE_PROCESS, ProcessGroup

Batch = tuple[torch.Tensor, torch.Tensor]
"""images_NCHW uint8; masks_NHW uint8, the class's *index* in the table or `IGNORE`."""


def read_list(path: Path) -> list[str]:
    """Read the chip ids of one part of a split.

    Raises:
        PipelineError: the list is missing or empty, or the stage split refused to write lists.
    """
    refused = path.with_name(REFUSED)
    if refused.is_file():
        raise PipelineError(f"{path.parent} has no lists: {refused.read_text(encoding='utf-8').strip()}")
    if not path.is_file():
        raise PipelineError(f"{path} does not exist; the stage split writes it: run `dvc repro`")
    # one id per line: names of scenes may contain spaces
    ids = [line for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    if not ids:
        raise PipelineError(f"{path} is empty; run the stage split again")
    return ids


class Chips(Dataset[Batch]):
    """Chips by id.

    Class ids need not be 0, 1, 2, …, but the outputs of a network are. Masks therefore hold the index of the class in
    the table; values that are not class ids become `IGNORE`. Images have as many `bands` as `imagery.json` lists.
    """

    def __init__(self, folder: Path, ids: list[str], table: ClassTable, bands: int = IMAGE_BANDS) -> None:
        self.folder, self.ids, self.bands = folder, ids, bands
        self._index = np.full(256, IGNORE, np.uint8)
        self._index[list(table.ids)] = np.arange(len(table.ids))

    def __len__(self) -> int:
        return len(self.ids)

    def __getitems__(self, indices: list[int]) -> list[Batch]:
        """Read several chips, in threads unless this is a loader worker, which may be a fork and so has none."""
        if get_worker_info() is not None:
            return [self[index] for index in indices]
        return list(cpu_pool().map(self.__getitem__, indices))

    def __getitem__(self, index: int) -> Batch:
        """Return image_CHW and mask_HW, uint8."""
        chip = self.ids[index]
        image_HWC = read_chip_image(self.folder, chip, self.bands)
        mask_HW = self._index[read_mask(self.folder / "masks" / f"{chip}.png")]
        return torch.from_numpy(image_HWC).permute(2, 0, 1), torch.from_numpy(mask_HW)


class Shuffle(Sampler[int]):
    """Consecutive passes over the chips, each in a new order; an epoch continues where the last one ended.

    Seed and epoch determine the order, so that a resumed training draws the same chips.
    """

    def __init__(self, count: int, seed: int, length: int | None = None) -> None:
        """Draw `length` chips per epoch; None: all `count`, so that an epoch is one pass."""
        self.count, self.seed, self.epoch = count, seed, 0
        self.length = count if length is None else length

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch; Lightning calls this at its start."""
        self.epoch = epoch

    def __len__(self) -> int:
        return self.length

    def __iter__(self) -> Iterator[int]:
        start = self.epoch * self.length
        first, end = start // self.count, -(-(start + self.length) // self.count)
        passes = [self._order(number) for number in range(first, end)]
        skip = start - first * self.count
        return iter(torch.cat(passes)[skip : skip + self.length].tolist())

    def _order(self, number: int) -> torch.Tensor:
        return torch.randperm(self.count, generator=generator(Stream.ORDER, self.seed, number))


class Stream(IntEnum):
    """Independent streams of random numbers, by purpose."""

    ORDER = 1
    """The order of the chips in a pass."""
    AUGMENTATION = 2
    """Flips and rotations of a batch."""
    LAYERS = 3
    """Layers that draw from torch's global generator, such as dropout."""
    WORKERS = 4
    """Seeds of the loader workers."""
    DISTORTIONS = 5
    """Scale, colour and blur of a batch; how many numbers flips draw depends on the rank."""


def generator(stream: Stream, *key: int) -> torch.Generator:
    """Return a generator seeded by `stream` and `key` alone, whatever was drawn before.

    All keys of a stream must have the same length: `SeedSequence` pads short ones with zeros.
    """
    state = int(np.random.SeedSequence((stream, *key)).generate_state(1, np.uint64)[0])
    return torch.Generator().manual_seed(state)


@dataclass(frozen=True)
class BatchPlan:
    """How a batch is divided into micro-batches, over ranks and over the steps of each rank."""

    batch_size: int
    """Chips in a batch, across all ranks."""
    processes: ProcessGroup = SINGLE_PROCESS
    accumulate: int = 1
    """Micro-batches of a batch on each rank."""

    @property
    def micro_batches(self) -> int:
        """Micro-batches of a batch, across all ranks."""
        return self.accumulate * self.processes.world_size

    def batch_count(self, chips: int) -> int:
        """Return the number of training batches in an epoch.

        A smaller last batch is dropped if it has one chip, too few for batch norm, or fewer chips than micro-batches,
        unless it is the only batch.
        """
        full, rest = divmod(chips, self.batch_size)
        return full + (rest >= max(2, self.micro_batches) or rest == chips)

    def bounds(self, step: int, chips: int) -> tuple[int, int]:
        """Return start and end of this rank's micro-batch `step`, as positions in an epoch of `chips`."""
        batch, part = divmod(step, self.accumulate)
        part = part * self.processes.world_size + self.processes.rank
        start = batch * self.batch_size
        size = min(self.batch_size, chips - start)
        return start + size * part // self.micro_batches, start + size * (part + 1) // self.micro_batches


class MicroBatchSampler(Sampler[list[int]]):
    """This rank's micro-batches; over all ranks each position of the sampler's order occurs once.

    Not torch's `DistributedSampler`, which repeats or drops chips so that all ranks have equally many (of 11 chips two
    ranks draw 12 or 10), and knows neither micro-batches nor epochs of `train.steps`. Lightning calls `set_epoch` of
    the attribute `sampler`.
    """

    def __init__(
        self, sampler: Shuffle | SequentialSampler, chips: int, plan: BatchPlan, keep_all: bool = False
    ) -> None:
        """Set `keep_all` for scoring: no chip is dropped, and ranks may differ by one step."""
        self.sampler, self.plan = sampler, plan
        batches = -(-chips // plan.batch_size) if keep_all else plan.batch_count(chips)
        bounds = [plan.bounds(step, chips) for step in range(batches * plan.accumulate)]
        self._bounds = [(start, end) for start, end in bounds if end > start]

    def __len__(self) -> int:
        return len(self._bounds)

    def __iter__(self) -> Iterator[list[int]]:
        order = list(self.sampler)
        return (order[start:end] for start, end in self._bounds)

    def position(self, step: int) -> tuple[int, int]:
        """Return the batch of a step, and the number of chips of that batch before it."""
        return divmod(self._bounds[step][0], self.plan.batch_size)


def training_loader(
    chips: Chips, plan: BatchPlan, workers: int, seed: int, length: int | None = None
) -> DataLoader[Batch]:
    """Return shuffled batches of `length` chips per epoch, the same number of steps on every rank; None: of each chip.

    Raises:
        PipelineError: fewer chips than micro-batches.
    """
    shuffle = Shuffle(len(chips), seed, length)
    if len(shuffle) < plan.micro_batches:
        raise PipelineError(
            f"train.txt lists {len(chips)} chips, too few for {plan.processes.world_size} devices with "
            f"train.accumulate {plan.accumulate}; lower train.devices or train.accumulate"
        )
    return _loader(chips, MicroBatchSampler(shuffle, len(shuffle), plan), workers)


def scoring_loader(
    chips: Chips, batch_size: int, workers: int, processes: ProcessGroup = SINGLE_PROCESS
) -> DataLoader[Batch]:
    """Return every chip once, in the order of the list.

    Raises:
        PipelineError: fewer chips than ranks.
    """
    if len(chips) < processes.world_size:
        raise PipelineError(
            f"val.txt lists {len(chips)} chips, too few for {processes.world_size} devices; lower train.devices"
        )
    plan = BatchPlan(batch_size, processes)
    return _loader(chips, MicroBatchSampler(SequentialSampler(chips), len(chips), plan, keep_all=True), workers)


@contextmanager
def unwrap_worker_errors() -> Iterator[None]:
    """Re-raise a `PipelineError` of a loader worker without the traceback that torch puts into its message."""
    try:
        yield
    except PipelineError as error:
        if "PipelineError: " not in str(error):
            raise
        raise PipelineError(str(error).rpartition("PipelineError: ")[2].strip()) from None


def _exit_on_signals(_: int) -> None:
    """On preemption and Ctrl-C every process gets the signal; workers exit 0, or torch would report a failure."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))


def _loader(chips: Chips, sampler: MicroBatchSampler, workers: int) -> DataLoader[Batch]:
    return DataLoader(
        chips,
        batch_sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        worker_init_fn=_exit_on_signals,
        generator=generator(Stream.WORKERS),  # otherwise the loader draws from the global generator
    )
