"""Distributed training: one process (rank) per device.

On one machine rank 0 starts the others, through Lightning; on several machines `torchrun` starts all (`tools/cluster`).
Ranks communicate only by all-reduce: of losses, gradients and counts.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from lightning.fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning.fabric.plugins.environments.lightning import LightningEnvironment
from lightning.fabric.plugins.environments.torchelastic import TorchElasticEnvironment
from torch import distributed, nn

from pipeline.core.errors import PipelineError
from pipeline.core.interrupt import INTERRUPTED
from pipeline.learning.device import Device

SUM, MIN = distributed.ReduceOp.SUM, distributed.ReduceOp.MIN


@dataclass(frozen=True)
class ProcessGroup:
    """The processes of a training, and this one's rank among them."""

    world_size: int = 1
    """Processes on all machines."""
    rank: int = 0
    local_world_size: int = 1
    """Processes on each machine."""
    by_torchrun: bool = False

    @property
    def is_rank_zero(self) -> bool:
        """Whether this process prints and writes for all."""
        return self.rank == 0

    @property
    def local_rank(self) -> int:
        """This rank's number on its machine."""
        return self.rank % self.local_world_size

    def torch_device(self, device: Device) -> torch.device:
        """Return this rank's own device."""
        return torch.device(f"cuda:{self.local_rank}" if device.name == "cuda" else device.name)

    def environment(self) -> ClusterEnvironment:
        """Describe the processes to Lightning, which would take a SLURM job with one task for a single process."""
        return TorchElasticEnvironment() if self.by_torchrun else LightningEnvironment()


SINGLE_PROCESS = ProcessGroup()


def process_group(devices: Literal["auto"] | int, device: Device, batch_size: int, accumulate: int) -> ProcessGroup:
    """Return the processes of this training.

    Args:
        devices: number of devices on this machine; auto: every GPU for which a batch has chips; on a CPU, 1.
        device: their type.
        batch_size: chips in a batch, across all ranks.
        accumulate: micro-batches of a batch on each rank.

    Raises:
        PipelineError: the machine has fewer devices, or a batch has too few chips for them.
    """
    available = torch.cuda.device_count() if device.name == "cuda" else 1
    if distributed.is_torchelastic_launched():
        size, rank, local_size = (int(os.environ[name]) for name in ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE"))
        processes = ProcessGroup(size, rank, local_size, by_torchrun=True)
    else:
        size = max(1, min(available, batch_size // accumulate)) if devices == "auto" else devices
        processes = ProcessGroup(size, int(os.environ.get("LOCAL_RANK", "0")) if size > 1 else 0, size)
    if processes.local_world_size > available and device.name != "cpu":
        raise PipelineError(
            f"train.devices is {processes.local_world_size}, but this machine has {available} {device.name} devices; "
            "lower it"
        )
    if batch_size < processes.world_size * accumulate:
        raise PipelineError(
            f"train.batch_size is {batch_size}, too few chips for {processes.world_size} devices with "
            f"train.accumulate {accumulate}; set at least {processes.world_size * accumulate}"
        )
    return processes


class SharedError(PipelineError):
    """An error that every rank raises; only rank 0 reports it."""


@contextmanager
def rank_zero_errors(processes: ProcessGroup) -> Iterator[None]:
    """Report shared errors from rank 0 only, and those of a single rank with its number.

    When a rank ends, the others lose their connection to it: its own error is the one to read.
    """
    try:
        yield
    except SharedError:
        raise SystemExit(0) from None  # a failure exit code would make Lightning kill rank 0 before it reports
    except PipelineError as error:
        if not processes.is_rank_zero and error.code == INTERRUPTED:  # Ctrl-C reaches every process of a machine
            raise SystemExit(0) from None
        if not processes.is_rank_zero:
            error.args = (f"rank {processes.rank} (world size {processes.world_size}): {error}",)
        raise
    except RuntimeError as error:
        if processes.world_size == 1 or not _is_lost_connection(error):
            raise
        raise PipelineError("another rank of this training ended; its error is printed above") from None


def _is_lost_connection(error: RuntimeError) -> bool:
    text = str(error)
    return isinstance(error, distributed.DistError) or any(
        phrase in text for phrase in ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
    )


def all_reduce(value: torch.Tensor, op: distributed.ReduceOp.RedOpType = SUM) -> torch.Tensor:
    """Sum over all ranks, or take the minimum."""
    if not distributed.is_initialized():
        return value
    value = value.clone()
    distributed.all_reduce(value, op)
    return value


def sum_with_local_gradient(value: torch.Tensor) -> torch.Tensor:
    """Sum over all ranks; only this rank's term has a gradient.

    The gradient of a function of the sum is then, on each rank, the contribution of that rank's chips; summed over the
    ranks it is the gradient of the whole batch.
    """
    if not distributed.is_initialized():
        return value
    return value + (all_reduce(value.detach()) - value.detach())


def require_same_on_all_ranks(value: torch.Tensor, name: str) -> None:
    """Check that a value is the same on all ranks.

    Raises:
        PipelineError: it is not; raised on every rank.
    """
    if not torch.equal(all_reduce(value, MIN), -all_reduce(-value, MIN)):
        raise PipelineError(
            f"the ranks of this training disagree on {name}: they need the same checkout, PIPELINE_CACHE, library "
            "versions and type of CPU"
        )


def average_buffers(module: nn.Module) -> None:
    """Replace batch norm's running statistics by their mean over all ranks."""
    if distributed.is_initialized():
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(all_reduce(buffer) / distributed.get_world_size())
