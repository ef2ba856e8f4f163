"""What the measurements of `benchmarks.gpu` share: networks, sizes, the device, chips and a clock."""

import shutil
import statistics
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import torch

from benchmarks._gpu_report import Report
from benchmarks._train_stage import stage_params
from pipeline.core.cpus import available_cpus
from pipeline.formats.chips import (
    chip_folders,
    make_chip_folders,
    read_chips,
    read_imagery,
    read_origin,
    write_tables,
)
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.learning.device import Device, select_device


@dataclass(frozen=True)
class Network:
    """A network by its names in params.yaml."""

    architecture: str
    encoder: str

    def __str__(self) -> str:
        return f"{self.architecture} {self.encoder}"


@dataclass(frozen=True)
class ChipCount:
    """Chips of the parts of a split."""

    train: int
    val: int

    @property
    def total(self) -> int:
        """Chips of an epoch."""
        return self.train + self.val


@dataclass(frozen=True)
class Size:
    """How much is measured."""

    networks: tuple[Network, ...]
    """The first one in every detail."""
    batch: int
    warm_up: int
    """Runs before those that are timed."""
    repeats: int
    full: ChipCount
    """Of the stage with the first network."""
    few: ChipCount
    """Of the stage with other networks and settings."""
    reading: int
    """Chips to read in a pass."""
    seconds: float
    """Of reading, at least."""
    workers: tuple[int, ...]
    variants: tuple[str, ...]
    """Which runs of the stage follow the first one, see `_gpu_train.VARIANTS`."""


LANDCOVERAI = ChipCount(8539, 1067)
"""80 and 10 % of the 10,674 chips of LandCover.ai."""
FULL = Size(
    networks=(
        Network("unet", "resnet34"),
        Network("unet", "resnet18"),
        Network("unet", "resnet101"),
        Network("unetplusplus", "resnet34"),
    ),
    batch=32,
    warm_up=8,
    repeats=20,
    full=LANDCOVERAI,
    few=ChipCount(2048, 256),
    reading=2048,
    seconds=3,
    workers=tuple(sorted({8, max(1, available_cpus() - 1)})),
    variants=("deterministic", "networks", "cache none", "compile"),
)
SMALL = Size(
    networks=(Network("unet", "resnet18"), Network("unetplusplus", "resnet18")),
    batch=2,
    warm_up=1,
    repeats=2,
    full=ChipCount(8, 2),
    few=ChipCount(8, 2),
    reading=8,
    seconds=0.1,
    workers=(1,),
    variants=("deterministic",),
)


@dataclass
class Setup:
    """Where and on what is measured, and the report to write to."""

    chips: Path
    """The chips folder that is given."""
    scratch: Path
    """A folder for the copies."""
    size: Size
    report: Report
    device: Device = field(default_factory=lambda: select_device("auto"))

    @property
    def on_cuda(self) -> bool:
        """Whether there is a GPU."""
        return self.device.name == "cuda"

    @cached_property
    def table(self) -> ClassTable:
        """The classes of the chips."""
        return read_classes(self.chips / "classes.json")

    @cached_property
    def copies(self) -> tuple[Path, list[str]]:
        """A chips folder of as many chips as the largest run of the stage needs, and their ids."""
        folder, start = self.scratch / "chips", time.perf_counter()
        ids = copy_chips(self.chips, folder, self.size.full.total)
        self.report.add(f"copying {len(ids):,} chips", time.perf_counter() - start, "s")
        return folder, ids

    def repeated(self, count: int) -> list[str]:
        """Return the ids of `count` of the given chips, repeated as needed."""
        ids = list(read_chips(self.chips)["id"])
        return (ids * -(-count // len(ids)))[:count]

    def params(self, network: Network, **train: Any) -> dict[str, Any]:
        """Return params.yaml for a training with the study's batch size and learning rate on one device."""
        settings = {"batch_size": self.size.batch, "lr": 1e-4, "epochs": 3, "devices": 1, "device": "auto"} | train
        return stage_params(settings, **vars(network))

    def milliseconds(self, run: Callable[[], object]) -> float:
        """Return the median time of a run: on the GPU between two of its events, without waiting in between."""
        for _ in range(self.size.warm_up):
            run()
        if not self.on_cuda:
            return 1000 * statistics.median(seconds(run) for _ in range(self.size.repeats))
        events = [(_event(), _event()) for _ in range(self.size.repeats)]
        for start, end in events:
            start.record()
            run()
            end.record()
        torch.cuda.synchronize()
        return float(statistics.median(start.elapsed_time(end) for start, end in events))


def _event() -> torch.cuda.Event:
    return torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]


def seconds(run: Callable[[], object]) -> float:
    """Return the time of a single run; on a GPU `run` has to wait for it."""
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


def copy_chips(source: Path, folder: Path, count: int) -> list[str]:
    """Write a chips folder with `count` chips, copies of those of another one under new ids; return the ids.

    As files, not links, so that each chip is read and hashed like any other.
    """
    bands = len(read_imagery(source).bands)
    make_chip_folders(folder, bands)
    frame = read_chips(source)
    rows: list[dict[str, object]] = [
        {str(name): value for name, value in row.items()}
        for row in frame.astype(object).where(frame.notna(), None).to_dict("records")
    ]
    originals = [rows[number % len(rows)] for number in range(count)]
    ids = [f"{original['id']}_{number:05}" for number, original in enumerate(originals)]

    def copy(number: int) -> None:
        for kind in chip_folders(bands):
            shutil.copyfile(source / kind / f"{originals[number]['id']}.png", folder / kind / f"{ids[number]}.png")

    with ThreadPoolExecutor(2 * available_cpus()) as pool:
        list(pool.map(copy, range(count)))
    copies = ({**original, "id": name} for name, original in zip(ids, originals, strict=True))
    write_tables(folder, copies, read_classes(source / "classes.json"), read_imagery(source), read_origin(source))
    return ids
