"""Outlines of chips on the ground: to see which touch, and for a GIS."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from rasterio._err import CPLE_BaseError  # what GDAL says of a CRS; rasterio lets it through and has no public name
from rasterio.errors import CRSError
from rasterio.warp import transform


def corners(left_N: np.ndarray, top_N: np.ndarray, size_N2: np.ndarray) -> np.ndarray:
    """Of rectangles of a width and a height, counterclockwise from the top left, (rectangles, 4, 2)."""
    right_N, bottom_N = left_N + size_N2[:, 0], top_N - size_N2[:, 1]
    ring = [(left_N, top_N), (left_N, bottom_N), (right_N, bottom_N), (right_N, top_N)]
    return np.stack([np.stack(corner, axis=1) for corner in ring], axis=1)


def located(chips: pd.DataFrame) -> pd.Series:
    """Of rows of `chips.csv`, those whose place on the ground is known."""
    return (chips["crs"] != "") & chips[["x", "y", "pixel_size"]].notna().all(axis=1)


def outlines(chips: pd.DataFrame) -> np.ndarray:
    """Corners of rows of `chips.csv` in the chip's own CRS, see `corners`; NaN where they are not known."""
    known = located(chips)
    x_N, y_N, pixel_N = (chips[name].where(known).to_numpy(float) for name in ("x", "y", "pixel_size"))
    return corners(x_N, y_N, chips[["width", "height"]].to_numpy() * pixel_N[:, None])


def in_degrees(outlines_N42: np.ndarray, crs: str) -> np.ndarray:
    """The same in longitude and latitude; NaN where the CRS has no place on the globe, as a site's own grid."""
    try:
        lon, lat = transform(
            crs, "OGC:CRS84", outlines_N42[..., 0].ravel().tolist(), outlines_N42[..., 1].ravel().tolist()
        )
    except (CPLE_BaseError, CRSError):
        return np.full(outlines_N42.shape, np.nan)
    degrees_N42 = np.stack([lon, lat], axis=1).reshape(outlines_N42.shape)
    return np.where(np.isfinite(degrees_N42), degrees_N42, np.nan)


def footprints(chips: pd.DataFrame, properties: Sequence[str]) -> dict[str, Any]:
    """Chips as GeoJSON polygons in longitude and latitude (RFC 7946), to a centimetre or so.

    Args:
        chips: rows of `chips.csv`; those whose outline on the globe is not known are left out.
        properties: columns that each outline carries.
    """
    features: list[dict[str, Any]] = []
    for crs, rows in chips[located(chips)].groupby("crs", sort=True):
        rings = in_degrees(outlines(rows), str(crs)).round(7).tolist()
        for ring, values in zip(rings, rows[list(properties)].to_dict("records"), strict=True):
            if not np.isnan(ring).any():
                geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
                features.append({"type": "Feature", "properties": values, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}
