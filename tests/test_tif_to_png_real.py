"""Real chips and labels of both archives get the colours of land, sea and clouds, and masks of their classes."""

import shutil
import warnings
from datetime import date
from pathlib import Path

import numpy as np
import pytest
import rasterio
from PIL import Image

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.formats.datasets import CLASSES, DatasetName
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.layout import SourceItem
from pipeline.sentinel.clouds import PixelKind
from pipeline.sentinel.conversion import read_item
from pipeline.tif_to_png import TifToPngParams, tif_to_png
from tests.world import archive, params

DAY = date(2018, 7, 20)


def real_rgb(shared: Path, naming: str) -> tuple[np.ndarray, np.ndarray]:
    used = params(TifToPngParams)
    item = SourceItem("00AAA_00", DAY, shared / "data/landcovernet/chips" / naming)
    options = used.cloud_filter.read_options("landcovernet", used.bands)
    return read_item(item, options, used.imagery("landcovernet"))[:2]


def test_the_real_coast_has_the_colours_of_sea_land_and_clouds(shared: Path) -> None:
    image_HWC, clouds_HW = real_rgb(shared, "descriptive-names")
    assert image_HWC.shape == (256, 256, 3)
    assert image_HWC.dtype == np.uint8
    assert np.median(image_HWC, axis=(0, 1)).tolist() == [26, 32, 41]  # mostly sea: dark, more blue than red
    assert np.median(image_HWC[90:, :190], axis=(0, 1)).argmax() == 2
    land_C = np.median(image_HWC[:10, 30:90], axis=(0, 1))
    assert land_C[0] > land_C[2]  # dry land is more red than blue
    assert image_HWC[clouds_HW == PixelKind.CLOUD].mean() > 180
    assert 0.02 < (image_HWC == 255).mean() < 0.1  # only clouds and beach are saturated
    assert (image_HWC == 0).mean() < 0.01


def test_the_real_chip_under_cloud_is_white_where_the_cloud_is(shared: Path) -> None:
    image_HWC, clouds_HW = real_rgb(shared, "native-names")
    assert set(np.unique(clouds_HW)) == {PixelKind.HAZE, PixelKind.CLOUD}
    assert (image_HWC[200:, 180:] == 255).mean() > 0.9
    assert np.median(image_HWC[:60, :60], axis=(0, 1)).argmax() == 1  # woods through haze


def convert(tmp_path: Path, dataset: DatasetName) -> Path:
    raw, clear, chips = archive(tmp_path / "raw", dataset), tmp_path / "clear.csv", tmp_path / "chips"
    cloud_filter(dataset, raw, clear, clear.with_name("failures.csv"), params(CloudFilterParams))
    tif_to_png(dataset, raw, clear, chips, clear.with_name("failures.csv"), params(TifToPngParams))
    return chips / "masks"


def source_classes(path: Path) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with rasterio.open(path) as file:
            values_HW: np.ndarray = file.read(1)
    return values_HW


def require_palette_mask_of(mask: Path, label: Path, dataset: DatasetName) -> None:
    """Check that the mask has the label's classes, 0 ignored, each in its colour."""
    expected_HW = source_classes(label)
    with Image.open(mask) as image:
        assert image.mode == "P"
        mask_HW = np.array(image)
        colours_HWC = np.array(image.convert("RGB"))
    assert np.array_equal(mask_HW, np.where(expected_HW == 0, 255, expected_HW))
    for land_cover in CLASSES[dataset].classes:
        assert (colours_HWC[mask_HW == land_cover.id] == land_cover.colour).all()


def clear_item(raw: Path, chip: str, place: Georeference) -> None:
    """Write imagery for a real label, which has none: 256 x 256 px, grey and clear."""
    name = f"ref_landcovernet_af_v1_source_sentinel_2_{chip}_{DAY:%Y%m%d}"
    for key, value, kind in (
        ("B04", 900, "uint16"),
        ("B03", 900, "uint16"),
        ("B02", 900, "uint16"),
        ("SCL", 4, "uint8"),
    ):
        path = raw / "ref_landcovernet_af_v1_source_sentinel_2" / name / f"{key}.tif"
        write_geotiff(path, np.full((1, 256, 256), value, kind), place)


def test_the_real_labels_of_landcovernet_become_masks_with_their_classes(shared: Path, tmp_path: Path) -> None:
    raw, collection = tmp_path / "raw", "ref_landcovernet_af_v1_labels"
    shutil.copytree(shared / "data/landcovernet" / collection, raw / collection)
    labels = {path.parent.name.removeprefix(f"{collection}_"): path for path in raw.rglob("labels.tif")}
    for chip, path in labels.items():
        with open_geotiff(path) as file:
            clear_item(raw, chip, file.georeference)
    masks = convert(tmp_path, "landcovernet")
    assert len(labels) == len(list(masks.iterdir())) == 8
    for chip, path in labels.items():
        require_palette_mask_of(masks / f"{chip}_20180720.png", path, "landcovernet")
    assert sum(bool((source_classes(path) == 0).any()) for path in labels.values()) == 2


def test_the_real_label_of_ghana_becomes_a_mask_with_its_classes(shared: Path, tmp_path: Path) -> None:
    raw = tmp_path / "raw"
    label = raw / "su_african_crops_ghana_labels/su_african_crops_ghana_labels_000000/labels.tif"
    label.parent.mkdir(parents=True)
    shutil.copy(shared / "data/ghana/labels.tif", label)
    item = raw / "su_african_crops_ghana_source_s2/su_african_crops_ghana_source_s2_000000_2018_07_20"
    place = Georeference("EPSG:32630", rasterio.Affine(10.0, 0.0, 700000.0, 0.0, -10.0, 1200000.0))
    write_geotiff(item / "source.tif", np.full((10, 64, 64), 900, np.uint16), place)
    write_geotiff(item / "cloudmask.tif", np.zeros((1, 64, 64), np.uint8), place)
    masks = convert(tmp_path, "ghana")
    assert source_classes(label).dtype == np.float64
    assert (source_classes(label) == 0).mean() == pytest.approx(0.967, abs=0.001)
    require_palette_mask_of(masks / "000000_20180720.png", label, "ghana")
