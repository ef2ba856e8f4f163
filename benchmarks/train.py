"""Training speed: the stage train, the network alone, and torchgeo.

    make repro && python -m benchmarks.train [ROUNDS]

U-Net with ResNet18, cross entropy, Adam, on the CPU; chips of the sample at 512 px (batch size 4), and split into four
at 256 px (batch size 8). Each round runs every contender once, each in its own process; the medians are printed:

- ours: `python -m pipeline.train`, from the end of the first epoch to the end of the second: reading PNGs,
  augmentation, training steps, scoring, validation of one chip, saving the checkpoint, writing curves. Only training
  chips are counted.
- bare: training steps on one batch in memory, same precision and memory format; in a plain process, and with huge pages
  and malloc keeping freed memory, as in ours.
- torchgeo: its SemanticSegmentationTask under Lightning, reading the same chips; with its defaults, and bf16-mixed. It
  is installed into `.venv-torchgeo`, which also sees this project's torch.
"""

import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks._train_stage import ENVIRONMENT, ROOT, run_stage, stage_params
from pipeline.formats.chips import Chip, read_chips, read_imagery, read_origin, write_tables
from pipeline.formats.classes import read_classes
from pipeline.formats.png import read_image, read_mask, save_chip

SAMPLE = ROOT / "data/chips/landcoverai"
TORCHGEO = ROOT / ".venv-torchgeo"
ROUNDS = 3
VAL = 1
"""Validation chips; only ours validates."""


@dataclass(frozen=True)
class Size:
    """A chip size, and the number of steps of each contender."""

    side: int
    batch: int
    epoch: int
    """Chips per epoch of ours; with fewer, saving the checkpoint would weigh more than in practice."""
    steps: int
    """Steps of the bare loop."""
    torchgeo_steps: int


SIZES = (Size(256, 8, 640, 30, 8), Size(512, 4, 192, 16, 4))


def split_chips(size: Size, folder: Path) -> Path:
    """Split the sample's chips into chips of this size."""
    table, rows = read_classes(SAMPLE / "classes.json"), []
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
    for name in read_chips(SAMPLE)["id"]:
        image_HWC, mask_HW = (read(SAMPLE / kind / f"{name}.png") for kind, read in READERS.items())
        for row in range(0, image_HWC.shape[0], size.side):
            for column in range(0, image_HWC.shape[1], size.side):
                window = slice(row, row + size.side), slice(column, column + size.side)
                chip = Chip(f"{name}_{row}_{column}", name, row, column, size.side, size.side)
                rows.append(save_chip(folder, chip, image_HWC[window], mask_HW[window], table))
    write_tables(folder, rows, table, read_imagery(SAMPLE), read_origin(SAMPLE))
    return folder


READERS: dict[str, Any] = {"images": read_image, "masks": read_mask}


def ours(size: Size, chips: Path) -> float:
    """Measure chips per second of the stage train."""
    names = list(read_chips(chips)["id"])
    training = [names[number % len(names)] for number in range(size.epoch)]
    params = stage_params({"epochs": 2, "batch_size": size.batch, "device": "cpu"}, loss="ce")
    first, second = run_stage(chips, {"train": training, "val": names[:VAL]}, params).epochs
    return size.epoch / (second.ended - first.ended)


def run_module(python: Path, *arguments: str, environment: dict[str, str] | None = None) -> float:
    """Run a benchmark module; return the number it prints."""
    command = [str(python), "-m", *arguments]
    environment = os.environ | (environment or {})
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    return float(run.stdout.split()[-1])


def torchgeo_python() -> Path:
    """Return the Python of the environment with torchgeo; create it if it does not exist."""
    python = TORCHGEO / "bin/python"
    if not (TORCHGEO / "ready").exists():
        subprocess.run([sys.executable, "-m", "venv", "--clear", TORCHGEO], check=True)
        (site,) = TORCHGEO.glob("lib/python3*/site-packages")
        (own,) = (ROOT / ".venv").glob("lib/python3*/site-packages")
        (site / "project.pth").write_text(f"{own}\n")
        subprocess.run([python, "-m", "pip", "install", "--quiet", "torchgeo"], check=True)
        (TORCHGEO / "ready").touch()
    return python


def measure(size: Size, chips: Path) -> dict[str, float]:
    """Run every contender once; return chips per second of each."""
    own, other = Path(sys.executable), torchgeo_python()
    bare = ("benchmarks._bare", str(chips), str(size.batch), str(size.steps))
    geo = ("benchmarks._torchgeo", str(chips), str(size.batch), str(size.torchgeo_steps))
    return {
        "ours": ours(size, chips),
        "bare": run_module(own, *bare),
        "bare, keeps memory": run_module(own, *bare, "keep-memory", environment=ENVIRONMENT),
        "torchgeo": run_module(other, *geo, "32-true"),
        "torchgeo bf16-mixed": run_module(other, *geo, "bf16-mixed"),
    }


def main() -> None:
    """Print the median chips per second, and the ratio of ours to each."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as scratch:
        for size in SIZES:
            chips = split_chips(size, Path(scratch, str(size.side)))
            results = [measure(size, chips) for _ in range(rounds)]
            print(f"{size.side} px, batch size {size.batch}, {rounds} rounds, chips per second:")
            for name in results[0]:
                median = statistics.median(result[name] for result in results)
                ratio = statistics.median(result["ours"] / result[name] for result in results)
                print(f"  {name:20} {median:6.2f}   ours / this {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
