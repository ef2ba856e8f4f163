"""Pixels of the samples, and how far borders of classes are displaced."""

from pathlib import Path

import numpy as np
from scipy.ndimage import distance_transform_cdt

from pipeline.raster.geotiff import open_geotiff


def pixels(path: Path) -> np.ndarray:
    """Read all bands of a GeoTIFF."""
    with open_geotiff(path) as file:
        return file.read()


def max_distance_to_class(class_HW: np.ndarray, true_HW: np.ndarray) -> int:
    """Largest distance, in rows or columns, from any pixel to the nearest pixel of `true_HW` with its class."""
    return max(int(distance_transform_cdt(true_HW != value)[class_HW == value].max()) for value in np.unique(class_HW))
