"""Bands, clouds and labels of an item are read as its files declare them, and files that do not fit are refused."""

import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipeline.cloud_filter import CloudFilterParams
from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Imagery
from pipeline.formats.datasets import CLASSES
from pipeline.raster.geotiff import write_geotiff
from pipeline.raster.labels import Labels
from pipeline.raster.layout import SourceItem
from pipeline.sentinel.clouds import PixelKind
from pipeline.sentinel.items import ReadOptions, read_bands, read_clouds, read_label
from tests.world import at, ghana_item, ghana_label, halves, hide, landcovernet_item, landcovernet_label, params

DAY = date(2020, 3, 5)
MASKED_HW = np.pad(np.zeros((1, 1), np.uint8), ((0, 15), (0, 15)), constant_values=255)
"""A mask that hides the first pixel."""


def read_options(dataset: Any, **changes: Any) -> ReadOptions:
    used = params(CloudFilterParams, **changes)
    return used.cloud_filter.read_options(dataset, used.bands)


LANDCOVERNET = read_options("landcovernet")
BY_PROBABILITY = read_options("landcovernet", **{"cloud_filter.landcovernet.clouds": "cld"})
GHANA = read_options("ghana")


@pytest.fixture
def landcovernet(tmp_path: Path) -> SourceItem:
    return landcovernet_item(tmp_path, "31PGS_01", DAY)


@pytest.fixture
def ghana(tmp_path: Path) -> SourceItem:
    return ghana_item(tmp_path, "000001", DAY)


def labels(item: SourceItem, label: Path, options: ReadOptions = LANDCOVERNET, min_consensus: int = 0) -> Labels:
    grid = read_bands(item, options, with_position=True)[1]
    return read_label(label, grid, options, CLASSES[options.dataset], min_consensus)


def test_bands_are_files_or_numbers_in_one_file_in_the_order_of_the_params(
    landcovernet: SourceItem, ghana: SourceItem
) -> None:
    bands_CHW = read_bands(landcovernet, LANDCOVERNET)[0]
    assert (bands_CHW.shape, bands_CHW.dtype) == ((3, 16, 16), np.uint16)
    assert bands_CHW[:, 0, 0].tolist() == [1200, 600, 240]
    for bands in ([3, 2, 1], [4, 3, 10]):
        options = read_options("ghana", **{"bands.ghana": bands})
        assert read_bands(ghana, options)[0][:, 0, 0].tolist() == [100 * band for band in bands]


def test_a_fourth_band_of_8_bits_is_not_alpha(ghana: SourceItem) -> None:
    write_geotiff(ghana.folder / "source.tif", np.full((4, 16, 16), [[[9]], [[8]], [[7]], [[0]]], np.uint8), at())
    assert read_bands(ghana, GHANA)[0][:, 0, 0].tolist() == [7, 8, 9]


def test_declared_no_data_of_one_band_becomes_0_and_is_no_data(ghana: SourceItem) -> None:
    bands_CHW = np.full((10, 16, 16), 500, np.uint16)
    bands_CHW[1, 0, 0] = 65535
    write_geotiff(ghana.folder / "source.tif", bands_CHW, at(), nodata=65535)
    found_CHW = read_bands(ghana, GHANA)[0]
    assert found_CHW[:, 0, 0].tolist() == [500, 0, 500]
    assert read_clouds(ghana, GHANA, found_CHW)[0, :2].tolist() == [PixelKind.NO_DATA, PixelKind.CLEAR]


def test_a_missing_band_is_named(landcovernet: SourceItem, ghana: SourceItem) -> None:
    (landcovernet.folder / "B03.tif").unlink()
    with pytest.raises(PipelineError, match=r"has no file for B03; expected one of B03.tif, \*_B03_10m.tif, green.tif"):
        read_bands(landcovernet, LANDCOVERNET)
    with pytest.raises(PipelineError, match=r"source.tif has no band 11; it has 10, counted from 1"):
        read_bands(ghana, read_options("ghana", **{"bands.ghana": [11, 2, 1]}))


def test_files_of_another_size_are_refused(landcovernet: SourceItem, ghana: SourceItem) -> None:
    write_geotiff(landcovernet.folder / "B03.tif", np.ones((1, 8, 16), np.uint16), at())
    with pytest.raises(PipelineError, match=r"B04.tif and .*B03.tif differ in size: \(16, 16\) and \(16, 8\) px"):
        read_bands(landcovernet, LANDCOVERNET)
    write_geotiff(ghana.folder / "cloudmask.tif", np.ones((1, 8, 8), np.uint8), at())
    with pytest.raises(PipelineError, match=r"cloudmask.tif and the bands in .* differ in size"):
        read_clouds(ghana, GHANA, read_bands(ghana, GHANA)[0])


def test_a_declared_scale_other_than_that_of_params_is_refused(landcovernet: SourceItem) -> None:
    with rasterio.open(landcovernet.folder / "B03.tif", "r+") as dataset:
        dataset.scales, dataset.offsets = (0.0001,), (-0.1,)
    same, other = Imagery(("B04", "B03", "B02"), 0.0001, -0.1), Imagery(("B04", "B03", "B02"), 0.0001, 0.0)
    assert read_bands(landcovernet, LANDCOVERNET, same)[0][:, 0, 0].tolist() == [1200, 600, 240]
    with pytest.raises(PipelineError, match=r"B03.tif declares scale 0.0001 and offset -0.1, and tif_to_png has 0.00"):
        read_bands(landcovernet, LANDCOVERNET, other)


def test_a_missing_cloud_mask_is_refused_with_the_way_to_do_without(ghana: SourceItem) -> None:
    (ghana.folder / "cloudmask.tif").unlink()
    with pytest.raises(PipelineError) as error:
        read_clouds(ghana, GHANA)
    assert str(error.value).endswith(
        "cloudmask.tif; it has source.tif; without cloud masks set cloud_filter.ghana.clouds to none, "
        "which takes every date as clear"
    )


def test_an_unknown_code_is_no_data_and_a_known_one_declared_as_no_data_is_not(ghana: SourceItem) -> None:
    codes_HW = np.zeros((1, 16, 16), np.uint8)
    codes_HW[0, 0, :2] = 255, 1
    for nodata in (255, 0, None):  # 0 is clear, whatever a tool declares
        write_geotiff(ghana.folder / "cloudmask.tif", codes_HW, at(), nodata=nodata)
        assert read_clouds(ghana, GHANA)[0, :3].tolist() == [PixelKind.NO_DATA, PixelKind.CLOUD, PixelKind.CLEAR]


def test_codes_under_a_mask_are_no_data(landcovernet: SourceItem) -> None:
    hide(landcovernet.folder / "SCL.tif", MASKED_HW)
    for options in (LANDCOVERNET, BY_PROBABILITY):
        assert read_clouds(landcovernet, options)[0, :2].tolist() == [PixelKind.NO_DATA, PixelKind.CLEAR]


@pytest.mark.parametrize("name", ["SCL", "CLD"])
def test_a_cloud_mask_that_declares_a_scale_is_refused(landcovernet: SourceItem, name: str) -> None:
    with rasterio.open(landcovernet.folder / f"{name}.tif", "r+") as dataset:
        dataset.offsets = (1.0,)
    with pytest.raises(PipelineError, match=rf"{name}.tif declares scale 1 and offset 1, but codes such as class ids"):
        read_clouds(landcovernet, BY_PROBABILITY)


def test_a_colour_table_of_a_cloud_mask_does_not_matter(landcovernet: SourceItem) -> None:
    codes_HW = np.full((1, 16, 16), 9, np.uint8)
    write_geotiff(landcovernet.folder / "SCL.tif", codes_HW, at(), photometric="PALETTE")
    assert (read_clouds(landcovernet, LANDCOVERNET) == PixelKind.CLOUD).all()


@pytest.mark.parametrize(("minimum", "ignored"), [(66, 0), (67, 256)])
def test_pixels_below_the_minimum_consensus_are_ignored(
    tmp_path: Path, landcovernet: SourceItem, minimum: int, ignored: int
) -> None:
    label = landcovernet_label(tmp_path, "31PGS_01", consensus=66)
    assert (labels(landcovernet, label, min_consensus=minimum).mask_HW == 255).sum() == ignored


@pytest.mark.parametrize(("nodata", "ignored"), [(None, 0), (100, 256)])
def test_an_unknown_consensus_counts_as_none(
    tmp_path: Path, landcovernet: SourceItem, nodata: int | None, ignored: int
) -> None:
    label = landcovernet_label(tmp_path, "31PGS_01")
    bands_CHW = np.stack([halves(16, 16, 1, 6), np.full((16, 16), 100, np.uint8)])
    write_geotiff(label / "labels.tif", bands_CHW, at(), nodata=nodata)
    assert (labels(landcovernet, label, min_consensus=50).mask_HW == 255).sum() == ignored


def test_pixels_under_a_mask_of_the_label_are_ignored(
    tmp_path: Path, landcovernet: SourceItem, ghana: SourceItem
) -> None:
    pairs = (
        (landcovernet, landcovernet_label(tmp_path, "31PGS_01"), LANDCOVERNET, 1),
        (ghana, ghana_label(tmp_path, "000001"), GHANA, 2),
    )
    for item, label, options, first in pairs:
        before_HW = labels(item, label, options).mask_HW
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            hide(label / "labels.tif", MASKED_HW)
        mask_HW = labels(item, label, options).mask_HW
        assert (before_HW[0, 0], mask_HW[0, 0]) == (first, 255)
        assert np.array_equal(mask_HW.ravel()[1:], before_HW.ravel()[1:])


def test_declared_no_data_that_is_a_class_is_counted(tmp_path: Path, landcovernet: SourceItem) -> None:
    label = landcovernet_label(tmp_path, "31PGS_01")
    write_geotiff(label / "labels.tif", np.stack([halves(16, 16, 1, 6)] * 2), at(), nodata=6)
    found = labels(landcovernet, label)
    assert (found.nodata_classes, int((found.mask_HW == 6).sum())) == ({"6": 128}, 128)


@pytest.mark.parametrize(
    ("bands", "x", "message"),
    [(2, 500010.0, r"B04.tif and .*labels.tif are 1 px apart"), (1, 500000.0, r"labels.tif has no band 2; it has 1")],
)
def test_a_label_of_another_place_or_without_a_consensus_is_refused(
    tmp_path: Path, landcovernet: SourceItem, bands: int, x: float, message: str
) -> None:
    label = landcovernet_label(tmp_path, "31PGS_01")
    write_geotiff(label / "labels.tif", np.ones((bands, 16, 16), np.uint16), at(x=x))
    with pytest.raises(PipelineError, match=message):
        labels(landcovernet, label, min_consensus=50)
