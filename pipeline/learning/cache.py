"""Where the chips of a training stay between epochs: `train.cache`."""

import copy
import math
from collections.abc import Mapping
from typing import Literal

import torch

from pipeline.core.errors import PipelineError
from pipeline.core.memory import available_memory
from pipeline.learning.config import CacheName
from pipeline.learning.data import Chips
from pipeline.learning.device import Device, memory_problem
from pipeline.learning.distributed import ProcessGroup
from pipeline.learning.loaders import ChipSource
from pipeline.learning.resident import MemoryName, ResidentChips, chip_bytes
from pipeline.learning.task import Task, forward_loss

Place = MemoryName | Literal["none"]
WHERE: Mapping[MemoryName, str] = {"gpu": "on the GPU", "ram": "in RAM"}
GPU_MARGIN = 0.1
"""Share of a GPU's memory that stays free: for gaps between blocks, and for work spaces of other algorithms."""
RAM_SHARE = 0.5
"""Share of the available RAM that chips may take."""
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
        if needed <= room and (kept := _load(parts, memory, target)):
            if processes.is_rank_zero:
                copies = f", a copy for each of {processes.world_size} devices" if processes.world_size > 1 else ""
                print(f"train: {needed / 1e9:.2f} GB of decoded chips stay {WHERE[memory]}{copies}", flush=True)
            return kept, memory
        if config.cache != "auto":
            raise PipelineError(
                f"train.cache is {memory}: the chips need {needed / 1e9:.2f} GB, and the room for them "
                f"{WHERE[memory]} is {max(0, room) / 1e9:.2f} GB; set it to auto or none"
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
    """Return the bytes of RAM that the chips of one rank may take."""
    return int(RAM_SHARE * available_memory() / processes.local_world_size)


def gpu_room(task: Task, chips: Chips, device: Device, processes: ProcessGroup) -> int:
    """Return the bytes of its GPU that the training of this rank leaves, measured by a rehearsed step.

    0 if that step fails: training then fails in the same way, and explains it.
    """
    target, config = processes.torch_device(device), task.config
    count = math.ceil(config.batch_size / (config.accumulate * processes.world_size))
    torch.backends.cudnn.benchmark = not config.deterministic  # as in training: it decides about work spaces
    with torch.cuda.device(target):
        torch.cuda.reset_peak_memory_stats()
        try:
            rehearse(task, chips.read(0)[0].shape, count, device, target)
        except RuntimeError:
            return 0
        finally:
            peak = torch.cuda.max_memory_reserved()
            torch.cuda.empty_cache()
        free, total = torch.cuda.mem_get_info()
    weights = sum(parameter.nbytes for parameter in task.segmenter.parameters())
    return int(free - peak - GROWTH * weights - GPU_MARGIN * total)


def rehearse(task: Task, shape: tuple[int, ...], count: int, device: Device, target: torch.device) -> None:
    """Run a training step of `count` black chips of `shape` (H, W, bands), with copies of the network and the loss."""
    segmenter, loss = copy.deepcopy(task.segmenter).to(target).train(), copy.deepcopy(task.loss).to(target)
    segmenter.to(memory_format=device.memory_format)
    height, width, bands = shape
    images_NCHW = torch.zeros((count, bands, height, width), dtype=torch.uint8, device=target)
    masks_NHW = torch.zeros((count, height, width), dtype=torch.uint8, device=target)
    with device.autocast():
        sums, _ = forward_loss(segmenter, loss, images_NCHW.contiguous(memory_format=device.memory_format), masks_NHW)
        value: torch.Tensor = loss.value(sums)
    value.backward()  # type: ignore[no-untyped-call]


def _load(parts: Mapping[str, Chips], memory: MemoryName, target: torch.device) -> dict[str, ChipSource] | None:
    """Decode the chips; None if another process took the memory meanwhile."""
    try:
        return {part: ResidentChips(chips, memory, target) for part, chips in parts.items()}
    except (MemoryError, RuntimeError) as error:
        if not memory_problem(error):
            raise
    return None
