"""Areas of a map's pixels on the ellipsoid.

In the plane of a projection areas are off: in EPSG:3857 at 52° N they are 2.6 times as large, and in degrees they are
no areas at all. `pyproj.Proj.get_factors().areal_scale` is off by 0.16 % in EPSG:3857.
"""

import numpy as np
from rasterio.windows import Window

from pipeline.raster.georeference import Georeference
from pipeline.scenes.ground import ground_positions, pixel_area

CELL, CELL_OF_LARGE = 64, 16
"""Side in pixels of the cells whose areas are computed; between their centres areas are interpolated linearly."""
LARGE = 10_000
"""Area in m² from which a pixel is large: cells of 64 would be so wide that areas are not linear within them."""
EDGE_POINTS = 8
"""Points along each side of a cell: sides are straight in the CRS, and geodesics only between points."""
UNIT_SQUARE = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]])
"""(row, column) of its corners, in order."""


def pixel_areas(georeference: Georeference, window: Window) -> np.ndarray | None:
    """Compute the geodesic area of each pixel of a window in m².

    Args:
        georeference: of the map.
        window: in pixels of the map.

    Returns:
        area_HW, float64; None without a transform, a CRS, or a position on the Earth.
    """
    centre = pixel_area(georeference, 2 * window.row_off + window.height, 2 * window.col_off + window.width)
    if centre is None:
        return None
    cell = CELL if centre < LARGE else CELL_OF_LARGE
    row_R, column_C = _cell_lines(window.row_off, window.height, cell), _cell_lines(window.col_off, window.width, cell)
    height_R, width_C = np.diff(row_R), np.diff(column_C)
    down_P, along_P = _outline().T
    row_RCP = row_R[:-1, None, None] + height_R[:, None, None] * down_P + np.zeros((len(width_C), 1))
    column_RCP = column_C[:-1, None] + width_C[:, None] * along_P + np.zeros((len(height_R), 1, 1))
    found = ground_positions(georeference, column_RCP.ravel(), row_RCP.ravel())
    if found is None:
        return None
    geod, lon, lat = found
    outlines = zip(lon.reshape(-1, len(down_P)), lat.reshape(-1, len(down_P)), strict=True)
    area = np.abs([geod.polygon_area_perimeter(lon_P, lat_P)[0] for lon_P, lat_P in outlines])
    if not (area > 0).all():  # NaN beyond the poles
        return None
    area_RC = area.reshape(len(height_R), len(width_C)) / (height_R[:, None] * width_C)
    return _weights(row_R) @ area_RC @ _weights(column_C).T


def _cell_lines(start: int, size: int, cell: int) -> np.ndarray:
    """Return the lines between cells, which are about `cell` pixels apart."""
    return np.linspace(start, start + size, max(1, round(size / cell)) + 1).round()


def _outline() -> np.ndarray:
    """Return (row, column) of points around the unit square."""
    step_P = np.arange(EDGE_POINTS)[:, None] / EDGE_POINTS
    sides = [start + step_P * (end - start) for start, end in zip(UNIT_SQUARE[:-1], UNIT_SQUARE[1:], strict=True)]
    return np.concatenate(sides)


def _weights(line_N: np.ndarray) -> np.ndarray:
    """Return the weight of each cell for each pixel along one axis: linear between centres, also beyond the outer."""
    centre_N = (line_N[:-1] + line_N[1:]) / 2
    pixel_H = np.arange(line_N[0], line_N[-1]) + 0.5
    if len(centre_N) == 1:
        return np.ones((len(pixel_H), 1))
    cell_H = np.clip(np.searchsorted(centre_N, pixel_H) - 1, 0, len(centre_N) - 2)
    part_H = (pixel_H - centre_N[cell_H]) / (centre_N[cell_H + 1] - centre_N[cell_H])
    weight_HN = np.zeros((len(pixel_H), len(centre_N)))
    weight_HN[np.arange(len(pixel_H)), cell_H] = 1 - part_H
    weight_HN[np.arange(len(pixel_H)), cell_H + 1] = part_H
    return weight_HN
