"""A scene at the pixel size of the training, and its map back on the scene's own grid.

The resampled grid has the scene's corners and a whole number of pixels, so that a pixel of either grid is found in the
other by integers, and no shift or partial pixel arises; the training's size is met to half a pixel over the scene.
A `WarpedVRT` needs a file, which a mosaic is not; Pillow has at most four bands and no weights for pixels without data.

T: target rows or columns. S: source rows or columns.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from shlex import quote
from typing import Any

import numpy as np
from rasterio.transform import Affine
from rasterio.windows import Window
from scipy.sparse import csr_array

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.scenes.ground import ground_size, training_size
from pipeline.scenes.scene import Scene

WEIGHT_UNIT = 2.0**-12
"""Weights are multiples of it: sums are then exact in float64, whatever their order, so that a pixel has the same value
in every window, which GDAL's warp does not guarantee. Up to a step of 1000: 24 bits of weights, 8 of values, 20 of
pixels."""
STRIP_PIXELS = 1 << 20
"""Pixels of the source or the result, whichever is more, that are converted at once."""


@dataclass(frozen=True)
class Axis:
    """Rows or columns of a scene, and of the resampled scene."""

    source: int
    target: int

    @property
    def step(self) -> float:
        """Source pixels per target pixel."""
        return self.source / self.target

    @property
    def radius(self) -> float:
        """Distance in source pixels at which weights are 0: bilinear when finer, antialiased when coarser."""
        return max(self.step, 1.0)

    def source_of(self, target_T: np.ndarray) -> np.ndarray:
        """Return the source pixels that contain the centres of target pixels."""
        return (2 * target_T + 1) * self.source // (2 * self.target)

    def target_of(self, source_S: np.ndarray) -> np.ndarray:
        """Return the target pixels that contain the centres of source pixels."""
        return (2 * source_S + 1) * self.target // (2 * self.source)

    def support(self, start: int, stop: int) -> tuple[int, int]:
        """Return the range of source pixels with a weight in target pixels from `start` to `stop`."""
        first = np.floor((start + 0.5) * self.step - self.radius)
        last = np.ceil((stop - 0.5) * self.step + self.radius)
        return max(int(first), 0), min(int(last), self.source)

    def weights(self, start: int, stop: int) -> csr_array:
        """Return weights_TS of a triangle, float64, for target pixels from `start` to `stop` and their support."""
        first, last = self.support(start, stop)
        centre_T1 = (np.arange(start, stop)[:, None] + 0.5) * self.step
        nearest_T1 = np.floor(centre_T1 - self.radius)
        source_TK = nearest_T1 + np.arange(int(np.ceil(2 * self.radius)) + 1)
        weight_TK = np.maximum(1 - np.abs(source_TK + 0.5 - centre_T1) / self.radius, 0)
        weight_TK = np.round(weight_TK / WEIGHT_UNIT) * WEIGHT_UNIT
        used_TK = (weight_TK > 0) & (source_TK >= 0) & (source_TK < self.source)
        rows = np.nonzero(used_TK)[0]
        columns = source_TK[used_TK].astype(int) - first
        return csr_array((weight_TK[used_TK], (rows, columns)), shape=(stop - start, last - first))


class ResampledScene:
    """A scene resampled to another number of rows and columns: a `Scene`."""

    def __init__(self, scene: Scene, height: int, width: int) -> None:
        self.scene = scene
        self.name, self.notes, self.files = scene.name, scene.notes, scene.files
        self.damaged = scene.damaged  # the same list, which grows
        self.height, self.width, self.band_count = height, width, scene.band_count
        self.rows, self.columns = Axis(scene.height, height), Axis(scene.width, width)
        place = scene.georeference
        # a scene without a position keeps that: the identity is the mark of it
        stretch = Affine.scale(self.columns.step, self.rows.step) if place.is_known else Affine.identity()
        self.georeference = Georeference(place.crs, place.transform @ stretch)
        self.identity: list[Any] = [*scene.identity, "resampled", height, width]

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Read a window, see `Scene`; a pixel is valid if the scene's pixel at its centre is.

        Memory is bounded by the result and a strip of a million pixels, or one row if that is more.
        """
        image_HWC = np.zeros((int(window.height), int(window.width), self.band_count), np.uint8)
        valid_HW = np.zeros(image_HWC.shape[:2], bool)
        top, left, right = int(window.row_off), int(window.col_off), int(window.col_off + window.width)
        count = self._rows_at_once(left, right)
        for start in range(0, int(window.height), count):
            stop = min(start + count, int(window.height))
            image_HWC[start:stop], valid_HW[start:stop] = self._read_strip(top + start, top + stop, left, right)
        return image_HWC, valid_HW

    def covering(self, window: Window) -> Window:
        """Return the window of this scene in which `read_on_input_grid` finds the pixels of a window of the input."""
        (first_row, last_row), (first_column, last_column) = (
            axis.target_of(np.array([each.start, each.stop - 1])).tolist()
            for axis, each in zip((self.rows, self.columns), window.toslices(), strict=True)
        )
        return Window(first_column, first_row, last_column - first_column + 1, last_row - first_row + 1)

    def _rows_at_once(self, left: int, right: int) -> int:
        first, last = self.columns.support(left, right)
        per_row = max(right - left, last - first) * max(1.0, self.rows.step)
        return max(int(STRIP_PIXELS / per_row - 2 * self.rows.radius / self.rows.step), 1)

    def _read_strip(self, top: int, bottom: int, left: int, right: int) -> tuple[np.ndarray, np.ndarray]:
        (row, row_stop), (column, column_stop) = self.rows.support(top, bottom), self.columns.support(left, right)
        source_HWC, known_HW = self.scene.read(Window(column, row, column_stop - column, row_stop - row))
        values_HWC = np.concatenate([source_HWC, known_HW[..., None]], axis=2)  # black where invalid, so weighted 0
        reduced_TWC = (self.rows.weights(top, bottom) @ _flat(values_HWC)).reshape(-1, *values_HWC.shape[1:])
        swapped_WTC = reduced_TWC.swapaxes(0, 1)
        sums_WTC = self.columns.weights(left, right) @ _flat(swapped_WTC)
        sums_HWC = sums_WTC.reshape(-1, *swapped_WTC.shape[1:]).swapaxes(0, 1)
        centre_row_H = self.rows.source_of(np.arange(top, bottom)) - row
        centre_column_W = self.columns.source_of(np.arange(left, right)) - column
        valid_HW = known_HW[centre_row_H][:, centre_column_W]
        weight_HW1 = np.where(valid_HW, sums_HWC[..., -1], 1.0)[..., None]
        image_HWC = np.floor(sums_HWC[..., :-1] / weight_HW1 + 0.5) * valid_HW[..., None]
        return image_HWC.astype(np.uint8), valid_HW


def resample(scene: Scene, trained: Sequence[float]) -> ResampledScene:
    """Present a scene at the pixel size of the training, rows and columns each by their size on the ground.

    Args:
        scene: must stay open.
        trained: `pixel_sizes` of model.json; the closest to the scene's counts.

    Raises:
        PipelineError: the size of the scene's pixels or of the training's is not known in metres.
    """
    ground = ground_size(scene.georeference, scene.height, scene.width)
    if ground is None:
        raise PipelineError(
            f"{scene.name} has no CRS or georeference, so that the size of its pixels is unknown and --resample cannot "
            f"be used; set it: gdal_edit.py -a_srs EPSG:NNNN -a_ullr WEST NORTH EAST SOUTH {quote(scene.name)}"
        )
    size = training_size(trained, ground)
    height, width = scene.height * ground.height / size, scene.width * ground.width / size
    return ResampledScene(scene, max(round(height), 1), max(round(width), 1))


def read_on_input_grid(read: Callable[[Window], np.ndarray], resampled: ResampledScene, window: Window) -> np.ndarray:
    """Bring a part of a map of a resampled scene onto the grid of the scene: each pixel takes the value at its centre.

    Args:
        read: reads a window of the map, (height, width) or (height, width, values).
        resampled: the scene that was mapped.
        window: of the scene's grid.
    """
    part = resampled.covering(window)
    rows, columns = (np.arange(each.start, each.stop) for each in window.toslices())
    row_H = resampled.rows.target_of(rows) - int(part.row_off)
    column_W = resampled.columns.target_of(columns) - int(part.col_off)
    return np.asarray(read(part)[row_H][:, column_W])


def _flat(values_HWC: np.ndarray) -> np.ndarray:
    return values_HWC.reshape(len(values_HWC), -1)
