"""Areas of a map's pixels on the ellipsoid.

In the plane of a projection areas are off: in EPSG:3857 at 52° N they are 2.6 times as large, and in degrees they are
no areas at all. `pyproj.Proj.get_factors().areal_scale` is off by 0.16 % in EPSG:3857.
"""

import math

import numpy as np
from rasterio.windows import Window
from scipy.interpolate import CubicSpline

from pipeline.raster.georeference import Georeference
from pipeline.scenes.ground import ground_positions, pixel_area

CELL, CELL_OF_LARGE = 64, 32
"""Side in pixels of the cells whose areas are computed."""
LARGE = 10_000
"""Area in m² from which a pixel is large."""
MIN_CELLS = 4
"""Least number of cells along an axis, so that the spline is cubic in the small blocks at the ends of a map too."""
MIN_SIDE = 10
"""Side in metres below which no further cells are made: geodesic areas have an absolute rounding error."""
EDGE_POINTS, EDGE_POINTS_OF_LARGE = 4, 16
"""Points along each side of a cell: sides are straight in the CRS, and geodesics only between points."""
UNIT_SQUARE = np.array([[0, 0], [0, 1], [1, 1], [1, 0], [0, 0]])
"""(row, column) of its corners, in order."""


def pixel_areas(georeference: Georeference, window: Window) -> np.ndarray | None:
    """Compute the geodesic area of each pixel of a window in m².

    Relative errors: up to 3e-7 in UTM, EPSG:2180, EPSG:3857, EPSG:3031, and in degrees at 0.0001° per pixel. At 0.1°,
    in a block of 2,048 x 1,600 px from 85° N to 75° S: up to 2e-6 from 65° N to 45° S, 3e-5 at 80° N, 3e-4 at 85° N.

    Args:
        georeference: of the map.
        window: in pixels of the map.

    Returns:
        area_HW, float64; None without a transform, a CRS, or a position on the Earth.
    """
    centre = pixel_area(georeference, 2 * window.row_off + window.height, 2 * window.col_off + window.width)
    if centre is None:
        return None
    cell, points = (CELL, EDGE_POINTS) if centre < LARGE else (CELL_OF_LARGE, EDGE_POINTS_OF_LARGE)
    side = math.sqrt(centre)
    row_R = _cell_lines(window.row_off, window.height, cell, side)
    column_C = _cell_lines(window.col_off, window.width, cell, side)
    height_R, width_C = np.diff(row_R), np.diff(column_C)
    down_P, along_P = _outline(points).T
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
    area_HW: np.ndarray = _weights(row_R) @ area.reshape(len(height_R), len(width_C)) @ _weights(column_C).T
    return area_HW


def _cell_lines(start: int, size: int, cell: int, side: float) -> np.ndarray:
    """Return the lines between cells, which are about `cell` pixels of `side` metres apart."""
    least = min(MIN_CELLS, size, int(size * side / MIN_SIDE))
    return np.linspace(start, start + size, max(1, least, round(size / cell)) + 1).round()


def _outline(points: int) -> np.ndarray:
    """Return (row, column) of points around the unit square."""
    step_P = np.arange(points)[:, None] / points
    sides = [start + step_P * (end - start) for start, end in zip(UNIT_SQUARE[:-1], UNIT_SQUARE[1:], strict=True)]
    return np.concatenate(sides)


def _weights(line_N: np.ndarray) -> np.ndarray:
    """Return the share of each cell in each pixel along one axis: a cubic spline through the cumulative areas.

    So the pixels of a cell add up to its area.
    """
    to_line_N = np.tri(len(line_N), len(line_N) - 1, -1)  # cells before each line
    cumulative = CubicSpline(line_N, to_line_N)
    weight_HN: np.ndarray = np.diff(cumulative(np.arange(line_N[0], line_N[-1] + 1)), axis=0)
    return weight_HN
