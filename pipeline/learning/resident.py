"""Chips that are decoded once and stay in memory; their batches are gathered on the device of the training.

Decoding takes 8 ms of a core for each chip of 512 px and each epoch: docs/benchmarks.md, "How fast is reading?". In
memory a chip takes a byte for each pixel and band, and one for each pixel of its mask.
"""

from typing import Literal

import numpy as np
import torch
from torch.utils.data import Dataset

from pipeline.core.cpus import cpu_pool
from pipeline.core.errors import PipelineError
from pipeline.learning.data import Batch, Chips

MemoryName = Literal["gpu", "ram"]
BLOCK = 2**28
"""Bytes of a block of chips: a power of two, to which torch rounds up the sizes of pinned memory."""


def chip_bytes(chips: Chips) -> int:
    """Return the memory that a chip needs, all being of one size.

    Raises:
        PipelineError: the first chip cannot be read.
    """
    image_HWC, mask_HW = chips.read(0)
    return image_HWC.size + mask_HW.size


class ResidentChips(Dataset[Batch]):
    """All chips, decoded with all cores; in the memory of a GPU, or in RAM."""

    def __init__(self, chips: Chips, memory: MemoryName, target: torch.device) -> None:
        """Decode the chips.

        Args:
            chips: of one size.
            memory: `gpu`: that of `target`; `ram`: pinned if `target` is a GPU, so that copies to it do not wait.
            target: the device of batches.

        Raises:
            PipelineError: a chip cannot be read, or has another size than the first.
            RuntimeError: there is too little memory.
        """
        self.memory = memory
        self._chips, self._target = chips, target
        self._shape = chips.read(0)[0].shape
        self._image_bytes, size = int(np.prod(self._shape)), chip_bytes(chips)
        self._rows: list[torch.Tensor] = []
        """By chip: the bytes of image_HWC, then those of mask_HW."""
        per_block = max(1, BLOCK // size)
        for start in range(0, len(chips), per_block):
            count = min(per_block, len(chips) - start)
            is_pinned = memory == "ram" and target.type == "cuda"
            block_NP = torch.empty((count, size), dtype=torch.uint8, pin_memory=is_pinned)
            list(cpu_pool().map(self._decode, block_NP, range(start, start + count)))
            self._rows.extend(block_NP.to(target) if memory == "gpu" else block_NP)

    def __len__(self) -> int:
        return len(self._rows)

    def __getitems__(self, indices: list[int]) -> Batch:
        """Gather a whole batch, which needs no collating; on a GPU without waiting for it."""
        batch_NP = torch.empty((len(indices), len(self._rows[0])), dtype=torch.uint8, device=self._target)
        for row_P, index in zip(batch_NP, indices, strict=True):
            row_P.copy_(self._rows[index], non_blocking=True)
        images_NHWC = batch_NP[:, : self._image_bytes].view(-1, *self._shape)
        return images_NHWC.permute(0, 3, 1, 2), batch_NP[:, self._image_bytes :].view(-1, *self._shape[:2])

    def _decode(self, row_P: torch.Tensor, index: int) -> None:
        image_HWC, mask_HW = self._chips.read(index)
        if (image_HWC.shape, mask_HW.shape) != (self._shape, self._shape[:2]):
            sizes = [" x ".join(map(str, shape[:2])) for shape in (image_HWC.shape, mask_HW.shape, self._shape)]
            raise PipelineError(
                f"{self._chips.folder}: the image of {self._chips.ids[index]} has {sizes[0]} px and its mask "
                f"{sizes[1]}, those of {self._chips.ids[0]} {sizes[2]}; restore the files with `dvc checkout`"
            )
        pixels_P = row_P.numpy()  # torch's own copy would start threads that compete with those of the other chips
        pixels_P[: self._image_bytes], pixels_P[self._image_bytes :] = image_HWC.reshape(-1), mask_HW.reshape(-1)
