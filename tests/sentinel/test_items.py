import warnings
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio

from pipeline.cloud_filter import CloudFilterParams
from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip, Imagery
from pipeline.formats.datasets import CLASSES
from pipeline.raster.geotiff import write_geotiff
from pipeline.raster.grids import Grid
from pipeline.raster.layout import SourceItem
from pipeline.sentinel.clouds import PixelKind
from pipeline.sentinel.items import (
    ReadOptions,
    describe_chip,
    read_bands,
    read_bands_with_grid,
    read_clouds,
    read_label,
)
from tests.world import UTM, at, ghana_item, ghana_label, halves, hide, landcovernet_item, landcovernet_label, params

DAY = date(2020, 3, 5)


def read_options(dataset: Any, **changes: Any) -> ReadOptions:
    used = params(CloudFilterParams, **changes)
    return used.cloud_filter.read_options(dataset, used.bands)


LANDCOVERNET = read_options("landcovernet")
GHANA = read_options("ghana")


def grid(item: SourceItem, options: ReadOptions) -> Grid:
    return read_bands_with_grid(item, options, Imagery(("3", "2", "1")))[1]


def test_bands_of_landcovernet_are_files_in_the_order_of_the_params(tmp_path: Path) -> None:
    bands_CHW = read_bands(landcovernet_item(tmp_path, "31PGS_01", DAY), LANDCOVERNET)
    assert bands_CHW.shape == (3, 16, 16)
    assert bands_CHW.dtype == np.uint16
    assert bands_CHW[:, 0, 0].tolist() == [1200, 600, 240]


def test_without_clouds_every_pixel_with_data_is_clear_and_no_mask_is_opened(tmp_path: Path) -> None:
    item = ghana_item(tmp_path, "000001", DAY, code=1, hidden=256)
    bands_CHW = np.full((10, 16, 16), 7, np.uint16)
    bands_CHW[1, 0, 0] = 0
    write_geotiff(item.folder / "source.tif", bands_CHW, at())
    (item.folder / "cloudmask.tif").write_text("not an image")
    options = read_options("ghana", **{"cloud_filter.ghana.clouds": "none"})
    clouds_HW = read_clouds(item, options, read_bands(item, options))
    assert clouds_HW.dtype == np.uint8
    assert np.argwhere(clouds_HW != PixelKind.CLEAR).tolist() == [[0, 0]]
    assert clouds_HW[0, 0] == PixelKind.NO_DATA


def test_a_missing_cloud_mask_is_refused_with_the_way_to_do_without(tmp_path: Path) -> None:
    item = ghana_item(tmp_path, "000001", DAY)
    (item.folder / "cloudmask.tif").unlink()
    with pytest.raises(PipelineError) as error:
        read_clouds(item, GHANA, read_bands(item, GHANA))
    assert str(error.value).endswith(
        "cloudmask.tif; it has source.tif; without cloud masks set cloud_filter.ghana.clouds to none, "
        "which takes every date as clear"
    )


def test_bands_of_ghana_are_numbers_in_one_file(tmp_path: Path) -> None:
    item = ghana_item(tmp_path, "000001", DAY)
    assert read_bands(item, GHANA)[:, 0, 0].tolist() == [300, 200, 100]
    assert read_bands(item, read_options("ghana", **{"bands.ghana": [4, 3, 10]}))[:, 0, 0].tolist() == [400, 300, 1000]


def test_declared_no_data_of_a_band_becomes_0(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    band_HW = np.full((16, 16), 600, np.uint16)
    band_HW[0, 0] = 65535
    write_geotiff(item.folder / "B03.tif", band_HW[None], at(), nodata=65535)
    bands_CHW = read_bands(item, LANDCOVERNET)
    assert bands_CHW[:, 0, :2].tolist() == [[1200, 1200], [0, 600], [240, 240]]
    assert read_clouds(item, LANDCOVERNET, bands_CHW)[0, :2].tolist() == [PixelKind.NO_DATA, PixelKind.CLEAR]


def test_a_fourth_band_of_8_bits_is_not_alpha(tmp_path: Path) -> None:
    item = ghana_item(tmp_path, "000001", DAY)
    write_geotiff(item.folder / "source.tif", np.full((4, 16, 16), [[[9]], [[8]], [[7]], [[0]]], np.uint8), at())
    assert read_bands(item, GHANA)[:, 0, 0].tolist() == [7, 8, 9]


def test_clouds_of_landcovernet_are_sen2cors_classes_or_its_probability(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY, scl=9, cld=20, hidden=3)
    by_scl_HW = read_clouds(item, LANDCOVERNET, read_bands(item, LANDCOVERNET))
    assert by_scl_HW[0, :4].tolist() == [PixelKind.CLOUD, PixelKind.CLOUD, PixelKind.CLOUD, PixelKind.CLEAR]
    by_cld = read_options("landcovernet", **{"cloud_filter.landcovernet.clouds": "cld"})
    assert not read_clouds(item, by_cld, read_bands(item, by_cld)).any()


def test_clouds_of_ghana_are_its_cloud_masks(tmp_path: Path) -> None:
    item = ghana_item(tmp_path, "000001", DAY, code=2, hidden=1)
    assert read_clouds(item, GHANA, read_bands(item, GHANA))[0, :2].tolist() == [PixelKind.SHADOW, PixelKind.CLEAR]


def test_an_unknown_code_is_no_data_and_a_known_one_declared_as_no_data_is_not(tmp_path: Path) -> None:
    item = ghana_item(tmp_path, "000001", DAY, code=255, hidden=1)
    codes_HW = np.zeros((1, 16, 16), np.uint8)
    codes_HW[0, 0, :2] = 255, 1
    for nodata in (255, 0, None):  # 0 is clear, whatever a tool declares
        write_geotiff(item.folder / "cloudmask.tif", codes_HW, at(), nodata=nodata)
        assert read_clouds(item, GHANA)[0, :3].tolist() == [PixelKind.NO_DATA, PixelKind.CLOUD, PixelKind.CLEAR]


def test_codes_under_a_mask_are_no_data(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    valid_HW = np.full((16, 16), 255, np.uint8)
    valid_HW[0, 0] = 0
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(item.folder / "SCL.tif", "r+") as dataset:
        dataset.write_mask(valid_HW)
    for clouds in ("scl", "cld"):
        options = read_options("landcovernet", **{"cloud_filter.landcovernet.clouds": clouds})
        assert read_clouds(item, options)[0, :2].tolist() == [PixelKind.NO_DATA, PixelKind.CLEAR]


def test_a_band_of_another_size_is_refused(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    write_geotiff(item.folder / "B03.tif", np.ones((1, 8, 16), np.uint16), at())
    with pytest.raises(PipelineError, match=r"B04.tif and .*B03.tif differ in size: \(16, 16\) and \(16, 8\) px"):
        read_bands(item, LANDCOVERNET)


def test_a_cloud_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    item = ghana_item(tmp_path, "000001", DAY)
    write_geotiff(item.folder / "cloudmask.tif", np.ones((1, 8, 8), np.uint8), at())
    with pytest.raises(PipelineError, match=r"cloudmask.tif and the bands in .* differ in size"):
        read_clouds(item, GHANA, read_bands(item, GHANA))


def test_a_missing_band_is_named(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    (item.folder / "B03.tif").unlink()
    with pytest.raises(PipelineError, match=r"has no file for B03; expected one of B03.tif, \*_B03_10m.tif, green.tif"):
        read_bands(item, LANDCOVERNET)
    with pytest.raises(PipelineError, match=r"source.tif has no band 11; it has 10, counted from 1"):
        read_bands(ghana_item(tmp_path, "000001", DAY), read_options("ghana", **{"bands.ghana": [11, 2, 1]}))


def test_unlabelled_pixels_are_ignored(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    label = landcovernet_label(tmp_path, "31PGS_01", halves(16, 16, 0, 7))
    mask_HW = read_label(
        label, grid(item, LANDCOVERNET), LANDCOVERNET, CLASSES["landcovernet"], min_consensus=0
    ).mask_HW
    assert np.array_equal(mask_HW, halves(16, 16, 255, 7))


def test_pixels_below_the_minimum_consensus_are_ignored(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    label = landcovernet_label(tmp_path, "31PGS_01", consensus=66)
    table = CLASSES["landcovernet"]
    assert np.array_equal(
        read_label(label, grid(item, LANDCOVERNET), LANDCOVERNET, table, 66).mask_HW, halves(16, 16, 1, 6)
    )
    assert (read_label(label, grid(item, LANDCOVERNET), LANDCOVERNET, table, 67).mask_HW == 255).all()


def test_a_label_of_ghana_without_georeference_is_on_the_grid_of_its_item(tmp_path: Path) -> None:
    item, label = ghana_item(tmp_path, "000001", DAY), ghana_label(tmp_path, "000001")
    mask_HW = read_label(label, grid(item, GHANA), GHANA, CLASSES["ghana"], 0).mask_HW
    assert np.bincount(mask_HW.ravel(), minlength=256).nonzero()[0].tolist() == [2, 255]
    assert (mask_HW == 2).sum() == 8


def test_pixels_under_a_mask_of_the_label_are_ignored(tmp_path: Path) -> None:
    valid_HW = np.full((16, 16), 255, np.uint8)
    valid_HW[0, 0] = 0
    pairs = (
        (landcovernet_item(tmp_path, "31PGS_01", DAY), landcovernet_label(tmp_path, "31PGS_01"), LANDCOVERNET),
        (ghana_item(tmp_path, "000001", DAY), ghana_label(tmp_path, "000001"), GHANA),
    )
    for item, label, options in pairs:
        table = CLASSES[options.dataset]
        before_HW = read_label(label, grid(item, options), options, table, 0).mask_HW
        with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), warnings.catch_warnings():
            warnings.simplefilter("ignore", rasterio.errors.NotGeoreferencedWarning)
            hide(label / "labels.tif", valid_HW)
        mask_HW = read_label(label, grid(item, options), options, table, 0).mask_HW
        assert (before_HW[0, 0], mask_HW[0, 0]) == ((1, 255) if options is LANDCOVERNET else (2, 255))
        assert np.array_equal(mask_HW.ravel()[1:], before_HW.ravel()[1:])


@pytest.mark.parametrize(("nodata", "ignored"), [(None, 0), (100, 256)])
def test_an_unknown_consensus_counts_as_none(tmp_path: Path, nodata: int | None, ignored: int) -> None:
    item, label = landcovernet_item(tmp_path, "31PGS_01", DAY), landcovernet_label(tmp_path, "31PGS_01")
    bands_CHW = np.stack([halves(16, 16, 1, 6), np.full((16, 16), 100, np.uint8)])
    write_geotiff(label / "labels.tif", bands_CHW, at(), nodata=nodata)
    mask_HW = read_label(label, grid(item, LANDCOVERNET), LANDCOVERNET, CLASSES["landcovernet"], 50).mask_HW
    assert (mask_HW == 255).sum() == ignored


def test_declared_no_data_that_is_a_class_is_counted(tmp_path: Path) -> None:
    item, label = landcovernet_item(tmp_path, "31PGS_01", DAY), landcovernet_label(tmp_path, "31PGS_01")
    write_geotiff(label / "labels.tif", np.stack([halves(16, 16, 1, 6)] * 2), at(), nodata=6)
    labels = read_label(label, grid(item, LANDCOVERNET), LANDCOVERNET, CLASSES["landcovernet"], 0)
    assert (labels.nodata_classes, int((labels.mask_HW == 6).sum())) == ({"6": 128}, 128)


def test_a_declared_scale_other_than_that_of_params_is_refused(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    with rasterio.open(item.folder / "B03.tif", "r+") as dataset:
        dataset.scales, dataset.offsets = (0.0001,), (-0.1,)
    same, other = Imagery(("B04", "B03", "B02"), 0.0001, -0.1), Imagery(("B04", "B03", "B02"), 0.0001, 0.0)
    assert read_bands(item, LANDCOVERNET, same)[:, 0, 0].tolist() == [1200, 600, 240]
    with pytest.raises(PipelineError, match=r"B03.tif declares scale 0.0001 and offset -0.1, and tif_to_png has 0.00"):
        read_bands(item, LANDCOVERNET, other)


@pytest.mark.parametrize("name", ["SCL", "CLD"])
def test_a_cloud_mask_that_declares_a_scale_is_refused(tmp_path: Path, name: str) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    with rasterio.open(item.folder / f"{name}.tif", "r+") as dataset:
        dataset.offsets = (1.0,)
    with pytest.raises(PipelineError, match=rf"{name}.tif declares scale 1 and offset 1, but codes such as class ids"):
        read_clouds(item, read_options("landcovernet", **{"cloud_filter.landcovernet.clouds": "cld"}))


def test_a_colour_table_of_a_cloud_mask_does_not_matter(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    codes_HW = np.full((1, 16, 16), 9, np.uint8)
    write_geotiff(item.folder / "SCL.tif", codes_HW, at(), photometric="PALETTE")
    assert (read_clouds(item, LANDCOVERNET) == PixelKind.CLOUD).all()


def test_no_data_of_one_band_is_no_data(tmp_path: Path) -> None:
    item = ghana_item(tmp_path, "000001", DAY)
    bands_CHW = np.full((10, 16, 16), 500, np.uint16)
    bands_CHW[1, 0, 0] = 65535
    write_geotiff(item.folder / "source.tif", bands_CHW, at(), nodata=65535)
    found_CHW = read_bands(item, GHANA)
    assert found_CHW[:, 0, 0].tolist() == [500, 0, 500]
    assert read_clouds(item, GHANA, found_CHW)[0, :2].tolist() == [PixelKind.NO_DATA, PixelKind.CLEAR]


def test_a_label_of_another_place_is_refused(tmp_path: Path) -> None:
    item, label = landcovernet_item(tmp_path, "31PGS_01", DAY), landcovernet_label(tmp_path, "31PGS_01")
    write_geotiff(label / "labels.tif", np.ones((2, 16, 16), np.uint16), at(x=500010.0))
    with pytest.raises(PipelineError, match=r"B04.tif and .*labels.tif are 1 px apart"):
        read_label(label, grid(item, LANDCOVERNET), LANDCOVERNET, CLASSES["landcovernet"], 0)


def test_a_label_without_a_consensus_cannot_be_filtered_by_it(tmp_path: Path) -> None:
    item, label = landcovernet_item(tmp_path, "31PGS_01", DAY), landcovernet_label(tmp_path, "31PGS_01")
    write_geotiff(label / "labels.tif", np.ones((1, 16, 16), np.uint16), at())
    with pytest.raises(PipelineError, match=r"labels.tif has no band 2; it has 1"):
        read_label(label, grid(item, LANDCOVERNET), LANDCOVERNET, CLASSES["landcovernet"], 50)


def test_the_row_of_a_chip_has_its_place_and_date(tmp_path: Path) -> None:
    item = landcovernet_item(tmp_path, "31PGS_01", DAY)
    chip = describe_chip(item, LANDCOVERNET, grid(item, LANDCOVERNET))
    place = (500000.0, 1000000.0, UTM, 10.0)
    assert chip == Chip("31PGS_01_20200305", "31PGS_01", 0, 0, 16, 16, *place, "2020-03-05", unit="31PGS")
