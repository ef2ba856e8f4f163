"""The chips of a split as tensors.

N: chips of a batch. H, W: rows and columns of a chip. Images stay uint8 until they are on the device.
"""

from pathlib import Path

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from pipeline.core.cpus import cpu_pool
from pipeline.core.errors import PipelineError
from pipeline.formats.chips import IMAGE_BANDS
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.png import read_chip_image, read_mask
from pipeline.formats.splits import REFUSED

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
        image_HWC, mask_HW = self.read(index)
        return torch.from_numpy(image_HWC).permute(2, 0, 1), torch.from_numpy(mask_HW)

    def read(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        """Return image_HWC and mask_HW, uint8.

        Raises:
            PipelineError: a file is missing or damaged.
        """
        chip = self.ids[index]
        image_HWC = read_chip_image(self.folder, chip, self.bands)
        return image_HWC, self._index[read_mask(self.folder / "masks" / f"{chip}.png")]
