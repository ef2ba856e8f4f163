"""Which chips a batch holds, by seed, epoch and rank alone.

A batch of `batch_size` chips is divided into micro-batches: `accumulate` steps on each rank. Ranks draw disjoint
micro-batches, so that a batch holds the same chips however many devices train.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import torch
from torch.utils.data import Sampler, SequentialSampler

from pipeline.learning.distributed import SINGLE_PROCESS, ProcessGroup


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

    @property
    def full_sizes(self) -> set[int]:
        """Chips in each of this rank's micro-batches of a full batch: one number, or two that differ by 1."""
        return {end - start for start, end in self._bounds[: self.plan.accumulate]}

    def position(self, step: int) -> tuple[int, int]:
        """Return the batch of a step, and the number of chips of that batch before it."""
        return divmod(self._bounds[step][0], self.plan.batch_size)
