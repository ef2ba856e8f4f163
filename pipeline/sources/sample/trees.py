"""Tree crowns: domes on a jittered lattice; the highest one at each pixel is visible."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import derive_seed, white_noise
from pipeline.sources.sample.shapes import UNIT, Point

_NEIGHBOURS = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))


@dataclass(frozen=True)
class Canopy:
    """Tree crowns from above; maps are (height, width)."""

    tree_HW: np.ndarray
    """bool: a crown covers the pixel."""
    light_HW: np.ndarray
    """int32 around 1024: bright on the side facing the sun, dark at the rim and on the other side."""
    species_HW: np.ndarray
    """int32, 0 to 1023: constant in a crown."""


@dataclass(frozen=True)
class _Lattice:
    """One tree per cell: position in the cell and squared radius, in pixels; negative radius2 for no tree."""

    row: np.ndarray
    column: np.ndarray
    radius2: np.ndarray
    species: np.ndarray


def grow_canopy(probability_HW: np.ndarray, cell: int, sun_direction: Point, seed: int) -> Canopy:
    """Plant at most one tree per cell, with the probability at its trunk.

    Args:
        probability_HW: int32, 0 to 1024.
        cell: distance between trees in pixels.
        sun_direction: direction vector towards the sun.
        seed: of positions, sizes and species.
    """
    height, width = probability_HW.shape
    lattice = _plant(probability_HW, cell, seed)
    top = _highest_dome(lattice, cell)
    neighbour = top & 15
    row, column, radius2, species = (_visible(values, neighbour) for values in vars(lattice).values())
    row, column = _from_centre(row, column, neighbour, cell)
    sunward = (row * sun_direction[0] + column * sun_direction[1]) // (2 * cell)
    dome = (top >> 4) * UNIT // np.maximum(radius2, 1)
    light = 560 + sunward + dome // 2
    return Canopy(*(values[:height, :width] for values in (top >= 0, light, species)))


def _plant(probability_HW: np.ndarray, cell: int, seed: int) -> _Lattice:
    shape = tuple(-(-length // cell) + 2 for length in probability_HW.shape)
    row, column, size, draw, species = (
        white_noise((shape[0], shape[1]), derive_seed(seed, name)) for name in ("row", "column", "size", "luck", "kind")
    )
    row, column = row * cell >> 10, column * cell >> 10
    trunk_row = np.clip((np.arange(shape[0])[:, None] - 1) * cell + row, 0, probability_HW.shape[0] - 1)
    trunk_column = np.clip((np.arange(shape[1])[None, :] - 1) * cell + column, 0, probability_HW.shape[1] - 1)
    radius = cell * (560 + size // 3) >> 10
    grows = draw < probability_HW[trunk_row, trunk_column]
    return _Lattice(row, column, np.where(grows, radius * radius, -4 * cell * cell), species)


def _highest_dome(lattice: _Lattice, cell: int) -> np.ndarray:
    """Return the highest dome at each pixel of the inner cells: (radius² - distance²) * 16 + index of the neighbour."""
    rows, columns = (length - 2 for length in lattice.row.shape)
    top = np.full((rows, cell, columns, cell), np.iinfo(np.int32).min, np.int32)
    inner = np.arange(cell, dtype=np.int32)
    for number, (down, right) in enumerate(_NEIGHBOURS):
        window = slice(1 + down, 1 + down + rows), slice(1 + right, 1 + right + columns)
        row_offset = inner[None, :, None, None] - lattice.row[window][:, None, :, None] - down * cell
        column_offset = inner[None, None, None, :] - lattice.column[window][:, None, :, None] - right * cell
        dome = (lattice.radius2[window][:, None, :, None] - row_offset * row_offset) * 16 + number
        np.maximum(top, dome - column_offset * column_offset * 16, out=top)
    return top.reshape(rows * cell, columns * cell)


def _visible(values: np.ndarray, neighbour_HW: np.ndarray) -> np.ndarray:
    """Return the value of the tree that is visible at each pixel."""
    rows, columns = (length - 2 for length in values.shape)
    cell = neighbour_HW.shape[0] // rows
    nine = np.stack([values[1 + r : 1 + r + rows, 1 + c : 1 + c + columns] for r, c in _NEIGHBOURS], axis=-1)
    cell_row = np.arange(rows, dtype=np.int32).repeat(cell)[:, None] * columns
    index = (cell_row + np.arange(columns, dtype=np.int32).repeat(cell)[None, :]) * len(_NEIGHBOURS)
    return np.asarray(nine.reshape(-1)[index + neighbour_HW])


def _from_centre(
    row: np.ndarray, column: np.ndarray, neighbour: np.ndarray, cell: int
) -> tuple[np.ndarray, np.ndarray]:
    """Return each pixel's row and column offset from the centre of its visible crown."""
    height, width = neighbour.shape
    inner_row = (np.arange(height, dtype=np.int32) % cell)[:, None]
    inner_column = (np.arange(width, dtype=np.int32) % cell)[None, :]
    return inner_row - row - (neighbour // 3 - 1) * cell, inner_column - column - (neighbour % 3 - 1) * cell
