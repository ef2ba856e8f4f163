"""torchgeo's SemanticSegmentationTask under Lightning on the same chips; used by `benchmarks.train`.

python -m benchmarks._torchgeo CHIPS BATCH STEPS PRECISION
"""

import logging
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader, Dataset
from torchgeo.trainers import SemanticSegmentationTask  # type: ignore[import-not-found,unused-ignore]

from benchmarks._train_common import ENCODER, WARM_UP


class Samples(Dataset[dict[str, torch.Tensor]]):
    """Chips in the format of torchgeo's datasets: float images from 0 to 1, int64 masks."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.names = folder, sorted(path.name for path in (folder / "images").iterdir())

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: int) -> dict[str, torch.Tensor]:
        image_HWC = np.asarray(Image.open(self.folder / "images" / self.names[index]))
        mask_HW = np.asarray(Image.open(self.folder / "masks" / self.names[index]))
        image_CHW = torch.tensor(image_HWC).permute(2, 0, 1).float() / 255
        return {"image": image_CHW, "mask": torch.tensor(mask_HW).long()}


class StepTimer(L.Callback):
    """Record the end of each training step."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_train_batch_end(self, *_: Any) -> None:
        """Append the time."""
        self.ends.append(time.perf_counter())


def main() -> None:
    """Print chips per second."""
    folder, batch, steps, precision = Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    warnings.simplefilter("ignore")
    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    task = SemanticSegmentationTask(model="unet", backbone=ENCODER, num_classes=5, loss="ce", ignore_index=255)
    timer = StepTimer()
    trainer = L.Trainer(
        accelerator="cpu",
        precision=precision,  # type: ignore[arg-type]
        max_epochs=99,
        max_steps=WARM_UP + steps,
        callbacks=[timer],
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    trainer.fit(task, DataLoader(Samples(folder), batch, shuffle=True, drop_last=True))
    print(f"{steps * batch / (timer.ends[-1] - timer.ends[WARM_UP - 1]):.3f}")


if __name__ == "__main__":
    main()
