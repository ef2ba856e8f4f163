from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.raster.georeference import Georeference
from tests.world import at


@dataclass
class ArrayScene:
    """A scene in memory; `read_windows` records what is read."""

    image_HWC: np.ndarray
    georeference: Georeference = field(default_factory=at)
    valid_HW: np.ndarray | None = None
    name: str = "scene.tif"
    identity: list[Any] = field(default_factory=lambda: ["array"])
    files: list[Path] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    damaged: list[str] = field(default_factory=list)
    read_windows: list[Window] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.height, self.width, self.band_count = self.image_HWC.shape
        if self.valid_HW is None:
            self.valid_HW = np.ones((self.height, self.width), bool)
        self.image_HWC = np.where(self.valid_HW[..., None], self.image_HWC, 0).astype(np.uint8)

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        assert 0 <= window.row_off < window.row_off + window.height <= self.height
        assert 0 <= window.col_off < window.col_off + window.width <= self.width
        assert self.valid_HW is not None
        self.read_windows.append(window)
        rows, columns = window.toslices()
        return self.image_HWC[rows, columns].copy(), self.valid_HW[rows, columns].copy()


def blank(height: int, width: int, georeference: Georeference | None = None) -> ArrayScene:
    return ArrayScene(np.zeros((height, width, 3), np.uint8), georeference or at())


SCENE = blank(40, 60)
"""10 m pixels from x = 500000 to 500600, y = 999600 to 1000000."""


def in_metres(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    """A rectangle in pixels of `SCENE`, in its CRS."""
    return shapely.box(500000 + 10 * left, 1000000 - 10 * bottom, 500000 + 10 * right, 1000000 - 10 * top)


def degrees(west: float, north: float, width: float, height: float | None = None) -> Georeference:
    """North-up pixels in EPSG:4326, by default square."""
    return Georeference("EPSG:4326", Affine(width, 0.0, west, 0.0, -(height or width), north))
