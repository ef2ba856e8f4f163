"""Footprints of chips: their outlines on the ground, also as GeoJSON."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from rasterio._err import CPLE_BaseError  # GDAL's error for an unusable CRS: not wrapped by rasterio, no public name
from rasterio.crs import CRS
from rasterio.errors import CRSError
from rasterio.warp import transform


def corners(left_N: np.ndarray, top_N: np.ndarray, size_N2: np.ndarray) -> np.ndarray:
    """Return the corners of rectangles, counterclockwise from the top left, (rectangles, 4, 2)."""
    right_N, bottom_N = left_N + size_N2[:, 0], top_N - size_N2[:, 1]
    ring = [(left_N, top_N), (left_N, bottom_N), (right_N, bottom_N), (right_N, top_N)]
    return np.stack([np.stack(corner, axis=1) for corner in ring], axis=1)


def is_georeferenced(chips: pd.DataFrame) -> pd.Series:
    """Return whether the location of each row of `chips.csv` on the ground is known."""
    return (chips["crs"] != "") & chips[["x", "y", "pixel_size"]].notna().all(axis=1)


def reproject(points_N2: np.ndarray, source: CRS | str, target: CRS | str) -> np.ndarray:
    """Transform coordinates between CRSs; NaN where that is not possible, as from a local site grid."""
    try:
        xs, ys = transform(source, target, points_N2[:, 0].tolist(), points_N2[:, 1].tolist())
    except (CPLE_BaseError, CRSError):
        return np.full(points_N2.shape, np.nan)
    result_N2 = np.stack([xs, ys], axis=1)
    return np.where(np.isfinite(result_N2), result_N2, np.nan)


def to_degrees(outlines_N42: np.ndarray, crs: str) -> np.ndarray:
    """Convert outlines to longitude and latitude; NaN where the CRS has no position on the globe."""
    return reproject(outlines_N42.reshape(-1, 2), crs, "OGC:CRS84").reshape(outlines_N42.shape)


def feature_collection(chips: pd.DataFrame, properties: Sequence[str]) -> dict[str, Any]:
    """Return footprints as GeoJSON polygons in longitude and latitude (RFC 7946), rounded to about a centimetre.

    Args:
        chips: rows of `chips.csv`; those without a known position on the globe are left out.
        properties: columns to copy to each feature.
    """
    features: list[dict[str, Any]] = []
    for crs, rows in chips[is_georeferenced(chips)].groupby("crs", sort=True):
        size_N2 = rows[["width", "height"]].to_numpy() * rows[["pixel_size"]].to_numpy()
        outlines_N42 = corners(rows["x"].to_numpy(), rows["y"].to_numpy(), size_N2)
        rings = to_degrees(outlines_N42, str(crs)).round(7).tolist()
        for ring, values in zip(rings, rows[list(properties)].to_dict("records"), strict=True):
            if not np.isnan(ring).any():
                geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
                features.append({"type": "Feature", "properties": values, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}
