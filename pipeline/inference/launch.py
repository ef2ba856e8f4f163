"""A batch in the network: a GPU is given its work and not waited for.

A GPU does what it is given in that order. The layers of a batch are therefore ready before the next batch's network
starts, in its memory there is one batch at a time, and only layers, a byte each, wait in pinned memory of the host.
"""

import time
from dataclasses import dataclass

import numpy as np
import torch

from pipeline.inference.network import LoadedModel, Wanted, map_layers
from pipeline.learning.device import Device

Events = tuple[torch.cuda.Event, torch.cuda.Event]


def is_asynchronous(device: Device) -> bool:
    """Return whether a batch is computed while this process goes on."""
    return device.name == "cuda"


def empty_images(shape: tuple[int, int, int, int], device: Device) -> np.ndarray:
    """Return images_NHWC to fill, uint8; for a GPU in pinned memory, from which it copies without holding us up."""
    if device.name == "cuda":
        return torch.empty(shape, dtype=torch.uint8, pin_memory=True).numpy()
    return np.empty(shape, np.uint8)


@dataclass(frozen=True)
class Launched:
    """The layers of windows, which a GPU may still be computing."""

    layers: list[dict[str, torch.Tensor]]
    """By window, uint8 (bands, height, width); filled once `wait` has returned."""
    seconds: float
    """That it took to launch them."""
    events: Events | None = None
    """That a GPU passes at their start and end."""

    def wait(self) -> float:
        """Wait until the layers are computed; return the seconds that they took, the network included.

        Raises:
            RuntimeError: the GPU failed.
        """
        if self.events is None:
            return self.seconds
        start, end = self.events
        end.synchronize()
        return float(start.elapsed_time(end)) / 1000


def launch(model: LoadedModel, images_NHWC: np.ndarray, parts: list[tuple[slice, slice]], wanted: Wanted) -> Launched:
    """Put images through the network, and begin to copy the layers of a part of each into the host's memory.

    Args:
        model: which network.
        images_NHWC: uint8, at least one; neither changed nor freed until `Launched.wait` returns.
        parts: rows and columns of each image whose layers are wanted.
        wanted: which layers.
    """
    start, events = time.perf_counter(), _events() if is_asynchronous(model.device) else None
    if events:
        events[0].record()
    layers = []
    for logits_KHW, part in zip(model.logits(images_NHWC), parts, strict=True):
        on_device = map_layers(model, logits_KHW[:, *part], wanted)
        # `to` allocates pinned memory, into which a GPU copies in its own time
        layers.append({name: layer.to("cpu", non_blocking=True) for name, layer in on_device.items()})
    if events:
        events[1].record()
    return Launched(layers, time.perf_counter() - start, events)


def _events() -> Events:
    """Return events for which a thread waits asleep: reading and writing need the CPUs."""
    start, end = (torch.cuda.Event(enable_timing=True, blocking=True) for _ in range(2))  # type: ignore[no-untyped-call]
    return start, end
