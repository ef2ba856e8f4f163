"""Seeded random numbers and noise in integer arithmetic, identical on every CPU.

The last bit of numpy's exp, log, sin, sqrt and float sums depends on the CPU, and its random streams on the version;
so everything here is integer multiplication, XOR and shifts. Seeds are derived from strings that name their purpose:
renaming one changes the archives.
"""

import hashlib
from collections.abc import Sequence
from typing import TypeVar

import numpy as np

NOISE_MAX = 1023
"""Largest value of all noise; the smallest is 0."""

Shape = tuple[int, int]
"""(height, width)"""
T = TypeVar("T")


def derive_seed(seed: int, *names: object) -> int:
    """Derive a 32-bit seed for one purpose, so that adding a purpose leaves the others unchanged."""
    text = "/".join(map(str, (seed, *names)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:4], "little")


class Rng:
    """Random integers (splitmix64), independent of the versions of Python and numpy."""

    def __init__(self, seed: int) -> None:
        self._state = seed

    def below(self, limit: int) -> int:
        """Return an integer in [0, limit)."""
        self._state = (self._state + 0x9E3779B97F4A7C15) % 2**64
        mixed = self._state
        mixed = (mixed ^ mixed >> 30) * 0xBF58476D1CE4E5B9 % 2**64
        mixed = (mixed ^ mixed >> 27) * 0x94D049BB133111EB % 2**64
        return (mixed ^ mixed >> 31) % limit

    def between(self, low: int, high: int) -> int:
        """Return an integer in [low, high]."""
        return low + self.below(high - low + 1)

    def choice(self, values: Sequence[T]) -> T:
        """Return one of `values`."""
        return values[self.below(len(values))]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        """Return `values` in random order."""
        remaining = list(values)
        return [remaining.pop(self.below(len(remaining))) for _ in values]


class Seeded:
    """Base of classes with a `seed`; each purpose has random numbers of its own."""

    seed: int

    def rng(self, purpose: str) -> Rng:
        """Return a generator for one purpose."""
        return Rng(derive_seed(self.seed, purpose))

    def noise_seed(self, purpose: str) -> int:
        """Return the seed of the noise for one purpose."""
        return derive_seed(self.seed, "noise", purpose)


def white_noise(shape: Shape, seed: int) -> np.ndarray:
    """Draw each pixel independently.

    Returns:
        (height, width) of int32 in 0..1023.
    """
    height, width = shape
    bits = np.arange(height * width, dtype=np.uint32)
    bits *= np.uint32(derive_seed(seed, "step") | 1)
    bits ^= np.uint32(derive_seed(seed, "start"))
    for bit_count, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):  # lowbias32 of Chris Wellons
        bits ^= bits >> np.uint32(bit_count)
        bits *= np.uint32(factor)
    return (bits >> np.uint32(22)).astype(np.int32).reshape(shape)


def value_noise(shape: Shape, cell: int, seed: int) -> np.ndarray:
    """Interpolate white noise smoothly between lattice points `cell` pixels apart.

    Returns:
        (height, width) of int32 in 0..1023.
    """
    height, width = shape
    lattice = white_noise(((height - 1) // cell + 2, (width - 1) // cell + 2), seed) << 6
    rows = _interpolate(lattice, height, cell)
    columns = _interpolate(np.ascontiguousarray(rows.T), width, cell)
    return np.ascontiguousarray(columns.T >> 6)


def _interpolate(lattice: np.ndarray, length: int, cell: int) -> np.ndarray:
    """Interpolate along the first axis with smoothstep: (length, columns) of int32."""
    step, rest = np.divmod(np.arange(length), cell)
    fraction = rest * 1024 // cell
    weight = (fraction * fraction * (3072 - 2 * fraction) >> 20).astype(np.int32)[:, None]  # 0 to 1023
    before = lattice[step]
    return np.asarray(before + ((lattice[step + 1] - before) * weight >> 10))


def fractal_noise(shape: Shape, cell: int, octaves: int, seed: int) -> np.ndarray:
    """Sum octaves of value noise; each halves the cell and the weight of the one before.

    Returns:
        (height, width) of int32 in 0..1023.
    """
    layers = (
        value_noise(shape, max(2, cell >> octave), derive_seed(seed, octave)) << octaves - 1 - octave
        for octave in range(octaves)
    )
    return np.asarray(sum(layers) // (2**octaves - 1))


def signed(noise: np.ndarray, amplitude: int) -> np.ndarray:
    """Rescale noise of 0..1023 to -amplitude..amplitude."""
    return (noise - (NOISE_MAX + 1) // 2) * amplitude >> 9


def per_field(count: int, amplitude: int, seed: int) -> np.ndarray:
    """Draw one value in -amplitude..amplitude for each of `count` fields: (count,) of int32."""
    return signed(white_noise((1, count), seed)[0], amplitude)


def smooth(value_HW: np.ndarray) -> np.ndarray:
    """Filter rows and columns with weights 1 2 1; the outermost pixels are not filtered across the edge."""
    for _ in range(2):
        inner = value_HW[:-2] + 2 * value_HW[1:-1] + value_HW[2:] >> 2
        value_HW = np.concatenate([value_HW[:1], inner, value_HW[-1:]]).T
    return value_HW


def perturb_borders(class_HW: np.ndarray, reach: int, cell: int, seeds: tuple[int, int]) -> np.ndarray:
    """Displace class borders by up to `reach` pixels, as hand-drawn outlines do.

    Args:
        class_HW: class ids.
        reach: largest offset along rows and columns, in pixels.
        cell: pixels over which the offset changes.
        seeds: of the offsets along rows and columns.
    """
    height, width = class_HW.shape
    rows, columns = np.indices((height, width), np.int32, sparse=True)
    down_HW, right_HW = ((value_noise((height, width), cell, seed) * (2 * reach + 1) >> 10) - reach for seed in seeds)
    return np.asarray(class_HW[np.clip(rows + down_HW, 0, height - 1), np.clip(columns + right_HW, 0, width - 1)])


def quantile(values: np.ndarray, permille: int) -> int:
    """Return the value that `permille` of 1000 values are below, from every fourth row and column."""
    ordered = np.sort(values[::4, ::4], axis=None)
    return int(ordered[min(ordered.size * permille // 1000, ordered.size - 1)])


def top_share(score_HW: np.ndarray, permille: int) -> np.ndarray:
    """Select the highest `permille` of 1000 pixels: (height, width) of bool."""
    if not permille:
        return np.zeros(score_HW.shape, bool)
    return np.asarray(score_HW > quantile(score_HW, 1000 - permille))
