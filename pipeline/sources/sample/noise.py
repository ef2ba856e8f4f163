"""Chance in whole numbers: the same seed gives the same values on every processor.

numpy's exp, log, sin, sqrt and float sums differ by processor in their last bit, and its random streams by version,
so everything here is multiplication, exclusive or and shift of integers.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

TOP = 1023
"""The largest value of a noise; the smallest is 0."""

Shape = tuple[int, int]
"""(height, width)"""
T = TypeVar("T")


def derive(seed: int, *names: object) -> int:
    """A seed of 32 bits for one purpose, so that a new use of chance never shifts another."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


class Dice:
    """A stream of whole numbers (splitmix64), independent of Python's and numpy's versions."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, limit: int) -> int:
        """A number in [0, limit)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) % 2**64
        mixed = self._state
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        return (mixed ^ mixed >> 31) % limit

    def between(self, low: int, high: int) -> int:
        """A number in [low, high], both included."""
        return low + self.below(high - low + 1)

    def pick(self, values: Sequence[T]) -> T:
        """One of `values`."""
        return values[self.below(len(values))]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """`values` in another order."""
        rest = list(values)
        return [rest.pop(self.below(len(rest))) for _ in values]


def white_noise(shape: Shape, seed: int) -> np.ndarray:
    """Independent pixels.

    Returns:
        (height, width) of int32 in 0..1023.
    """
    height, width = shape
    bits = np.arange(height * width, dtype=np.uint32)
    bits *= np.uint32(derive(seed, "step") | 1)
    bits ^= np.uint32(derive(seed, "start"))
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):  # lowbias32 of Chris Wellons
        bits ^= bits >> np.uint32(shift)
        bits *= np.uint32(factor)
    return (bits >> np.uint32(22)).astype(np.int32).reshape(shape)


def value_noise(shape: Shape, cell: int, seed: int) -> np.ndarray:
    """White noise on a lattice of `cell` pixels, interpolated smoothly.

    Returns:
        (height, width) of int32 in 0..1023.
    """
    (rows, row_weights), (columns, column_weights) = (_lattice_steps(length, cell) for length in shape)
    lattice = white_noise((int(rows[-1]) + 2, int(columns[-1]) + 2), seed) << 6
    above, below = lattice[rows], lattice[rows + 1]
    above += (below - above) * row_weights[:, None] >> 10
    left = above[:, columns]
    right = above[:, columns + 1]
    right -= left
    right *= column_weights
    right >>= 10
    left += right
    left >>= 6
    return np.asarray(left)


def fractal_noise(shape: Shape, cell: int, octaves: int, seed: int) -> np.ndarray:
    """Value noises of ever smaller cells and half the weight each.

    Returns:
        (height, width) of int32 in 0..1023.
    """
    total = np.zeros(shape, np.int32)
    for octave in range(octaves):
        layer = value_noise(shape, max(2, cell >> octave), derive(seed, octave))
        layer <<= octaves - 1 - octave
        total += layer
    total //= 2**octaves - 1
    return total


def signed(noise: np.ndarray, amplitude: int) -> np.ndarray:
    """`noise` of 0..1023 spread over -amplitude..amplitude."""
    return (noise - (TOP + 1) // 2) * amplitude >> 9


def softened(value_HW: np.ndarray) -> np.ndarray:
    """Weights 1 2 1 along rows and columns; the outermost pixels keep their value."""
    soft_HW = value_HW.copy()
    soft_HW[1:-1] += value_HW[1:-1] + value_HW[:-2] + value_HW[2:]
    soft_HW[1:-1] >>= 2
    result_HW = soft_HW.copy()
    result_HW[:, 1:-1] += soft_HW[:, 1:-1] + soft_HW[:, :-2] + soft_HW[:, 2:]
    result_HW[:, 1:-1] >>= 2
    return result_HW


def displaced(values_HW: np.ndarray, rows_HW: np.ndarray, columns_HW: np.ndarray) -> np.ndarray:
    """For each pixel the value so many rows below and columns to the right, or the nearest one on the grid."""
    height, width = values_HW.shape
    rows = np.clip(rows_HW + np.arange(height, dtype=np.int32)[:, None], 0, height - 1)
    columns = np.clip(columns_HW + np.arange(width, dtype=np.int32)[None, :], 0, width - 1)
    return np.asarray(values_HW[rows, columns])


def quantile(values: np.ndarray, permille: int) -> int:
    """The value that `permille` of 1000 values are below, from every fourth row and column."""
    ordered = np.sort(values[::4, ::4], axis=None)
    return int(ordered[min(ordered.size * permille // 1000, ordered.size - 1)])


def _lattice_steps(length: int, cell: int) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's lattice point before it, and 0..1023 for how far it is towards the next, eased at both ends."""
    place = np.arange(length, dtype=np.int32)
    way = (place % cell * 1024 // cell).astype(np.int64)
    return place // cell, (way * way * (3072 - 2 * way) >> 20).astype(np.int32)
