"""The processes that train one network together, one for each device: PyTorch calls each a rank.

On one machine the first process starts the others, through Lightning; over several machines `torchrun` starts all
(`tools/cluster`). They meet in sums and nowhere else: of a loss, of gradients, of what an epoch came to.
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


@dataclass(frozen=True)
class Ranks:
    """How many processes there are, and which one this is."""

    size: int = 1
    """On all machines together."""
    rank: int = 0
    a_machine: int = 1
    """On each machine."""
    by_torchrun: bool = False

    @property
    def first(self) -> bool:
        """Whether this is the process that speaks and writes."""
        return self.rank == 0

    def environment(self) -> ClusterEnvironment:
        """What tells Lightning the same; left to itself it would take a SLURM job's one task for all there is."""
        return TorchElasticEnvironment() if self.by_torchrun else LightningEnvironment()


ALONE = Ranks()


def ranks(wanted: Literal["auto"] | int, device: Device, batch_size: int, accumulate: int) -> Ranks:
    """The processes of this training.

    Args:
        wanted: devices on this machine; auto: every GPU, but no more than share a batch; one processor.
        device: of which kind.
        batch_size: chips in a step, all processes together.
        accumulate: parts into which each process divides its share of a batch.

    Raises:
        PipelineError: there are not so many devices, or too few chips in a batch for them.
    """
    there = torch.cuda.device_count() if device.name == "cuda" else 1
    if distributed.is_torchelastic_launched():
        size, rank, local = (int(os.environ[name]) for name in ("WORLD_SIZE", "RANK", "LOCAL_WORLD_SIZE"))
        found = Ranks(size, rank, local, by_torchrun=True)
    else:
        size = max(1, min(there, batch_size // accumulate)) if wanted == "auto" else wanted
        found = Ranks(size, int(os.environ.get("LOCAL_RANK", "0")) if size > 1 else 0, size)
    if found.a_machine > there and device.name != "cpu":
        raise PipelineError(f"train.devices is {found.a_machine}; this machine has {there} of {device.name}")
    if batch_size < found.size * accumulate:
        raise PipelineError(
            f"train.batch_size is {batch_size}, too few chips for {found.size} devices with train.accumulate "
            f"{accumulate}; set at least {found.size * accumulate}"
        )
    return found


class EchoedError(PipelineError):
    """What the first process says as well, and better alone."""


@contextmanager
def rank_zero_errors(here: Ranks) -> Iterator[None]:
    """Let the first process speak for all in what all notice, and each for itself in what only it does.

    When a process ends, the others find their connection to it closed: its own words say why.
    """
    try:
        yield
    except EchoedError:
        raise SystemExit(0) from None  # not a failure of this process: Lightning would kill the one that is to speak
    except PipelineError as error:
        if not here.first and error.code == INTERRUPTED:  # Ctrl-C reaches all of a machine's
            raise SystemExit(0) from None
        if not here.first:
            error.args = (f"in process {here.rank + 1} of {here.size}, {error}",)
        raise
    except RuntimeError as error:
        if here.size == 1 or not _is_lost_peer(error):
            raise
        raise PipelineError("another process of this training ended; what it said stands above") from None


def _is_lost_peer(error: RuntimeError) -> bool:
    words = str(error)
    return isinstance(error, distributed.DistError) or any(
        said in words for said in ("Connection closed by peer", "Connection reset by peer", "Broken pipe")
    )


def together() -> bool:
    """Whether other processes train with this one."""
    return distributed.is_available() and distributed.is_initialized()


def total(value: torch.Tensor) -> torch.Tensor:
    """The sum over all processes; for each the same."""
    if not together():
        return value
    value = value.clone()
    distributed.all_reduce(value)
    return value


def smallest(value: torch.Tensor) -> torch.Tensor:
    """The minimum over all processes; for each the same."""
    if not together():
        return value
    value = value.clone()
    distributed.all_reduce(value, distributed.ReduceOp.MIN)
    return value


def shared_total(value: torch.Tensor) -> torch.Tensor:
    """The sum over all processes, of which only this one's part has a gradient.

    A function of it then has on each process the gradient that this process's chips contribute, and the sum of the
    gradients over all processes is that of the whole batch.
    """
    if not together():
        return value
    return value + (total(value.detach()) - value.detach())


def agree(value: torch.Tensor, what: str) -> None:
    """Check that all processes have the same number.

    Raises:
        PipelineError: they do not; said by each.
    """
    if together() and not torch.equal(smallest(value), -smallest(-value)):
        raise PipelineError(
            f"the processes of this training disagree about {what}: they need the same checkout, PIPELINE_CACHE, "
            "libraries and kind of processor"
        )


def average_buffers(module: nn.Module) -> None:
    """Give all processes the same statistics of batch norm: their mean."""
    if together():
        for buffer in module.buffers():
            if buffer.is_floating_point():
                buffer.copy_(total(buffer) / distributed.get_world_size())
