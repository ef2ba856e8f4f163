"""A small world that a network learns in seconds: the brightness of a block determines its class."""

import copy
import json
import os
import subprocess
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn
from torch.utils.data import SequentialSampler

from pipeline.evaluate import EvaluateParams, evaluate
from pipeline.formats.chips import Chip, Imagery, Origin, make_chip_folders, write_tables
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.formats.png import save_chip
from pipeline.learning.batches import BatchPlan, MicroBatchSampler
from pipeline.learning.config import TrainConfig
from pipeline.learning.device import Device
from pipeline.learning.losses import LOSSES, LossConfig
from pipeline.learning.model import Segmenter
from pipeline.learning.task import Task
from pipeline.train import TrainParams, train

ROOT = Path(__file__).parents[2]
BRIGHTNESS = ClassTable(
    classes=(
        LandCoverClass(id=1, name="water", colour=(0, 0, 200)),
        LandCoverClass(id=4, name="field", colour=(0, 200, 0)),
        LandCoverClass(id=9, name="roof", colour=(200, 0, 0)),
    )
)
LEVELS = {1: 30, 4: 125, 9: 220}
IMAGERY = Imagery(("B04", "B03", "B02"), 0.0001, -0.1, (0.0, 0.3), synthetic=True)
ORIGIN = Origin("sample", {})
CONFIG: dict[str, Any] = {
    "epochs": 1,
    "steps": "none",
    "batch_size": 2,
    "accumulate": 1,
    "lr": 0.002,
    "optimizer": "adam",
    "schedule": "step",
    "lr_step": 15,
    "lr_gamma": 0.1,
    "clip": "none",
    "early_stop": "none",
    "gamma": 2.0,
    "alpha": "none",
    "class_weights": "none",
    "augment": "flips",
    "precision": "auto",
    "deterministic": False,
    "compile": False,
    "workers": 0,
    "cache": "none",
    "device": "cpu",
    "devices": 1,
}
TRAIN: dict[str, Any] = {
    "dataset": "landcoverai",
    "architecture": "unet",
    "encoder": "resnet18",
    "encoder_weights": "none",
    "loss": "ce",
    "seed": 1,
    "train": CONFIG,
}
EVALUATE: dict[str, Any] = {"evaluate": {"batch_size": 2, "examples": 2, "device": "cpu"}}


def train_config(**changes: Any) -> TrainConfig:
    return TrainConfig.model_validate(CONFIG | changes)


def train_params(**changes: Any) -> TrainParams:
    """Keys of the section `train` and top-level ones alike: `train_params(loss="dice", lr=0.1)`."""
    values = copy.deepcopy(TRAIN)
    for key, value in changes.items():
        (values["train"] if key in CONFIG else values)[key] = value
    return TrainParams.model_validate(values)


def tiny_task(**changes: Any) -> Task:
    """A network of one layer with a receptive field of one pixel, for up to 99 chips in order."""
    torch.manual_seed(1)
    segmenter = Segmenter(nn.Conv2d(3, 3, 1), (0.5,) * 3, (0.25,) * 3)
    task = Task(segmenter, BRIGHTNESS.names, LOSSES["ce"](LossConfig()), train_config(**changes), seed=7)
    plan = BatchPlan(task.config.batch_size, accumulate=task.config.accumulate)
    return task.prepare(Device("cpu", "fp32"), MicroBatchSampler(SequentialSampler(range(99)), 99, plan))


def evaluate_params(**changes: Any) -> EvaluateParams:
    return EvaluateParams.model_validate({"evaluate": EVALUATE["evaluate"] | changes})


def bright_chip(number: int, side: int, bands: int = 3) -> tuple[np.ndarray, np.ndarray]:
    """Blocks of 16 px, each of one class; a noisy image, and one row of the mask ignored.

    Bands beyond the third are dark where the others are bright.
    """
    random = np.random.default_rng(number)
    blocks_HW = random.choice([1, 4, 9], (side // 16, side // 16))
    blocks_HW.flat[:3] = [1, 4, 9]
    mask_HW = blocks_HW.repeat(16, 0).repeat(16, 1).astype(np.uint8)
    levels_HW = np.array([LEVELS.get(value, 0) for value in range(10)])[mask_HW]
    image_HWC = levels_HW[..., None] + random.integers(-20, 21, (side, side, 3))
    mask_HW[number % side] = 255
    if bands > 3:
        more_HWC = 250 - levels_HW[..., None] + random.integers(-5, 6, (side, side, bands - 3))
        image_HWC = np.concatenate([image_HWC, more_HWC], axis=2)
    return image_HWC.astype(np.uint8), mask_HW


def chips_folder(folder: Path, count: int, side: int = 32, table: ClassTable = BRIGHTNESS, bands: int = 3) -> Path:
    """Chips c00, c01, …"""
    make_chip_folders(folder, bands)
    rows = []
    for number in range(count):
        chip = Chip(f"c{number:02}", f"s{number}", 0, 0, side, side, 500000.0, 0.0, "EPSG:32630", 10.0)
        rows.append(save_chip(folder, chip, *bright_chip(number, side, bands), table))
    more = tuple(f"more {number}" for number in range(4, bands + 1))
    write_tables(folder, rows, table, replace(IMAGERY, bands=IMAGERY.bands + more), ORIGIN)
    return folder


def lists_folder(folder: Path, chip: str = "c{:02}", **parts: int) -> Path:
    """`train=4, val=1`: c00 to c03 for training, c04 for validation."""
    folder.mkdir(parents=True)
    number = 0
    for part, count in parts.items():
        names = [chip.format(number + step) for step in range(count)]
        (folder / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
        number += count
    (folder / "groups.csv").write_text(
        "id,group\n" + "".join(f"{chip.format(index)},s{index}\n" for index in range(number))
    )
    leak = {"strategy": "random", "fold": "none", "leak_share": 0.25, "leak_share_at_least": 0.25, "scenes_shared": 1}
    (folder / "leak.json").write_text(json.dumps(leak))
    return folder


@dataclass(frozen=True)
class World:
    """The folder in which the stages `train` and `evaluate` read and write."""

    folder: Path

    @classmethod
    def make(cls, folder: Path, side: int = 32, bands: int = 3, **parts: int) -> "World":
        chips_folder(folder / "chips", sum(parts.values()), side, bands=bands)
        lists_folder(folder / "split", **parts)
        return cls(folder)

    @property
    def inputs(self) -> tuple[Path, Path]:
        return self.folder / "chips", self.folder / "split"

    @property
    def model(self) -> Path:
        return self.folder / "model"

    def train(self, out: Path | None = None, **changes: Any) -> str:
        """Write into this folder, or into `out`; runs outside a git repository, as nothing needs one."""
        out, before = out or self.folder, Path.cwd()
        outs = (out / "model", out / "train.json", out / "cost.json", out / "plots")
        os.chdir(self.folder)
        try:
            return train(*self.inputs, *outs, train_params(**changes))
        finally:
            os.chdir(before)

    def evaluate(self, name: str, out: Path | None = None, **changes: Any) -> Any:
        """Write NAME.json, summary.json, units.csv and plots/; returns the scores."""
        out = out or self.folder
        outs = (out / f"{name}.json", out / "summary.json", out / "units.csv", out / "plots")
        evaluate(self.model, *self.inputs, *outs, evaluate_params(**changes))
        return json.loads((out / f"{name}.json").read_text())


@dataclass(frozen=True)
class Run:
    """The stage `train` in a process and a folder of its own, started as DVC does."""

    world: World
    out: Path
    warnings: str = "error"
    """Of `python -W`."""
    cache: Path | None = None
    """PIPELINE_CACHE, if not that of this process."""

    def start(self, *launcher: str, **changes: Any) -> "subprocess.Popen[str]":
        """`launcher`: the module to run, if it is not the stage's, and its arguments."""
        paths = [*self.world.inputs, "model", "train.json", "cost.json", "plots"]
        return self._start(*(launcher or ("pipeline.train",)), *map(str, paths), params=train_params(**changes))

    def finish(self, *launcher: str, **changes: Any) -> tuple[int, str]:
        """Exit code and output of all ranks."""
        return _outcome(self.start(*launcher, **changes))

    def evaluate(self, **changes: Any) -> tuple[int, str]:
        """Score the model that was trained here, in another process; exit code and output."""
        paths = ["model", *self.world.inputs, "scores.json", "summary.json", "units.csv", "scores"]
        return _outcome(self._start("pipeline.evaluate", *map(str, paths), params=evaluate_params(**changes)))

    def _start(self, *arguments: str, params: TrainParams | EvaluateParams) -> "subprocess.Popen[str]":
        self.out.mkdir(exist_ok=True)
        (self.out / "params.yaml").write_text(yaml.safe_dump(params.model_dump(mode="json")))
        command = [sys.executable, "-W", self.warnings, "-m", *arguments]
        path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))  # libraries may be on it
        environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1", "DVC_ROOT": str(self.out)}
        environment |= {} if self.cache is None else {"PIPELINE_CACHE": str(self.cache)}
        pipes: dict[str, Any] = {"text": True, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
        return subprocess.Popen(command, cwd=self.out, env=environment, start_new_session=True, **pipes)


def _outcome(run: "subprocess.Popen[str]") -> tuple[int, str]:
    output, _ = run.communicate(timeout=300)
    return run.returncode, output


def written(folder: Path) -> dict[str, bytes]:
    """Every file below `folder` but the cost, which differs each time."""
    files = (path for path in sorted(folder.rglob("*")) if path.is_file() and path.name != "cost.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
