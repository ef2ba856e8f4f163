"""A trained network, ready to be applied to windows of a scene."""

import math
import os
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch

from pipeline.core.errors import PipelineError
from pipeline.core.fingerprint import versions
from pipeline.formats.classes import IGNORE, ClassTable, LandCoverClass
from pipeline.inference.memory import batch_bytes_per_pixel
from pipeline.inference.windows import Tiling
from pipeline.learning.confusion import argmax
from pipeline.learning.device import (
    Device,
    DeviceName,
    Precision,
    allow_tf32,
    keep_freed_memory,
    rounding,
    select_scoring_device,
)
from pipeline.learning.model import Model
from pipeline.learning.model import load_model as load_folder

HALO = {
    ("unet", "resnet18"): 160,
    ("unet", "resnet34"): 160,
    ("unet", "resnet101"): 192,
    ("unetplusplus", "resnet34"): 224,
    ("unet", "timm-tf_efficientnet_lite0"): 256,
}
"""Pixels of context that a window needs on each side, by architecture and encoder: measured by `benchmarks/halo.py`."""
DEFAULT_HALO = 256
"""For networks that were not measured; how far their windows differ is measured and reported with each map."""
WINDOW_HALOS = 8
"""Side of the largest window in halos: at least 56 % of the computed pixels are then in the map. Over 4,000 x 4,000 px
on two cores, windows of 1,568 px took a tenth less time than those of 1,248 px and 0.4 GB more, and the memory of
larger ones varied by more than 100 MB from run to run."""
BATCH_PIXELS = 8_000_000
"""Of a batch on a GPU, at least, if its memory allows: five windows of 1,280 px, where half of 80 GB would hold 82.
At a 32nd of the resolution, 512 channels of them are a matrix product of about 250 tiles, and large GPUs have 130 to
150 processors; more windows would take more memory and delay the first results."""
DEFAULT_MEMORY_GB = 4.0
UNDECIDED_COLOUR = (128, 128, 128)
PER_CENT = 100
OTHER_LAYERS = ("confidence", "probabilities")
"""Layers that a map may have besides its classes."""


@dataclass(frozen=True)
class Wanted:
    """The layers of a map besides its classes."""

    confidence: bool = False
    probabilities: bool = False
    undecided: float | None = None
    """Confidence in per cent below which a pixel is undecided."""

    @property
    def layers(self) -> tuple[str, ...]:
        """Names of the layers besides `classes`."""
        return tuple(name for name in OTHER_LAYERS if getattr(self, name))

    @property
    def needs_probabilities(self) -> bool:
        """Whether a map depends on the network's probabilities, not on its classes alone."""
        return bool(self.layers) or self.undecided is not None


@dataclass(frozen=True)
class LoadedModel:
    """A trained network on its device."""

    model: Model
    device: Device
    notes: tuple[str, ...] = ()
    """Lines for the user, such as a precision that the device does not support."""

    @property
    def halo(self) -> int:
        """Pixels of context on each side of a window."""
        halo = HALO.get((self.model.config.architecture, self.model.config.encoder), DEFAULT_HALO)
        return -(-halo // self.stride) * self.stride

    @property
    def is_measured(self) -> bool:
        """Whether the halo of this network was measured."""
        return (self.model.config.architecture, self.model.config.encoder) in HALO

    @property
    def stride(self) -> int:
        """Of the encoder, in pixels."""
        return int(self.model.segmenter.net.encoder.output_stride)  # type: ignore[union-attr, arg-type]

    @cached_property
    def class_ids(self) -> torch.Tensor:
        """By output of the network, uint8, where its logits are: copied once, since a GPU is waited for."""
        where = "cuda" if self.device.name == "cuda" else "cpu"
        return torch.tensor(self.model.table.ids, dtype=torch.uint8, device=where)

    @cached_property
    def bytes_per_pixel(self) -> float:
        """Memory that a batch needs inside the network, in bytes per pixel."""
        return batch_bytes_per_pixel(self.model.segmenter, self.device)

    @property
    def identity(self) -> list[object]:
        """JSON values that change when the network's outputs may change."""
        packages = versions(("torch", "segmentation-models-pytorch"))
        return [self.model.digest, packages, rounding(self.device)]

    def undecided_class(self) -> LandCoverClass:
        """Return the class of undecided pixels, with the highest id that is free.

        Raises:
            PipelineError: all ids below 255 are in use.
        """
        free = sorted(set(range(IGNORE)) - set(self.model.table.ids))
        if not free:
            raise PipelineError("--undecided needs a free class id below 255, and the model's classes use all of them")
        name = "undecided" if "undecided" not in self.model.table.names else "undecided (confidence)"
        return LandCoverClass(id=free[-1], name=name, colour=UNDECIDED_COLOUR)

    def table(self, undecided: bool) -> ClassTable:
        """Return the classes of a map: the model's, and that of undecided pixels if there are any.

        Raises:
            PipelineError: there is no free class id.
        """
        classes = self.model.table.classes
        return ClassTable(classes=(*classes, self.undecided_class())) if undecided else self.model.table

    def plan(self, memory_gb: float | None) -> tuple[Tiling, int]:
        """Choose the largest window that fits the memory, and the number of windows in a batch.

        Args:
            memory_gb: for a batch of windows inside the network; None: half of the device's memory, at most 4 GB on
                a CPU.

        Raises:
            PipelineError: it is too little for one window.
        """
        budget = 1e9 * memory_gb if memory_gb is not None else _default_budget(self.device)
        per_pixel = self.bytes_per_pixel
        side = int((budget / per_pixel) ** 0.5) // self.stride * self.stride
        window = min(side, WINDOW_HALOS * self.halo)
        batch = 1 if self.device.name == "cpu" or not window else _batch(budget / per_pixel, window)
        tiling = Tiling(window, self.halo, self.stride)
        if window < tiling.smallest_window:
            needed = math.ceil(100 * tiling.smallest_window**2 * per_pixel / 1e9) / 100
            raise PipelineError(
                f"{budget / 1e9:.2g} GB are too little for this network, whose windows have at least "
                f"{tiling.smallest_window} px a side: --memory {needed:g}"
            )
        return tiling, batch

    def logits(self, images_NHWC: np.ndarray) -> torch.Tensor:
        """Return logits_NKHW, float32, of uint8 images whose sides are multiples of the stride."""
        return self.model.segmenter.predict_logits(torch.from_numpy(images_NHWC).permute(0, 3, 1, 2), self.device)


def load_model(folder: Path | str, device: DeviceName = "auto", precision: Precision | None = None) -> LoadedModel:
    """Load a trained model for making maps.

    On a CPU the process keeps freed memory from then on: see `keep_freed_memory`. On a GPU cuDNN is not told to try its
    algorithms (`torch.backends.cudnn.benchmark`): the fastest differs from run to run, and so could the bytes of a map
    that is continued after a kill; and it tries anew for each number of windows in a batch.

    Args:
        folder: with model.json and model.safetensors, as the stage train writes it.
        device: auto, cpu, cuda or mps.
        precision: of the network's layers; None: as trained, or fp32 where the device does not support that.

    Raises:
        PipelineError: a file is missing or damaged, or the device is not available.
    """
    model = load_folder(Path(folder))
    wanted = precision or model.precision
    chosen = select_scoring_device(device, wanted, "--device")
    if chosen.name == "cpu":
        keep_freed_memory()
    elif chosen.name == "cuda":
        allow_tf32()
    note = f"{wanted} is not supported on this {chosen.name}: the network runs in {chosen.precision}"
    model.segmenter.eval().to(chosen.name).to(memory_format=chosen.memory_format)
    return LoadedModel(model, chosen, () if wanted == chosen.precision else (note,))


def map_layers(model: LoadedModel, logits_KHW: torch.Tensor, wanted: Wanted) -> dict[str, torch.Tensor]:
    """Turn the logits of a window into the layers of a map, without waiting for a GPU.

    Returns:
        `classes`, uint8 ids (1, H, W); if wanted, `confidence`, the softmax probability of the class in per cent,
        uint8 (1, H, W), and `probabilities`, of each class in per cent, uint8 (K, H, W). Both are 0 where the
        softmax is NaN, as after overflows of fp16.
    """
    classes_HW = model.class_ids[argmax(logits_KHW[None])[0]]
    layers = {"classes": classes_HW[None]}
    if wanted.needs_probabilities:
        probability_KHW = PER_CENT * (logits_KHW / model.model.temperature).softmax(dim=0).nan_to_num(0)
        confidence_HW = probability_KHW.amax(dim=0)
        if wanted.undecided is not None:
            classes_HW.masked_fill_(confidence_HW < wanted.undecided, model.undecided_class().id)
        if wanted.confidence:
            layers["confidence"] = confidence_HW.round()[None].byte()
        if wanted.probabilities:
            layers["probabilities"] = probability_KHW.round().byte()
    return layers


def _batch(pixels: float, window: int) -> int:
    """Return how many windows to put through the network at once, where there is memory for so many `pixels`."""
    return max(1, min(int(pixels / window**2), -(-BATCH_PIXELS // window**2)))


def _default_budget(device: Device) -> float:
    if device.name == "cuda":
        return torch.cuda.mem_get_info()[1] / 2  # not of the free part: the same windows after a kill
    physical = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    return min(1e9 * DEFAULT_MEMORY_GB, physical / 2)
