"""A part of a scene."""

from dataclasses import replace
from typing import Any

import numpy as np
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.scenes.scene import Scene


class CroppedScene:
    """A window of another scene as a `Scene`."""

    def __init__(self, scene: Scene, bounds: Window) -> None:
        self.scene, self.bounds = scene, bounds
        self.name, self.notes, self.files, self.damaged = scene.name, scene.notes, scene.files, scene.damaged
        self.height, self.width, self.band_count = int(bounds.height), int(bounds.width), scene.band_count
        self.georeference = scene.georeference
        if scene.georeference.is_known:  # else the identity, which marks that it is not
            moved = scene.georeference.transform @ Affine.translation(bounds.col_off, bounds.row_off)
            self.georeference = replace(scene.georeference, transform=moved)
        self.identity: list[Any] = [*scene.identity, "cropped", *map(int, bounds.flatten())]

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, as `Scene.read`."""
        row, column = self.bounds.row_off + window.row_off, self.bounds.col_off + window.col_off
        return self.scene.read(Window(column, row, window.width, window.height))
