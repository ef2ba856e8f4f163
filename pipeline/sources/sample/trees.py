"""Tree crowns: a jittered lattice of domes, the highest of which is seen."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import derive, white_noise
from pipeline.sources.sample.shapes import UNIT, Point

_NEIGHBOURS = tuple((row, column) for row in (-1, 0, 1) for column in (-1, 0, 1))


@dataclass(frozen=True)
class Canopy:
    """What the crowns look like from above."""

    tree_HW: np.ndarray
    """bool: a crown covers the pixel."""
    light_HW: np.ndarray
    """int32 around 1024: bright towards the sun, dark at the rim and away from it."""
    kind_HW: np.ndarray
    """int32, 0 to 1023: the same for all pixels of a crown."""


@dataclass(frozen=True)
class _Lattice:
    """One tree a cell: where its centre lies in the cell, the square of its radius, in pixels."""

    row: np.ndarray
    column: np.ndarray
    radius2: np.ndarray
    kind: np.ndarray


def grow(chance_HW: np.ndarray, cell: int, sun: Point, seed: int) -> Canopy:
    """Plant a tree in each cell with the chance, in 0..1023, that the map has at its foot.

    Args:
        chance_HW: int32, 0 to 1024.
        cell: pixels from tree to tree.
        sun: direction vector towards the sun.
        seed: of places, sizes and kinds.
    """
    height, width = chance_HW.shape
    lattice = _plant(chance_HW, cell, seed)
    best = _highest(lattice, cell)
    neighbour = best & 15
    row, column, radius2, kind = (_seen(values, neighbour) for values in vars(lattice).values())
    row, column = _from_centre(row, column, neighbour, cell)
    towards_sun = (row * sun[0] + column * sun[1]) // (2 * cell)
    dome = (best >> 4) * UNIT // np.maximum(radius2, 1)
    light = 560 + towards_sun + dome // 2
    return Canopy(*(values[:height, :width] for values in (best >= 0, light, kind)))


def _plant(chance_HW: np.ndarray, cell: int, seed: int) -> _Lattice:
    shape = tuple(-(-length // cell) + 2 for length in chance_HW.shape)
    row, column, size, luck, kind = (
        white_noise((shape[0], shape[1]), derive(seed, name)) for name in ("row", "column", "size", "luck", "kind")
    )
    row, column = row * cell >> 10, column * cell >> 10
    foot_row = np.clip((np.arange(shape[0])[:, None] - 1) * cell + row, 0, chance_HW.shape[0] - 1)
    foot_column = np.clip((np.arange(shape[1])[None, :] - 1) * cell + column, 0, chance_HW.shape[1] - 1)
    radius = cell * (560 + size // 3) >> 10
    grows = luck < chance_HW[foot_row, foot_column]
    return _Lattice(row, column, np.where(grows, radius * radius, -4 * cell * cell), kind)


def _highest(lattice: _Lattice, cell: int) -> np.ndarray:
    """For each pixel of the inner cells the highest dome, radius² - distance², times 16, plus whose it is of nine."""
    rows, columns = (length - 2 for length in lattice.row.shape)
    best = np.full((rows, cell, columns, cell), np.iinfo(np.int32).min, np.int32)
    inner = np.arange(cell, dtype=np.int32)
    for number, (down, right) in enumerate(_NEIGHBOURS):
        window = slice(1 + down, 1 + down + rows), slice(1 + right, 1 + right + columns)
        above = inner[None, :, None, None] - lattice.row[window][:, None, :, None] - down * cell
        beside = inner[None, None, None, :] - lattice.column[window][:, None, :, None] - right * cell
        dome = (lattice.radius2[window][:, None, :, None] - above * above) * 16 + number
        np.maximum(best, dome - beside * beside * 16, out=best)
    return best.reshape(rows * cell, columns * cell)


def _seen(values: np.ndarray, neighbour_HW: np.ndarray) -> np.ndarray:
    """The value of the tree that each pixel shows."""
    rows, columns = (length - 2 for length in values.shape)
    cell = neighbour_HW.shape[0] // rows
    nine = np.stack([values[1 + r : 1 + r + rows, 1 + c : 1 + c + columns] for r, c in _NEIGHBOURS], axis=-1)
    place_row = np.arange(rows, dtype=np.int32).repeat(cell)[:, None] * columns
    place = (place_row + np.arange(columns, dtype=np.int32).repeat(cell)[None, :]) * len(_NEIGHBOURS)
    return np.asarray(nine.reshape(-1)[place + neighbour_HW])


def _from_centre(
    row: np.ndarray, column: np.ndarray, neighbour: np.ndarray, cell: int
) -> tuple[np.ndarray, np.ndarray]:
    """Each pixel's rows and columns from the centre of the crown that it shows."""
    height, width = neighbour.shape
    inner_row = (np.arange(height, dtype=np.int32) % cell)[:, None]
    inner_column = (np.arange(width, dtype=np.int32) % cell)[None, :]
    return inner_row - row - (neighbour // 3 - 1) * cell, inner_column - column - (neighbour % 3 - 1) * cell
