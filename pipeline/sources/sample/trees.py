"""Tree crowns: domes on a jittered lattice; the highest one at each pixel is visible."""

from dataclasses import dataclass

import numpy as np

from pipeline.sources.sample.noise import derive_seed, white_noise
from pipeline.sources.sample.shapes import UNIT, Point


@dataclass(frozen=True)
class Canopy:
    """Tree crowns from above; maps are (height, width)."""

    tree_HW: np.ndarray
    """bool: a crown covers the pixel."""
    light_HW: np.ndarray
    """int32 around 1024: bright on the side facing the sun, dark at the rim and on the other side."""
    species_HW: np.ndarray
    """int32, 0 to 1023: constant in a crown."""


def grow_canopy(probability_HW: np.ndarray, cell: int, sun_direction: Point, seed: int) -> Canopy:
    """Plant at most one tree per cell, with the probability at its trunk.

    Args:
        probability_HW: int32, 0 to 1024.
        cell: distance between trees in pixels.
        sun_direction: direction vector towards the sun.
        seed: of positions, sizes and species.
    """
    height, width = probability_HW.shape
    rows, columns = -(-height // cell), -(-width // cell)
    row, column, size, draw, species = (  # of one tree per cell, in a lattice with a cell around the scene
        white_noise((rows + 2, columns + 2), derive_seed(seed, name))
        for name in ("row", "column", "size", "luck", "kind")
    )
    row = (row * cell >> 10) + (np.arange(rows + 2, dtype=np.int32)[:, None] - 1) * cell
    column = (column * cell >> 10) + (np.arange(columns + 2, dtype=np.int32) - 1) * cell
    radius = cell * (560 + size // 3) >> 10
    grows = draw < probability_HW[np.clip(row, 0, height - 1), np.clip(column, 0, width - 1)]
    radius2 = np.where(grows, radius * radius, -4 * cell * cell)  # negative for no tree

    pixel_row = np.arange(rows * cell, dtype=np.int32).reshape(rows, cell, 1, 1)
    pixel_column = np.arange(columns * cell, dtype=np.int32).reshape(columns, cell)
    dome = np.full((rows, cell, columns, cell), np.iinfo(np.int32).min, np.int32)
    for number in range(9):
        down, right = divmod(number, 3)
        window = slice(down, down + rows), None, slice(right, right + columns), None
        # times 16, so that the number of the highest tree fits into the lowest bits
        height2 = (radius2[window] - (pixel_row - row[window]) ** 2) * 16 + number
        np.maximum(dome, height2 - (pixel_column - column[window]) ** 2 * 16, out=dome)
    neighbour = np.divmod(dome & 15, 3)
    visible = np.arange(rows)[:, None, None, None] + neighbour[0], np.arange(columns)[:, None] + neighbour[1]
    sunward = (pixel_row - row[visible]) * sun_direction[0] + (pixel_column - column[visible]) * sun_direction[1]
    light = 560 + sunward // (2 * cell) + (dome >> 4) * UNIT // np.maximum(radius2[visible], 1) // 2
    maps = (dome >= 0, light, species[visible])
    return Canopy(*(values.reshape(rows * cell, columns * cell)[:height, :width] for values in maps))
