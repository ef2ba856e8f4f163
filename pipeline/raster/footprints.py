"""Outlines of chips for a GIS."""

from collections.abc import Sequence
from typing import Any

import pandas as pd
from rasterio.warp import transform


def footprints(chips: pd.DataFrame, properties: Sequence[str]) -> dict[str, Any]:
    """Chips as GeoJSON polygons in longitude and latitude (RFC 7946), to a centimetre or so.

    Args:
        chips: rows of `chips.csv`; those without a CRS are left out.
        properties: columns that each outline carries.
    """
    features: list[dict[str, Any]] = []
    for crs, rows in chips[chips["crs"] != ""].groupby("crs", sort=True):
        right, bottom = rows["x"] + rows["width"] * rows["pixel_size"], rows["y"] - rows["height"] * rows["pixel_size"]
        # counterclockwise from the top left, as the RFC wants the outer ring
        rings = [(rows["x"], rows["y"]), (rows["x"], bottom), (right, bottom), (right, rows["y"])]
        corners = [transform(str(crs), "OGC:CRS84", x.tolist(), y.tolist()) for x, y in rings]
        for index, values in enumerate(rows[list(properties)].to_dict("records")):
            ring = [[round(lon[index], 7), round(lat[index], 7)] for lon, lat in corners]
            geometry = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
            features.append({"type": "Feature", "properties": values, "geometry": geometry})
    return {"type": "FeatureCollection", "features": features}
