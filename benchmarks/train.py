"""How much of the network's own speed the stage train keeps, and how it compares with torchgeo.

    make repro && python -m benchmarks.train [ROUNDS]

U-Net with ResNet18, cross entropy, Adam, on the processor; chips of the sample at 512 px (4 a batch), and cut in four
at 256 px (8 a batch). The sides take turns, each in a process of its own; of the rounds the medians are printed:

- ours: `python -m pipeline.train`, from the end of the first epoch to the end of the second: reading PNGs, turning,
  learning, scoring, validating one chip, saving the state, writing curves; counted are the training chips.
- bare: steps on one batch in memory, same precision and memory format, in a plain process; and in one that has huge
  pages and keeps freed memory as ours does.
- torchgeo's SemanticSegmentationTask under Lightning, which reads the same chips: its defaults, and bf16-mixed. It is
  installed into `.venv-torchgeo`, which sees this project's own torch.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from pipeline.formats.chips import Chip, read_chips, read_imagery, read_origin, write_tables
from pipeline.formats.classes import read_classes
from pipeline.formats.png import read_image, read_mask, save_chip

ROOT = Path(__file__).parents[1]
SAMPLE = ROOT / "data/chips/landcoverai"
TORCHGEO = ROOT / ".venv-torchgeo"
ROUNDS = 3
OURS = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""What dvc.yaml sets for the stage train."""
VAL = 1
"""Chips to validate, for ours alone does so."""


@dataclass(frozen=True)
class Size:
    """Chips of one size, and how many steps each side takes."""

    side: int
    batch: int
    epoch: int
    """Chips of one of our epochs; shorter ones would pay more for saving the state than real ones do."""
    steps: int
    """Of the bare loop."""
    torchgeo_steps: int


SIZES = (Size(256, 8, 640, 30, 8), Size(512, 4, 192, 16, 4))


def cut(size: Size, folder: Path) -> Path:
    """The sample's chips, cut into chips of this size."""
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


def lists(size: Size, chips: Path, folder: Path) -> Path:
    """An epoch of so many chips, some of them several times, and a chip to validate."""
    names = list(read_chips(chips)["id"])
    many = [names[number % len(names)] for number in range(size.epoch)]
    folder.mkdir()
    for part, chosen in (("train", many), ("val", names[:VAL])):
        (folder / f"{part}.txt").write_text("".join(f"{name}\n" for name in chosen))
    return folder


def ours(size: Size, chips: Path) -> float:
    """Chips per second of the stage train."""
    with tempfile.TemporaryDirectory() as scratch:
        params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
        params |= {"loss": "ce", "train": params["train"] | {"epochs": 2, "batch_size": size.batch, "device": "cpu"}}
        Path(scratch, "params.yaml").write_text(yaml.safe_dump(params))
        paths = [chips, lists(size, chips, Path(scratch, "lists")), "model", "train.json", "cost.json", "plots"]
        environment = os.environ | OURS | {"PYTHONPATH": str(ROOT), "PIPELINE_CACHE": f"{scratch}/cache"}
        command = [sys.executable, "-m", "pipeline.train", *map(str, paths)]
        with subprocess.Popen(command, cwd=scratch, env=environment, stdout=subprocess.PIPE, text=True) as run:
            assert run.stdout is not None
            ends = [time.perf_counter() for line in run.stdout if line.startswith("epoch ")]
        assert (run.returncode, len(ends)) == (0, 2)
    return size.epoch / (ends[1] - ends[0])


def said(python: Path, *arguments: str, environment: dict[str, str] | None = None) -> float:
    """The number that a side prints."""
    command, with_more = [str(python), "-m", *arguments], os.environ | (environment or {})
    run = subprocess.run(command, cwd=ROOT, env=with_more, check=True, stdout=subprocess.PIPE, text=True)
    return float(run.stdout.split()[-1])


def torchgeo() -> Path:
    """The Python of an environment with torchgeo, made if it is not there."""
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
    """One round."""
    own, theirs = Path(sys.executable), torchgeo()
    bare = ("benchmarks._bare", str(chips), str(size.batch), str(size.steps))
    geo = ("benchmarks._torchgeo", str(chips), str(size.batch), str(size.torchgeo_steps))
    return {
        "ours": ours(size, chips),
        "bare": said(own, *bare),
        "bare, our memory": said(own, *bare, "ours", environment=OURS),
        "torchgeo": said(theirs, *geo, "32-true"),
        "torchgeo bf16-mixed": said(theirs, *geo, "bf16-mixed"),
    }


def main() -> None:
    """Print medians of chips per second, and ours divided by each."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as scratch:
        for size in SIZES:
            chips = cut(size, Path(scratch, str(size.side)))
            found = [measure(size, chips) for _ in range(rounds)]
            print(f"{size.side} px, {size.batch} a batch, {rounds} rounds, chips per second:")
            for name in found[0]:
                median = statistics.median(one[name] for one in found)
                ratio = statistics.median(one["ours"] / one[name] for one in found)
                print(f"  {name:20} {median:6.2f}   ours / this {ratio:.3f}", flush=True)


if __name__ == "__main__":
    main()
