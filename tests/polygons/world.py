"""Maps of class ids for the tests of polygons."""

from pathlib import Path

import numpy as np
import rasterio
import shapely
from pyogrio import raw
from scipy import ndimage

from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.polygons.class_map import MODEL_TAG
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from tests.world import at

TABLE = ClassTable(
    classes=(
        LandCoverClass(id=0, name="background", colour=(0, 0, 0)),
        LandCoverClass(id=3, name="snow/ice", colour=(0, 0, 255)),
        LandCoverClass(id=7, name="forêt", colour=(0, 128, 0)),
    )
)


def smooth_classes(height: int, width: int, sigma: float = 2, seed: int = 0) -> np.ndarray:
    """Random patches of the classes of `TABLE`, with some no data; uint8."""
    noise_KHW = np.random.default_rng(seed).normal(size=(4, height, width))
    index_HW = np.argmax([ndimage.gaussian_filter(noise_HW, sigma) for noise_HW in noise_KHW], axis=0)
    return np.array([*TABLE.ids, 255], np.uint8)[index_HW]


def write_map(
    path: Path, class_HW: np.ndarray, confidence_HW: np.ndarray | None = None, place: Georeference | None = None
) -> Path:
    """A map as `pipeline.predict` writes it, and its confidence beside it."""
    place = at() if place is None else place
    layers = [(path, class_HW)]
    if confidence_HW is not None:
        layers.append((path.with_suffix(f".confidence{path.suffix}"), confidence_HW))
    for name, band_HW in layers:
        write_geotiff(name, band_HW[None], place, nodata=255)
        with rasterio.open(name, "r+") as dataset:
            dataset.update_tags(**{MODEL_TAG: "abc"})
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, **{f"CLASS_{entry.id}": entry.name for entry in TABLE.classes})
        dataset.write_colormap(1, {entry.id: entry.colour for entry in TABLE.classes})
    return path


def read_features(path: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The polygons of a GeoPackage, and its columns."""
    meta, _, geometry, columns = raw.read(path, layer=path.stem)
    return shapely.from_wkb(geometry), dict(zip(meta["fields"], columns, strict=True))
