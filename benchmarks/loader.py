"""How fast chips are read, and the GPU that so many cores could feed.

    make repro && python -m benchmarks.loader [SECONDS]

Reads the sample's chips of 512 px as training does, in threads of the process that trains and with a reading process
for each core, over and over from the page cache; prints chips per second and core, and what 8, 16 and 32 cores would
bring at that rate.
"""

import os
import sys
import time
from pathlib import Path

import torch

from pipeline.formats.chips import read_chips
from pipeline.formats.classes import read_classes
from pipeline.learning.data import BatchPlan, Chips, training_loader

CHIPS, BATCH, SECONDS = Path("data/chips/landcoverai"), 8, 10.0


def rate(chips: Chips, workers: int, seconds: float) -> float:
    """Chips per second, from the first epoch's end on."""
    loader = training_loader(chips, BatchPlan(BATCH), workers, seed=1)
    for _ in loader:
        pass
    began, read = time.perf_counter(), 0
    while time.perf_counter() - began < seconds:
        read += sum(len(images) for images, _ in loader)
    return read / (time.perf_counter() - began)


def main() -> None:
    """Print both."""
    torch.set_num_threads(1)
    seconds = float(sys.argv[1]) if len(sys.argv) > 1 else SECONDS
    names = list(read_chips(CHIPS)["id"])
    chips = Chips(CHIPS, names * 8, read_classes(CHIPS / "classes.json"))
    cores = os.cpu_count() or 1
    for workers in (0, cores):
        found = rate(chips, workers, seconds)
        each = found / cores
        print(f"{workers or 'no'} reading processes: {found:.0f} chips of 512 px per second, {each:.0f} for each core")
    print(", ".join(f"{many} cores would feed {each * many:.0f} per second" for many in (8, 16, 32)))


if __name__ == "__main__":
    main()
