"""Whole scenes and maps as arrays small enough for a picture, read in bounded memory.

Maps by rasterio's `out_shape`; scenes block by block, since they may be mosaics or resampled, which GDAL cannot read.
"""

import math
from pathlib import Path

import numpy as np
from rasterio.windows import Window

from pipeline.formats.chips import IMAGE_BANDS
from pipeline.raster.gdal import file_errors, open_dataset
from pipeline.scenes.scene import Scene

LONGEST = 1600
"""Longest side of a decimated array in pixels."""
BLOCK = 1024
"""Side in pixels of the blocks that a scene is read by."""


def decimation(height: int, width: int, longest: int = LONGEST) -> int:
    """Return how many pixels of a scene, along each side, become one of a view of at most `longest` pixels a side."""
    return math.ceil(max(height, width, longest) / longest)


def read_image(scene: Scene, longest: int = LONGEST) -> np.ndarray:
    """Read a scene decimated, each pixel the mean of the valid ones it covers; block by block, in bounded memory.

    Returns:
        image_HWC, uint8 RGBA of the first three bands, transparent where no pixel is valid.

    Raises:
        PipelineError: pixels cannot be decoded.
    """
    factor = decimation(scene.height, scene.width, longest)
    image_HWC = np.zeros((math.ceil(scene.height / factor), math.ceil(scene.width / factor), 4), np.uint8)
    step = factor * max(1, BLOCK // factor)
    for row in range(0, scene.height, step):
        for column in range(0, scene.width, step):
            height, width = min(step, scene.height - row), min(step, scene.width - column)
            block_HWC = _mean(*scene.read(Window(column, row, width, height)), factor)
            top, left = row // factor, column // factor
            image_HWC[top : top + block_HWC.shape[0], left : left + block_HWC.shape[1]] = block_HWC
    return image_HWC


def _mean(image_HWC: np.ndarray, valid_HW: np.ndarray, factor: int) -> np.ndarray:
    """Average the valid pixels of squares of `factor` pixels a side; those at the end may be smaller. uint8 RGBA."""
    sums_HWC = np.dstack([image_HWC[..., :IMAGE_BANDS], valid_HW]).astype(np.uint32)  # the image is black where invalid
    for axis in (0, 1):
        sums_HWC = np.add.reduceat(sums_HWC, range(0, sums_HWC.shape[axis], factor), axis)
    pixels_HW1 = sums_HWC[..., 3:]
    colour_HWC = np.rint(sums_HWC[..., :3] / np.maximum(pixels_HW1, 1))
    return np.dstack([colour_HWC, np.where(pixels_HW1 > 0, 255, 0)]).astype(np.uint8)


def read_ids(path: Path, longest: int = LONGEST, part: Window | None = None) -> np.ndarray:
    """Read a GeoTIFF of class ids decimated, by its overviews where it has some; ids_HW, uint8.

    Args:
        path: of the file.
        longest: largest side of the result.
        part: the part to read; None for all of it.

    Raises:
        PipelineError: the file cannot be read.
    """
    with file_errors(path, "cannot be read"), open_dataset(path) as dataset:
        window = part or Window(0, 0, dataset.width, dataset.height)
        factor = decimation(window.height, window.width, longest)
        shape = (math.ceil(window.height / factor), math.ceil(window.width / factor))
        ids_HW: np.ndarray = dataset.read(1, window=window, out_shape=shape)  # nearest is rasterio's default
    return ids_HW
