"""Farmland: strips of fields between tracks, in a scene's own direction, each with its crop."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import Dice, Shape
from pipeline.sources.sample.shapes import direction

SUB = 16
"""Parts of a pixel in which rows are placed, so that they don't alias."""


@dataclass(frozen=True)
class Parcels:
    """Which field each pixel belongs to, and where in it it lies."""

    field_HW: np.ndarray
    """int32, 0 to count - 1."""
    count: int
    across_HW: np.ndarray
    """Distance across the rows in 16ths of a pixel, int32, at least 0."""
    along_HW: np.ndarray
    """Distance along the rows in 16ths of a pixel, int32, at least 0."""
    border_HW: np.ndarray
    """Pixels to the next field across the rows, int32."""


def lay_parcels(shape: Shape, heading: int, strip: tuple[int, int], block: tuple[int, int], dice: Dice) -> Parcels:
    """Cut a scene into blocks of parallel strips.

    Args:
        shape: of the scene.
        heading: direction of the rows, in 64ths of a turn.
        strip: least and greatest width of a field, in pixels.
        block: least and greatest length of a field, in pixels.
        dice: where the borders lie.
    """
    along_HW, across_HW = _axes(shape, heading)
    block_of = _cuts(int(along_HW.max()) // SUB + 1, block, dice)
    length = int(across_HW.max()) // SUB + 1
    strips = [_cuts(length, strip, dice) for _ in range(int(block_of[-1]) + 1)]
    firsts = np.cumsum([0, *(int(cuts[-1]) + 1 for cuts in strips)])
    fields = np.stack([cuts + first for cuts, first in zip(strips, firsts, strict=False)]).astype(np.int32)
    borders = np.stack([_to_border(cuts) for cuts in strips])
    block_HW = block_of[along_HW // SUB]
    pixel_HW = across_HW // SUB
    return Parcels(fields[block_HW, pixel_HW], int(firsts[-1]), across_HW, along_HW, borders[block_HW, pixel_HW])


def _axes(shape: Shape, heading: int) -> tuple[np.ndarray, np.ndarray]:
    """Distances along and across `heading`, moved so that the smallest is 0."""
    sine, cosine = direction(heading)
    rows = np.arange(shape[0], dtype=np.int32)[:, None]
    columns = np.arange(shape[1], dtype=np.int32)[None, :]
    along = columns * cosine + rows * sine >> 6
    across = rows * cosine - columns * sine >> 6
    return along - along.min(), across - across.min()


def _cuts(length: int, size: tuple[int, int], dice: Dice) -> np.ndarray:
    """For each place on a line the number of its piece, int32; sizes are drawn between two bounds."""
    pieces: list[int] = []
    while len(pieces) < length:
        number = pieces[-1] + 1 if pieces else 0
        pieces += [number] * dice.between(*size)
    return np.array(pieces[:length], np.int32)


def _to_border(cuts: np.ndarray) -> np.ndarray:
    """For each place on a line the distance to the nearest other piece, int32."""
    place = np.arange(cuts.size, dtype=np.int32)
    ends = np.flatnonzero(np.diff(cuts, prepend=-1, append=-1)).astype(np.int32)
    following = np.searchsorted(ends, place, side="right")
    return np.asarray(np.minimum(place - ends[following - 1], ends[following] - 1 - place), np.int32)
