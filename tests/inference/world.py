"""Scenes and models for the tests of maps."""

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from rasterio.windows import Window
from torch import nn

from pipeline.formats.chips import Imagery
from pipeline.formats.classes import ClassTable
from pipeline.inference.forward import NetworkRun, run_network
from pipeline.inference.layers import Layer, Work, open_work
from pipeline.inference.network import LoadedModel, Wanted, load_model
from pipeline.inference.windows import Plan, Tiling
from pipeline.learning.calibration import Calibration
from pipeline.learning.device import Device
from pipeline.learning.model import Model, NetworkConfig, Segmenter, build
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from pipeline.scenes.scene import Scene
from tests.learning.world import World, bright_chip
from tests.maps import RGB, TABLE, noise
from tests.scenes.array_scene import ArrayScene
from tests.world import at

FP32 = Device("cpu", "fp32")
FITTED = Calibration(temperature=1.0, groups=1, lowest=1.0, highest=1.0)
ALL = Wanted(confidence=True, probabilities=True)


def random_scene(height: int, width: int, seed: int = 0, bands: int = 3) -> ArrayScene:
    """Smooth noise, all valid."""
    return ArrayScene(noise(height, width, seed, bands).transpose(1, 2, 0))


def bright_scene(rows: int, columns: int, side: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """Image and mask of chips in rows and columns that the network of `trained` can tell apart; none is in its chips.

    Returns:
        image_HWC, uint8; and mask_HW of class ids, uint8.
    """
    chips = [[bright_chip(1000 + columns * row + column, side) for column in range(columns)] for row in range(rows)]
    return tuple(np.vstack([np.hstack([chip[part] for chip in line]) for line in chips]) for part in (0, 1))  # type: ignore[return-value]


def loaded(segmenter: Segmenter, table: ClassTable = TABLE, digest: str = "digest", **config: Any) -> LoadedModel:
    names = {"architecture": "unet", "encoder": "resnet18"} | config
    network = NetworkConfig(**names, classes=len(table.ids))
    return LoadedModel(
        Model(network, segmenter.eval(), table, RGB, "fp32", {"seed": 0}, FITTED, None, (10.0,), digest), FP32
    )


@cache
def untrained_model(seed: int = 0, bands: int = 3) -> LoadedModel:
    """A U-Net with random weights, whose logits vary over an image."""
    torch.manual_seed(seed)
    normalisation = () if bands == 3 else ((0.45,) * bands, (0.25,) * bands)
    model = loaded(build(NetworkConfig("unet", "resnet18", len(TABLE.ids), *normalisation)), digest=f"digest {seed}")
    imagery = Imagery(tuple(str(band) for band in range(1, bands + 1)))
    return replace(model, model=replace(model.model, imagery=imagery))


@cache
def _load(folder: Path) -> LoadedModel:
    return load_model(folder, "cpu", "fp32")


def trained_model(world: World) -> LoadedModel:
    """The network of `trained`, in fp32, for images of 8 bits at 10 m."""
    model = _load(world.model)
    return replace(model, model=replace(model.model, imagery=RGB, pixel_sizes=(10.0,)))


class Blur(nn.Module):
    """Logits are sums of 3 x 3 px: whole numbers, so that they are exact in any order of adding."""

    def __init__(self, classes: int) -> None:
        super().__init__()
        self.encoder = SimpleNamespace(output_stride=32)
        self.layer = nn.Conv2d(3, classes, 3, padding=1, bias=False)
        weights = np.random.default_rng(0).integers(-3, 4, self.layer.weight.shape)
        self.layer.weight = nn.Parameter(torch.from_numpy(weights).float(), requires_grad=False)

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        logits_NKHW: torch.Tensor = self.layer(images_NCHW)
        return logits_NKHW


def exact_model(table: ClassTable = TABLE) -> LoadedModel:
    """A network of one layer that looks 1 px far."""
    return loaded(Segmenter(Blur(len(table.ids)), (0.0, 0.0, 0.0), (1 / 255, 1 / 255, 1 / 255)), table)


def network_run(
    model: LoadedModel,
    scene: Scene,
    tiling: Tiling,
    wanted: Wanted = ALL,
    bounds: Window | None = None,
    batch: int = 1,
    is_wanted: Callable[[Window], bool] = lambda core: True,
) -> NetworkRun:
    bounds = bounds or Window(0, 0, scene.width, scene.height)
    return NetworkRun(model, scene, Plan.make(bounds, scene, tiling, batch), wanted, is_wanted)


def layer_of(path: Path, rows_CHW: np.ndarray) -> Layer:
    """A layer that holds these rows."""
    path.parent.mkdir(parents=True, exist_ok=True)
    bands, height, width = rows_CHW.shape
    layer = Layer(path, height, width, bands)
    layer.write(0, 0, rows_CHW)
    return layer


def read_layers(run: NetworkRun, work: Work) -> dict[str, np.ndarray]:
    """The layers that `run_network` filled, (bands, height, width)."""
    return {name: layer.read(0, layer.height) for name, layer in run.layers(work).items()}


def mapped(run: NetworkRun, key: str = "key") -> dict[str, np.ndarray]:
    with open_work(key) as work:
        run_network(run, work, "map")
        return read_layers(run, work)


def whole(model: LoadedModel, image_HWC: np.ndarray) -> np.ndarray:
    """logits_KHW of a scene at once, mirrored to a multiple of the stride, without any code of maps."""
    height, width, _ = image_HWC.shape
    padded_HWC = np.pad(image_HWC, ((0, -height % 32), (0, -width % 32), (0, 0)), "symmetric")
    with torch.inference_mode():
        logits_NKHW = model.model.segmenter(torch.from_numpy(padded_HWC).permute(2, 0, 1)[None])
    return np.asarray(logits_NKHW[0, :, :height, :width])


def ids_of(model: LoadedModel, logits_KHW: np.ndarray) -> np.ndarray:
    return np.array(model.model.table.ids, np.uint8)[logits_KHW.argmax(axis=0)]


def save_scene(path: Path, image_HWC: np.ndarray, georeference: Georeference | None = None, **profile: Any) -> Path:
    write_geotiff(path, image_HWC.transpose(2, 0, 1), georeference or at(), **profile)
    return path
