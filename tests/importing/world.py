"""Folders of images and labels as people have them."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import shapely
import yaml
from PIL import Image
from pyogrio import raw

from pipeline.core.failures import Failure
from pipeline.core.files import write_text
from pipeline.importing.importer import Imported, Importer, read_rules
from tests.world import UTM, at, gradient, write_geotiff

CLASSES = {
    "classes": [
        {"id": 0, "name": "other", "colour": "#000000"},
        {"id": 1, "name": "building", "colour": "#ff0000"},
    ]
}
SIDE = 64
MASK_HW = np.zeros((SIDE, SIDE), np.uint8)
MASK_HW[16:32, 8:40] = 1
"""A building: columns 8 to 39 of rows 16 to 31."""
BUILDING = shapely.box(500000 + 8 * 0.5, 1000000 - 32 * 0.5, 500000 + 40 * 0.5, 1000000 - 16 * 0.5)
"""The same on the ground, for images of `write_tif`."""


def write_tif(path: Path, bands_CHW: np.ndarray | None = None) -> Path:
    """A GeoTIFF of 64 x 64 px at 0.5 m; by default an image."""
    write_geotiff(path, gradient(SIDE, SIDE) if bands_CHW is None else np.atleast_3d(bands_CHW.T).T, at(pixel=0.5))
    return path


def write_picture(path: Path, image: np.ndarray | None = None, **options: Any) -> Path:
    """A PNG or JPEG; by default an image."""
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(gradient(SIDE, SIDE).transpose(1, 2, 0) if image is None else image).save(path, **options)
    return path


def write_vector(
    path: Path,
    *geometries: Any,
    crs: str | None = UTM,
    layer: str = "labels",
    append: bool = False,
    **attributes: Sequence[Any],
) -> Path:
    """Geometries with attributes, whose texts may be None; by default the building."""
    path.parent.mkdir(parents=True, exist_ok=True)
    geometries = geometries or (BUILDING,)
    kinds = {geometry.geom_type + " Z" * geometry.has_z for geometry in geometries if geometry is not None}
    drivers = {".gpkg": "GPKG", ".fgb": "FlatGeobuf", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON"}
    raw.write(
        path,
        geometry=shapely.to_wkb(np.array(geometries, object)),
        field_data=[
            np.array(values, object if {type(v) for v in values} & {str, type(None)} else None)
            for values in attributes.values()
        ],
        fields=list(attributes),
        geometry_type=kinds.pop() if len(kinds) == 1 else "Unknown",
        crs=crs,
        driver=drivers[path.suffix],
        layer=layer,
        append=append,
    )
    return path


def write_rules(folder: Path, **keys: Any) -> None:
    """A `classes.yaml`."""
    write_text(folder / "classes.yaml", yaml.safe_dump(CLASSES | keys, sort_keys=False))


def run_import(mine: Path, target: Path) -> tuple[list[Imported], list[Failure], list[str]]:
    """Import a folder: files, failures and notes."""
    target.mkdir()
    importer = Importer(mine, target, read_rules(mine))
    results = list(
        importer.import_files([path.relative_to(mine) for path in sorted(mine.rglob("*")) if path.is_file()])
    )
    imported = [result for result in results if isinstance(result, Imported)]
    return imported, [result for result in results if isinstance(result, Failure)], importer.notes
