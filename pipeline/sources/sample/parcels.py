"""Farmland: parallel strips of fields."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Rng, Shape
from pipeline.sources.sample.shapes import direction

SUBPIXELS = 16
"""Subdivisions of a pixel at which crop rows are placed, to avoid aliasing."""


@dataclass(frozen=True)
class Parcels:
    """Field of each pixel and its position in the field; maps are (height, width) of int32."""

    field_HW: np.ndarray
    """Index of the field, 0 to count - 1."""
    count: int
    across_HW: np.ndarray
    """Distance across the crop rows in 16ths of a pixel, at least 0."""
    border_HW: np.ndarray
    """Pixels to the next field across the crop rows."""


def generate_parcels(shape: Shape, heading: int, width: tuple[int, int], length: tuple[int, int], rng: Rng) -> Parcels:
    """Divide a scene into blocks of parallel strips.

    Args:
        shape: of the scene.
        heading: of the crop rows, in 64ths of a turn.
        width: range of the fields' width, in pixels.
        length: range of the fields' length, in pixels.
        rng: draws the borders.
    """
    along_HW, across_HW = _axes(shape, heading)
    blocks = _segments(int(along_HW.max()) // SUBPIXELS + 1, length, rng)
    extent = int(across_HW.max()) // SUBPIXELS + 1
    strips = [_segments(extent, width, rng) for _ in range(int(blocks[-1]) + 1)]
    first_fields = np.cumsum([0, *(int(segments[-1]) + 1 for segments in strips)])
    fields = np.stack([segments + first for segments, first in zip(strips, first_fields, strict=False)])
    borders = np.stack([_distance_to_border(segments) for segments in strips])
    pixels = blocks[along_HW // SUBPIXELS], across_HW // SUBPIXELS
    return Parcels(fields.astype(np.int32)[pixels], int(first_fields[-1]), across_HW, borders[pixels])


def _axes(shape: Shape, heading: int) -> tuple[np.ndarray, np.ndarray]:
    """Return the distances along and across `heading` in 16ths of a pixel, offset to a minimum of 0."""
    sine, cosine = direction(heading)
    rows, columns = np.indices(shape, np.int32, sparse=True)
    along_HW = columns * cosine + rows * sine >> 6
    across_HW = rows * cosine - columns * sine >> 6
    return along_HW - along_HW.min(), across_HW - across_HW.min()


def _segments(length: int, size: tuple[int, int], rng: Rng) -> np.ndarray:
    """Divide a line into segments of random size: the segment index of each position, int32."""
    indices: list[int] = []
    while len(indices) < length:
        index = indices[-1] + 1 if indices else 0
        indices += [index] * rng.between(*size)
    return np.array(indices[:length], np.int32)


def _distance_to_border(segments: np.ndarray) -> np.ndarray:
    """Return the distance of each position to the nearest other segment, int32."""
    position = np.arange(segments.size, dtype=np.int32)
    starts = np.flatnonzero(np.diff(segments, prepend=-1, append=-1)).astype(np.int32)
    following = np.searchsorted(starts, position, side="right")
    return np.asarray(np.minimum(position - starts[following - 1], starts[following] - 1 - position), np.int32)
