"""Scenes, a small trained model, and the command that maps them, for the tests of `pipeline.predict`."""

import sys
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import torch

import pipeline.predict
from pipeline.formats.chips import Imagery
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.inference import jobs
from pipeline.inference.network import load_model
from pipeline.learning.model import NetworkConfig, Segmenter, TrainingData, build, describe_model, save_model
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from tests.world import at

TABLE = ClassTable(
    classes=(
        LandCoverClass(id=10, name="field", colour=(255, 204, 0)),
        LandCoverClass(id=30, name="water", colour=(0, 0, 255)),
        LandCoverClass(id=70, name="forest & scrub", colour=(0, 128, 0)),
    )
)
RGB = Imagery(("1", "2", "3"))
MEMORY = "0.21"
"""GB: windows of 544 px, of which 160 px are their core."""


load_once = cache(load_model)
"""A folder's files must not change between two calls."""


@dataclass(frozen=True)
class Outcome:
    """What a command left."""

    code: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """The only line on stderr that is no note."""
        [line] = [
            line
            for line in self.err.splitlines()
            if not line.startswith("note: ") and " of memory, at most " not in line
        ]
        assert "Traceback" not in self.out + self.err
        return line


@dataclass(frozen=True)
class Command:
    """`python -m pipeline.predict` in this process."""

    patch: pytest.MonkeyPatch
    capsys: pytest.CaptureFixture[str]
    model: Path

    def __call__(self, *arguments: object, model: Path | None = None) -> Outcome:
        words = [str(word) for word in arguments]
        if "--rev" not in words and "--model" not in words:
            words += ["--model", str(model or self.model)]
        self.patch.setattr(sys, "argv", ["predict", *words])
        self.patch.setattr(jobs, "load_model", load_once)
        code: Any = 0
        try:
            pipeline.predict.main()
        except SystemExit as end:
            code = end.code
        out, err = self.capsys.readouterr()
        if isinstance(code, str):  # what the interpreter does with it
            code, err = 1, f"{err}{code}\n"
        return Outcome(code or 0, out, err)

    def ids(self, out: Path, *arguments: object, model: Path | None = None) -> np.ndarray:
        """Make a map; return its class ids (height, width)."""
        outcome = self(*arguments, "-o", out, model=model)
        assert outcome.code == 0, outcome.err
        ids_HW: np.ndarray = read(out)[0]
        return ids_HW


def write_model(folder: Path, imagery: Imagery = RGB, seed: int = 0, **changes: Any) -> Path:
    """An untrained network whose classes vary over an image; 0.06 s for a window of 448 px."""
    folder.mkdir()
    torch.manual_seed(seed)
    count = len(imagery.bands)
    normalisation = () if count == 3 else ((0.45,) * count, (0.25,) * count)
    config = NetworkConfig("linknet", "tu-lcnet_050", len(TABLE.ids), *normalisation)
    segmenter = build(config).eval()
    _balance(segmenter)
    described: dict[str, Any] = {"precision": "fp32", "pixel_sizes": [10.0]}
    described["params"] = {"encoder_weights": "none", "loss": "focal", "seed": seed}
    described["params"]["train"] = {"epochs": 1, "optimizer": "adam", "lr": 0.001}
    described["calibration"] = {"temperature": 1.0, "groups": 1, "lowest": 1.0, "highest": 1.0}
    described["data"] = asdict(TrainingData("landcoverai", "archive", "CC BY-NC-SA 4.0", 8, 2))
    save_model(folder, segmenter, describe_model(config, TABLE, imagery, **described | changes))
    return folder


def _balance(segmenter: Segmenter) -> None:
    """Shift and scale the last layer, so that every class occurs on `noise`."""
    head = [module for module in segmenter.net.modules() if isinstance(module, torch.nn.Conv2d)][-1]
    assert head.bias is not None
    with torch.no_grad():
        logits_KHW = segmenter(torch.from_numpy(noise(256, 256, bands=segmenter.bands))[None])[0]
        std_K, mean_K = torch.std_mean(logits_KHW, (1, 2))
        head.weight.div_(std_K[:, None, None, None])
        head.bias.copy_((head.bias - mean_K) / std_K)


def noise(height: int, width: int, seed: int = 0, bands: int = 3) -> np.ndarray:
    """Smooth uint8 noise (bands, height, width) without 0."""
    coarse = np.random.default_rng(seed).random((bands, height // 16 + 2, width // 16 + 2))
    rows, columns = np.arange(height) / 16, np.arange(width) / 16
    top, left = rows.astype(int), columns.astype(int)
    down, right = (rows - top)[:, None], columns - left
    corner = [[coarse[:, top + row][:, :, left + column] for column in (0, 1)] for row in (0, 1)]
    upper, lower = (pair[0] * (1 - right) + pair[1] * right for pair in corner)
    return (1 + 254 * (upper * (1 - down) + lower * down)).astype(np.uint8)


def write_scene(
    path: Path, height: int = 96, width: int = 128, place: Georeference | None = None, **profile: Any
) -> Path:
    """A scene of smooth noise, at 10 m."""
    write_geotiff(path, noise(height, width), place or at(), **profile)
    return path


def read(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


def outputs(folder: Path) -> dict[str, bytes]:
    """Every file below a folder, hidden ones included."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}
