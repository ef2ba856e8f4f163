"""Loaders of batches: from files by loader workers, or from chips in memory."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch.utils.data import DataLoader, SequentialSampler

from pipeline.core.errors import PipelineError
from pipeline.learning.batches import BatchPlan, MicroBatchSampler, Shuffle, Stream, generator
from pipeline.learning.data import Batch, Chips
from pipeline.learning.distributed import SINGLE_PROCESS, ProcessGroup
from pipeline.learning.resident import ResidentChips

ChipSource = Chips | ResidentChips


def training_loader(
    chips: ChipSource,
    plan: BatchPlan,
    workers: int,
    seed: int,
    length: int | None = None,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Return shuffled batches of `length` chips per epoch, the same number of steps on every rank; None: of each chip.

    Args:
        chips: to draw from.
        plan: the batches.
        workers: processes that read files; 0: threads of this one. Chips in memory need none.
        seed: of the order.
        length: chips of an epoch.
        pin_memory: for a GPU, so that copying a batch of files to it does not wait for it.

    Raises:
        PipelineError: fewer chips than micro-batches.
    """
    shuffle = Shuffle(len(chips), seed, length)
    if len(shuffle) < plan.micro_batches:
        raise PipelineError(
            f"train.txt lists {len(chips)} chips, too few for {plan.processes.world_size} devices with "
            f"train.accumulate {plan.accumulate}; lower train.devices or train.accumulate"
        )
    return _loader(chips, MicroBatchSampler(shuffle, len(shuffle), plan), workers, pin_memory)


def scoring_loader(
    chips: ChipSource,
    batch_size: int,
    workers: int,
    processes: ProcessGroup = SINGLE_PROCESS,
    pin_memory: bool = False,
) -> DataLoader[Batch]:
    """Return every chip once, in the order of the list; arguments as for `training_loader`.

    Raises:
        PipelineError: fewer chips than ranks.
    """
    if len(chips) < processes.world_size:
        raise PipelineError(
            f"val.txt lists {len(chips)} chips, too few for {processes.world_size} devices; lower train.devices"
        )
    plan = BatchPlan(batch_size, processes)
    sampler = MicroBatchSampler(SequentialSampler(chips), len(chips), plan, keep_all=True)
    return _loader(chips, sampler, workers, pin_memory)


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


def _loader(chips: ChipSource, sampler: MicroBatchSampler, workers: int, pin_memory: bool) -> DataLoader[Batch]:
    order = generator(Stream.WORKERS)  # otherwise the loader draws from the global generator
    if isinstance(chips, ResidentChips):
        return DataLoader(chips, batch_sampler=sampler, collate_fn=_as_gathered, generator=order)
    return DataLoader(
        chips,
        batch_sampler=sampler,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=pin_memory,
        worker_init_fn=_exit_on_signals,
        generator=order,
    )


def _as_gathered(batch: Any) -> Any:
    return batch
