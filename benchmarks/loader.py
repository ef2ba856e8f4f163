"""How fast chips are read, and how fast a GPU may be before reading limits it.

    make repro && python -m benchmarks.loader [SECONDS]

Read the sample's chips of 512 px as training does, repeatedly from the page cache: in threads of the training process,
and in one worker process per core. Print chips per second and core, extrapolated to 8, 16 and 32 cores.
"""

import os
import sys
import time
from pathlib import Path

import torch

from pipeline.formats.chips import read_chips
from pipeline.formats.classes import read_classes
from pipeline.learning.batches import BatchPlan
from pipeline.learning.data import Chips
from pipeline.learning.loaders import training_loader

CHIPS, BATCH, SECONDS = Path("data/chips/landcoverai"), 8, 10.0


def rate(chips: Chips, workers: int, seconds: float, batch: int = BATCH) -> float:
    """Measure chips per second after the first epoch."""
    loader = training_loader(chips, BatchPlan(batch), workers, seed=1, pin_memory=torch.cuda.is_available())
    for _ in loader:
        pass
    start, read = time.perf_counter(), 0
    while time.perf_counter() - start < seconds:
        read += sum(len(images) for images, _ in loader)
    return read / (time.perf_counter() - start)


def main() -> None:
    """Print both rates and the extrapolation."""
    torch.set_num_threads(1)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    names = list(read_chips(CHIPS)["id"])
    chips = Chips(CHIPS, names * 8, read_classes(CHIPS / "classes.json"))
    cores = os.cpu_count() or 1
    for workers in (0, cores):
        total = rate(chips, workers, seconds)
        per_core = total / cores
        print(f"{workers} worker processes: {total:.0f} chips of 512 px per second, {per_core:.0f} per core")
    print(", ".join(f"{count} cores: {per_core * count:.0f} per second" for count in (8, 16, 32)))


if __name__ == "__main__":
    main()
