"""The grid on which the network works, and the way back to the scene's own."""

import math
from dataclasses import dataclass

import numpy as np
from rasterio.windows import Window

from pipeline.inference.layers import Layer
from pipeline.scenes.resample import ResampledScene, read_on_input_grid, resample
from pipeline.scenes.scene import Scene


@dataclass(frozen=True)
class Frame:
    """A part of a scene on the grid of the network."""

    scene: Scene
    """What the network reads."""
    bounds: Window
    """The mapped part, in pixels of `scene`."""
    input_bounds: Window
    """The mapped part, in pixels of the scene as it is stored."""
    resampled: ResampledScene | None = None
    """`scene`, if it is resampled."""

    def in_input(self, window: Window) -> Window:
        """Return the window of the stored scene that contains a window of `scene`."""
        if self.resampled is None:
            return window
        rows, columns = self.resampled.rows, self.resampled.columns
        top, bottom = math.floor(window.row_off * rows.step), math.ceil((window.row_off + window.height) * rows.step)
        left = math.floor(window.col_off * columns.step)
        right = math.ceil((window.col_off + window.width) * columns.step)
        return Window(left, top, min(right, columns.source) - left, min(bottom, rows.source) - top)

    def read_rows(self, layer: Layer, start: int, stop: int) -> np.ndarray:
        """Read rows of a layer on the grid of the stored scene.

        Args:
            layer: covers `bounds`.
            start: first row, within `input_bounds`.
            stop: end of the rows.

        Returns:
            values_CHW of the whole width of `input_bounds`.
        """
        if self.resampled is None:
            return layer.read(start, stop)
        top = int(self.bounds.row_off)

        def read(part: Window) -> np.ndarray:  # of the same columns as the layer
            first = int(part.row_off) - top
            return layer.read(first, first + int(part.height)).transpose(1, 2, 0)

        whole = self.input_bounds
        window = Window(whole.col_off, whole.row_off + start, whole.width, stop - start)
        return read_on_input_grid(read, self.resampled, window).transpose(2, 0, 1)


def choose_frame(scene: Scene, bounds: Window, trained: tuple[float, ...], resampled: bool) -> Frame:
    """Return the grid of the scene, or one with the pixel size of the training.

    Args:
        scene: as stored.
        bounds: the part to map.
        trained: `pixel_sizes` of the model.
        resampled: whether to use the pixel size of the training.

    Raises:
        PipelineError: see `resample`.
    """
    if not resampled:
        return Frame(scene, bounds, bounds)
    at_training_size = resample(scene, trained)
    return Frame(at_training_size, at_training_size.covering(bounds), bounds, at_training_size)
