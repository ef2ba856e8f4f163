"""A scene as the network reads it: pixels on a grid, window by window, in 8 bits."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from rasterio.windows import Window

from pipeline.core.failures import OnError
from pipeline.formats.chips import Imagery
from pipeline.raster.georeference import Georeference


class Scene(Protocol):
    """An open scene: one file, bands in separate files, a mosaic, or another scene resampled."""

    name: str
    """As the user gave it, for messages."""
    height: int
    width: int
    band_count: int
    """Of the images that `read` returns, the same as of the model."""
    georeference: Georeference
    identity: list[Any]
    """JSON values that change when the pixels change: part of the key of unfinished work."""
    files: list[Path]
    """Local files with pixels of the scene."""
    notes: list[str]
    """What the user should know before the start, each in one line: no georeference, a slow layout."""
    damaged: list[str]
    """Blocks that could not be read and were left out under `on_error: skip`, as text; grows while reading."""

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window that lies inside the scene.

        Returns:
            image_HWC, uint8 bands as the network was trained on, black where invalid; and valid_HW, bool: False where
            the scene has no data.

        Raises:
            PipelineError: pixels cannot be decoded.
        """


@dataclass(frozen=True)
class ReadOptions:
    """How the values of a scene become the 8 bits that a model was trained on."""

    imagery: Imagery
    """Bands, scale, offset and stretch, as stored in the model; the offset may be the user's."""
    on_error: OnError = "stop"
    """What to do with blocks that cannot be decoded; skip: no data there."""
    nodata: float | None = None
    """No-data value of all bands, instead of those that the file declares: a VRT may give its own."""
    bands: tuple[int, ...] | None = None
    """Numbers of the model's bands in one file, instead of those of `imagery`: a VRT may order bands otherwise."""


def grid_notes(name: str, georeference: Georeference) -> list[str]:
    """Return notes for `Scene.notes` on a scene without a position, rotated or turned; each in one line."""
    notes = []
    transform = georeference.transform
    if not georeference.is_known:
        notes.append(f"{name} has no georeference, and so its map has none")
    elif transform.b or transform.d:
        notes.append(f"{name} is rotated against its CRS, and so is its map")
    elif transform.e > 0 or transform.a < 0:
        turned = "south-up" if transform.a > 0 else "mirrored" if transform.e < 0 else "rotated by 180°"
        notes.append(f"{name} is {turned}, and so is its map")
    if georeference.is_known and georeference.crs is None:
        notes.append(f"{name} has no CRS, and so its map has none")
    return notes
