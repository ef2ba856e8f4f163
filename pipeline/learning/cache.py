"""Where the chips of a training stay between epochs: `train.cache`."""

import copy
import math
import os
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Literal

import torch

from pipeline.core.errors import PipelineError
from pipeline.core.memory import available_memory
from pipeline.learning.config import CacheName
from pipeline.learning.data import Batch, Chips
from pipeline.learning.device import Device, memory_problem
from pipeline.learning.distributed import ProcessGroup
from pipeline.learning.loaders import ChipSource
from pipeline.learning.resident import MemoryName, ResidentChips, chip_bytes
from pipeline.learning.task import Task, forward_loss

Place = MemoryName | Literal["none"]
WHERE: Mapping[MemoryName, str] = {"gpu": "on the GPU", "ram": "in RAM"}
GPU_MARGIN = 0.1
"""Share of a GPU's memory that stays free: for gaps between blocks, and for work spaces of other algorithms."""
RAM_SHARE, LATER_RAM_SHARE = 0.5, 0.75
"""Shares of the available RAM that the chips of all ranks may take: found by the first of a machine, and by others."""
GROWTH = 3
"""Sizes of the weights that training adds to a first step: two moments of Adam, and DDP's copies of the gradients."""


def require_cache(cache: CacheName, device: Device) -> None:
    """Check that the device has the memory that `train.cache` names.

    Raises:
        PipelineError: it has not.
    """
    if cache == "gpu" and device.name != "cuda":
        raise PipelineError(f"train.cache is gpu, which needs CUDA; on {device.name} set it to auto, ram or none")


def keep_chips(
    parts: Mapping[str, Chips], task: Task, device: Device, processes: ProcessGroup
) -> tuple[Mapping[str, ChipSource], Place]:
    """Decode the chips into the memory that `train.cache` allows, once for each rank; else leave them in their files.

    Raises:
        PipelineError: a chip cannot be read, or the memory that is named has no room for the chips.
    """
    config, target, train = task.config, processes.torch_device(device), parts["train"]
    passes = config.epochs * config.epoch_chips(len(train)) / len(train)
    for memory in memories(config.cache, passes, device):
        needed = chip_bytes(train) * sum(len(chips) for chips in parts.values())
        room = ram_room(processes) if memory == "ram" else gpu_room(task, train, device, processes)
        if room is None:
            break
        if needed <= room and (kept := _load(parts, memory, target)):
            if processes.is_rank_zero:
                copies = f", a copy for each of {processes.world_size} devices" if processes.world_size > 1 else ""
                print(f"train: {needed / 1e9:.2f} GB of decoded chips stay {WHERE[memory]}{copies}", flush=True)
            return kept, memory
        if config.cache != "auto":
            found = "something else filled it" if needed <= room else f"it has {max(0, room) / 1e9:.2f} GB for them"
            raise PipelineError(
                f"train.cache is {memory}: the chips need {needed / 1e9:.2f} GB {WHERE[memory]}, and {found}; set "
                "train.cache to auto or none"
            )
    return parts, "none"


def memories(cache: CacheName, passes: float, device: Device) -> tuple[MemoryName, ...]:
    """Return the memories to try, in turn; `passes`: times that a training chip is read.

    For `auto`, none for chips that are read only once, and none on a CPU, where reading takes a hundredth of a step.
    """
    if cache == "auto":
        return ("gpu", "ram") if device.name == "cuda" and passes >= 2 else ()
    return () if cache == "none" else (cache,)


def ram_room(processes: ProcessGroup) -> int:
    """Return the bytes of RAM that the chips of one rank may take.

    Lightning starts the other ranks of a machine when the first has read its chips: they find less, and may take more
    of it.
    """
    if processes.local_rank == 0:
        return int(RAM_SHARE * available_memory() / processes.local_world_size)
    return int(LATER_RAM_SHARE * available_memory() / (processes.local_world_size - 1))


def gpu_room(task: Task, chips: Chips, device: Device, processes: ProcessGroup) -> int | None:
    """Return the bytes of its GPU that the training of this rank leaves, measured by a rehearsal.

    None if that fails: training then fails in the same way, and explains it.
    """
    target, config = processes.torch_device(device), task.config
    # as Lightning does before training: they decide about algorithms and their work spaces, and the variable is read
    # once, at the first matrix product
    torch.backends.cudnn.benchmark = not config.deterministic
    if config.deterministic:
        os.environ["CUBLAS_WORKSPACE_CONFIG"] = ":4096:8"
        torch.use_deterministic_algorithms(True)
    with torch.cuda.device(target):
        torch.cuda.reset_peak_memory_stats()
        try:
            rehearse(task, chips.read(0)[0].shape, device, processes)
        except (RuntimeError, ValueError):
            return None
        finally:
            peak = torch.cuda.max_memory_reserved()
            torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info()
    weights = sum(parameter.nbytes for parameter in task.segmenter.parameters())
    return int(free - peak - GROWTH * weights - GPU_MARGIN * total)


def rehearse(task: Task, shape: tuple[int, ...], device: Device, processes: ProcessGroup) -> None:
    """Run the largest training step and the largest validation step of a rank, with copies of the network and the loss.

    On black chips of `shape` (height, width, bands).
    """
    target, batch_size = processes.torch_device(device), task.config.batch_size
    segmenter, loss = copy.deepcopy(task.segmenter).to(target).train(), copy.deepcopy(task.loss).to(target)
    segmenter.to(memory_format=device.memory_format)
    # at least two chips, since batch norm over ranks is not rehearsed
    training = max(2, math.ceil(batch_size / (task.config.accumulate * processes.world_size)))
    with device.autocast():
        sums, _ = forward_loss(segmenter, loss, *_black_chips(training, shape, device, target))
        value: torch.Tensor = loss.value(sums)
    value.backward()  # type: ignore[no-untyped-call]
    with device.autocast(), torch.inference_mode():
        forward_loss(
            segmenter.eval(), loss, *_black_chips(math.ceil(batch_size / processes.world_size), shape, device, target)
        )


def _black_chips(count: int, shape: tuple[int, ...], device: Device, target: torch.device) -> Batch:
    height, width, bands = shape
    images_NCHW = torch.zeros((count, bands, height, width), dtype=torch.uint8, device=target)
    masks_NHW = torch.zeros((count, height, width), dtype=torch.uint8, device=target)
    return images_NCHW.contiguous(memory_format=device.memory_format), masks_NHW


def _load(parts: Mapping[str, Chips], memory: MemoryName, target: torch.device) -> dict[str, ChipSource] | None:
    """Decode the chips; None if another process took the memory meanwhile."""
    try:
        # pinning would open a context on the first GPU otherwise
        with torch.cuda.device(target) if target.type == "cuda" else nullcontext():
            return {part: ResidentChips(chips, memory, target) for part, chips in parts.items()}
    except (MemoryError, RuntimeError) as error:
        if not memory_problem(error):
            raise
    return None
