"""Small hand-made archives in the layouts of the real ones, and the params to process them."""

import copy
from collections.abc import Mapping
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import rasterio
import yaml
from pydantic import BaseModel
from rasterio.crs import CRS
from rasterio.transform import Affine

from pipeline.formats.classes import ClassTable, LandCoverClass, write_classes
from pipeline.formats.datasets import CLASSES, DatasetName
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.layout import Scene, SourceItem, write_source
from pipeline.sentinel.date_selection import Thresholds

M = TypeVar("M", bound=BaseModel)

UTM = "EPSG:32630"
CRS_NO_CODE = CRS.from_proj4("+proj=tmerc +lon_0=19 +k=0.9993 +x_0=500000 +y_0=-5300000 +ellps=GRS80").to_wkt()
"""A CRS without an EPSG code, like that of LandCover.ai."""
LOCAL_CRS = 'LOCAL_CS["site grid",UNIT["metre",1,AUTHORITY["EPSG","9001"]]]'
"""A local CRS without a position on the globe, as some drone images have."""
LIMITS = {"max_cloud": 0.05, "max_shadow": 0.05, "max_haze": 0.1, "max_no_data": 0.02, "dates": 2}
CONVERSION = {"scale": 0.0001, "offset": 0.0, "stretch": [0.0, 0.3], "ignore_clouds": False}
SOURCE = {"source": "local", "path": "input", "sample_seed": 1}
BUCKET = {"endpoint": "http://127.0.0.1:9", "bucket": "bucket", "prefix": "prefix/", "folders": [""], "etag": "md5"}
SELECT = {"bbox": "none", "tiles": "none", "dates": "none", "chips": "none"}
DOWNLOAD: dict[str, Any] = {
    "landcoverai": SOURCE | {"archive": {"url": "http://127.0.0.1:9/archive.zip", "sha256": "0" * 64}},
    "landcovernet": SOURCE
    | {
        "connections": 4,
        "select": dict(SELECT),
        "clouds_first": {"clouds": "scl", "cld_threshold": 50, "max_cloud": 0.1, "max_no_data": 0.02, "dates": 2},
        "mlhub": {"dataset": "ref_landcovernet_af_v1"},
        "source_coop": BUCKET
        | {
            "images": r".*_(?P<chip>\d\d[A-Z]{3}_\d+)_(?P<date>\d{8})/(?P<asset>\w+)\.tif",
            "labels": r".*_(?P<chip>\d\d[A-Z]{3}_\d+)/labels\.tif",
        },
    },
    "ghana": SOURCE
    | {
        "connections": 4,
        "select": dict(SELECT),
        "clouds_first": {"clouds": "mask", "max_cloud": 0.1, "max_no_data": 0.02, "dates": 2},
        "mlhub": {"dataset": "su_african_crops_ghana"},
        "source_coop": BUCKET
        | {
            "images": r".*_(?P<chip>\d{6})_(?P<date>\d{4}_\d\d_\d\d)/source\.tif",
            "clouds": r".*_(?P<chip>\d{6})_(?P<date>\d{4}_\d\d_\d\d)/cloudmask\.tif",
            "labels": r".*_(?P<chip>\d{6})/labels\.tif",
        },
    },
}
PARAMS: dict[str, Any] = {
    "dataset": "landcoverai",
    "on_error": "stop",
    "bands": {"landcovernet": ["B04", "B03", "B02"], "ghana": [3, 2, 1]},
    "download": DOWNLOAD,
    "cloud_filter": {
        "landcovernet": LIMITS | {"clouds": "scl", "cld_threshold": 50},
        "ghana": LIMITS | {"clouds": "mask"},
    },
    "tif_to_png": {"landcovernet": CONVERSION | {"min_consensus": 0}, "ghana": CONVERSION},
    "tile": {"size": 32, "partial": "drop", "bands": [1, 2, 3], "stretch": "none", "alpha": "auto"},
    "split": {
        "strategy": "random",
        "train": 0.8,
        "val": 0.1,
        "test": 0.1,
        "seed": 42,
        "fold": "none",
        "block": {"chips": 2, "gap": 1},
        "skew": {"class": "none", "share": 0.9, "keep_at_least": 0.05},
        "subsample": "none",
        "neighbours": "any",
    },
}

TWO_CLASSES = ClassTable(
    classes=(
        LandCoverClass(id=1, name="field", colour=(0, 255, 127)),
        LandCoverClass(id=2, name="wood", colour=(10, 20, 30)),
    )
)


def changed(more: Mapping[str, Any] | None = None, **changes: Any) -> dict[str, Any]:
    """Return the params, and more sections, with changes by dotted key: `changed(**{"tile.size": 64})`."""
    values = copy.deepcopy(PARAMS | dict(more or {}))
    for key, value in changes.items():
        *sections, last = key.split(".")
        inner = values
        for section in sections:
            inner = inner[section]
        inner[last] = value
    return values


def params(kind: type[M], **changes: Any) -> M:
    values = changed(**changes)
    return kind.model_validate({key: values[key] for key in kind.model_fields})


def write_params(folder: Path, **changes: Any) -> None:
    (folder / "params.yaml").write_text(yaml.safe_dump(changed(**changes)))


def thresholds(**changes: Any) -> Thresholds:
    return Thresholds.model_validate(LIMITS | changes)


def at(x: float = 500000.0, y: float = 1000000.0, pixel: float = 10.0, crs: str | None = UTM) -> Georeference:
    return Georeference(crs, Affine(pixel, 0.0, x, 0.0, -pixel, y))


def gradient(height: int, width: int, bands: int = 3, dtype: str = "uint8") -> np.ndarray:
    """Band 1 is the row number, band 2 the column number, the others are 50, 51, …; no pixel is 0."""
    rows, columns = np.mgrid[1 : height + 1, 1 : width + 1] % 256
    others = [np.full((height, width), 50 + band) for band in range(bands - 2)]
    return np.stack([rows, columns, *others])[:bands].astype(dtype)


def halves(height: int, width: int, left: int = 1, right: int = 2, dtype: str = "uint8") -> np.ndarray:
    labels_HW = np.full((height, width), left, dtype)
    labels_HW[:, width // 2 :] = right
    return labels_HW


def archive(raw: Path, dataset: DatasetName, table: ClassTable | None = None) -> Path:
    """Write the files that the stage `download` adds to an archive."""
    raw.mkdir(parents=True, exist_ok=True)
    write_classes(raw / "classes.json", table or CLASSES[dataset])
    write_source(raw, "local")
    return raw


def read_tiff(path: Path) -> None:
    """Read all pixels of a GeoTIFF."""
    with open_geotiff(path) as file:
        file.read()


def orthophoto(raw: Path, scene: str, image_CHW: np.ndarray | None = None, mask_HW: np.ndarray | None = None) -> Scene:
    """By default 64 rows and 96 columns at 0.5 m; the left half of the mask is 1, the right half 2."""
    paths = Scene(scene, raw / "images" / f"{scene}.tif", raw / "masks" / f"{scene}.tif")
    image_CHW = gradient(64, 96) if image_CHW is None else image_CHW
    mask_HW = halves(*image_CHW.shape[1:]) if mask_HW is None else mask_HW
    write_geotiff(paths.image, image_CHW, at(pixel=0.5))
    write_geotiff(paths.mask, mask_HW[None], at(pixel=0.5))
    return paths


def hide(path: Path, valid_HW: np.ndarray) -> None:
    """Add an internal mask to a GeoTIFF: 0 is masked, 255 valid."""
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(valid_HW)


def landcovernet_item(raw: Path, chip: str, day: date, scl: int = 4, cld: int = 0, hidden: int = 0) -> SourceItem:
    """16 x 16 px with B04, B03, B02 = 1200, 600, 240; the first `hidden` pixels have `scl` and `cld`, others 4, 0."""
    name = f"ref_landcovernet_af_v1_source_sentinel_2_{chip}_{day:%Y%m%d}"
    folder = raw / "ref_landcovernet_af_v1_source_sentinel_2" / name
    for key, value in (("B04", 1200), ("B03", 600), ("B02", 240)):
        write_geotiff(folder / f"{key}.tif", np.full((1, 16, 16), value, np.uint16), at(), nodata=0)
    for key, value, clear in (("SCL", scl, 4), ("CLD", cld, 0)):
        codes_HW = np.full((16, 16), clear, np.uint8)
        codes_HW.flat[:hidden] = value
        write_geotiff(folder / f"{key}.tif", codes_HW[None], at())
    return SourceItem(chip, day, folder)


def landcovernet_label(raw: Path, chip: str, labels_HW: np.ndarray | None = None, consensus: int = 100) -> Path:
    """16 x 16 px: by default class 1 on the left, 6 on the right; and the consensus of the annotators in percent."""
    folder = raw / "ref_landcovernet_af_v1_labels" / f"ref_landcovernet_af_v1_labels_{chip}"
    labels_HW = halves(16, 16, 1, 6) if labels_HW is None else labels_HW
    bands_CHW = np.stack([labels_HW, np.full_like(labels_HW, consensus)]).astype(np.uint16)
    write_geotiff(folder / "labels.tif", bands_CHW, at(), nodata=0, interleave="pixel")
    return folder


def ghana_item(raw: Path, chip: str, day: date, code: int = 0, hidden: int = 0) -> SourceItem:
    """16 x 16 px, ten bands, band k is 100 * k; the first `hidden` pixels of the cloud mask have `code`."""
    folder = raw / "su_african_crops_ghana_source_s2" / f"su_african_crops_ghana_source_s2_{chip}_{day:%Y_%m_%d}"
    bands_CHW = np.repeat(np.arange(1, 11, dtype=np.uint16) * 100, 256).reshape(10, 16, 16)
    codes_HW = np.zeros((16, 16), np.uint8)
    codes_HW.flat[:hidden] = code
    write_geotiff(folder / "source.tif", bands_CHW, at())
    write_geotiff(folder / "cloudmask.tif", codes_HW[None], at())
    return SourceItem(chip, day, folder)


def ghana_label(raw: Path, chip: str, labels_HW: np.ndarray | None = None) -> Path:
    """16 x 16 px without a CRS, float64: by default 8 pixels of maize, the others unlabelled."""
    folder = raw / "su_african_crops_ghana_labels" / f"su_african_crops_ghana_labels_{chip}"
    if labels_HW is None:
        labels_HW = np.zeros((16, 16))
        labels_HW.flat[:8] = 2
    write_geotiff(folder / "labels.tif", labels_HW.astype(np.float64)[None])
    return folder
