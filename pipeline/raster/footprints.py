"""Outlines of chips on the ground: to see which touch, and for a GIS."""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from rasterio._err import CPLE_BaseError  # what GDAL says of a CRS; rasterio lets it through and has no public name
from rasterio.errors import CRSError
from rasterio.warp import transform


def outlines(chips: pd.DataFrame, margin: float = 0.0) -> np.ndarray:
    """Corners in the chip's own CRS, counterclockwise from the top left, (chips, 4, 2); NaN where they are not known.

    Args:
        chips: rows of `chips.csv`.
        margin: pixels that are added on each side.
    """
    known = chips["crs"] != ""
    x, y, size = (chips[name].where(known).to_numpy(float) for name in ("x", "y", "pixel_size"))
    around = margin * size
    left, right = x - around, x + chips["width"].to_numpy() * size + around
    top, bottom = y + around, y - chips["height"].to_numpy() * size - around
    corners = [(left, top), (left, bottom), (right, bottom), (right, top)]
    return np.stack([np.stack(corner, axis=1) for corner in corners], axis=1)


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
    for crs, rows in chips[~np.isnan(outlines(chips)).any(axis=(1, 2))].groupby("crs", sort=True):
        rings = in_degrees(outlines(rows), str(crs)).round(7).tolist()
        for ring, values in zip(rings, rows[list(properties)].to_dict("records"), strict=True):
            if not np.isnan(ring).any():
                geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
                features.append({"type": "Feature", "properties": values, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}
