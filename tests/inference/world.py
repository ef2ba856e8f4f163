"""Scenes and models for the tests of maps."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.formats.chips import Imagery
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.inference.network import LoadedModel
from pipeline.learning.device import Device
from pipeline.learning.model import Model, NetworkConfig, build
from pipeline.raster.georeference import Georeference

TABLE = ClassTable(
    classes=(
        LandCoverClass(id=10, name="field", colour=(255, 204, 0)),
        LandCoverClass(id=30, name="water", colour=(0, 0, 255)),
        LandCoverClass(id=70, name="forest & scrub", colour=(0, 128, 0)),
    )
)
GEOREFERENCE = Georeference("EPSG:32652", Affine(10, 0, 300_000, 0, -10, 3_900_000))
FP32 = Device("cpu", "fp32")


@dataclass
class ArrayScene:
    """A scene in memory."""

    image_HWC: np.ndarray
    valid_HW: np.ndarray
    name: str = "scene"
    georeference: Georeference = GEOREFERENCE
    identity: list[Any] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    windows: list[Window] = field(default_factory=list)
    """Windows that were read."""

    @property
    def height(self) -> int:
        return self.valid_HW.shape[0]

    @property
    def width(self) -> int:
        return self.valid_HW.shape[1]

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        self.windows.append(window)
        rows, columns = window.toslices()
        return self.image_HWC[rows, columns], self.valid_HW[rows, columns]


def random_scene(height: int, width: int, seed: int = 0) -> ArrayScene:
    """Smooth noise, all valid."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.rand((1, 3, height // 8 + 2, width // 8 + 2), generator=generator)
    smooth = torch.nn.functional.interpolate(coarse, scale_factor=8, mode="bilinear")[0, :, :height, :width]
    image_HWC = (255 * smooth).byte().permute(1, 2, 0).numpy()
    return ArrayScene(np.ascontiguousarray(image_HWC), np.ones((height, width), bool))


def untrained_model(
    architecture: str = "unet", encoder: str = "resnet18", seed: int = 0, table: ClassTable = TABLE
) -> LoadedModel:
    """A network with random weights, whose logits vary over an image."""
    torch.manual_seed(seed)
    config = NetworkConfig(architecture, encoder, len(table.ids))
    segmenter = build(config).eval()
    model = Model(config, segmenter, table, Imagery(("1", "2", "3")), "fp32", seed, (10.0,), f"digest {seed}")
    return LoadedModel(model, FP32)
