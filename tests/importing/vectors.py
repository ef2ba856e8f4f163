from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
from pyogrio import raw

DRIVERS = {".gpkg": "GPKG", ".fgb": "FlatGeobuf", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON"}


def save_labels(
    path: Path,
    geometries: Sequence[shapely.Geometry | None],
    attributes: dict[str, Sequence[Any]],
    crs: str | None = "EPSG:4326",
    layer: str = "labels",
    append: bool = False,
) -> Path:
    """Write a vector file; text attributes may contain None."""
    kinds = {geometry.geom_type for geometry in geometries if geometry is not None}
    columns = [
        np.array(values, object if {type(v) for v in values} & {str, type(None)} else None)
        for values in attributes.values()
    ]
    raw.write(
        path,
        geometry=shapely.to_wkb(np.array(geometries, object)),
        field_data=columns,
        fields=list(attributes),
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        crs=crs,
        driver=DRIVERS[path.suffix],
        layer=layer,
        append=append,
    )
    return path
