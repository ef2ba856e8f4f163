"""Colour tables, scales and few bits become the colours they stand for, or the stretch to set is named."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.orthophoto.image_bands import read_image_bands, require_image_bands
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.world import at, gradient, hide

RGB = (1, 2, 3)
ALL = Window(0, 0, 3, 1)
INDICES_HW = np.array([[5, 7, 9]], np.uint8)
TABLE = {5: (10, 20, 30, 255), 7: (40, 50, 60, 255), 9: (70, 80, 90, 255)}


def paletted(path: Path, colours: dict[int, Any] = TABLE, dtype: str = "uint8", **profile: Any) -> Path:
    write_geotiff(path, INDICES_HW[None].astype(dtype), at(), photometric="PALETTE", **profile)
    with rasterio.open(path, "r+") as dataset:
        dataset.write_colormap(1, colours)
    return path


def scaled(path: Path, image_CHW: np.ndarray, scales: tuple[float, ...], offsets: tuple[float, ...]) -> Path:
    write_geotiff(path, image_CHW, at())
    with rasterio.open(path, "r+") as dataset:
        dataset.scales, dataset.offsets = scales, offsets
    return path


def read(path: Path, bands: tuple[int, int, int] = RGB, stretch: Any = None) -> tuple[list[Any], list[Any]]:
    """Pixels of the only row, (columns, bands), and which of them are valid."""
    with open_geotiff(path) as image:
        require_image_bands(image, bands, stretch)
        bands_CHW, valid_HW = read_image_bands(image, bands, Window(0, 0, image.width, 1))
        return bands_CHW[:, 0].T.tolist(), valid_HW[0].tolist()


def refused(path: Path, message: str, stretch: Any = None, bands: tuple[int, int, int] = RGB) -> None:
    with open_geotiff(path) as image, pytest.raises(PipelineError, match=message):
        require_image_bands(image, bands, stretch)


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_colour_table_is_applied(tmp_path: Path, dtype: str) -> None:
    path = paletted(tmp_path / "a.tif", dtype=dtype)
    assert read(path) == ([[10, 20, 30], [40, 50, 60], [70, 80, 90]], [True] * 3)
    assert read(path, (3, 2, 1))[0][0] == [30, 20, 10]


def test_declared_no_data_hides_an_entry_of_a_colour_table(tmp_path: Path) -> None:
    assert read(paletted(tmp_path / "a.tif", nodata=7))[1] == [True, False, True]


def test_one_bit_is_black_and_white_in_either_order(tmp_path: Path) -> None:
    for photometric, colours in (("MINISBLACK", [0, 255]), ("MINISWHITE", [255, 0])):
        bits_CHW = np.array([[[0, 1]]], np.uint8)
        write_geotiff(tmp_path / "a.tif", bits_CHW, at(), nbits=1, photometric=photometric)
        assert read(tmp_path / "a.tif")[0] == [[colour] * 3 for colour in colours]


@pytest.mark.parametrize(
    ("photometric", "profile"), [("YCBCR", {"compress": "jpeg", "interleave": "pixel"}), ("CMYK", {})]
)
def test_other_colour_spaces_are_converted_to_rgb(tmp_path: Path, photometric: str, profile: Any) -> None:
    white = {"YCBCR": (255, 255, 255), "CMYK": (0, 0, 0, 0)}[photometric]
    bands_CHW = np.full((len(white), 16, 16), np.array(white)[:, None, None], np.uint8)
    write_geotiff(tmp_path / "a.tif", bands_CHW, at(), photometric=photometric, **profile)
    pixels, valid = read(tmp_path / "a.tif")
    assert np.abs(np.array(pixels) - 255).max() <= 1
    assert all(valid)


def test_a_colour_table_with_several_bands_or_in_a_sidecar_is_refused(tmp_path: Path) -> None:
    path = paletted(tmp_path / "a.tif")
    refused(path, r"a.tif has no band 4; its colour table has three", bands=(4, 2, 1))
    (tmp_path / "a.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><ColorTable/></PAMRasterBand></PAMDataset>'
    )
    refused(path, r"/a.tif.aux.xml has a colour table for a.tif, which is not supported; write")
    two = tmp_path / "b.tif"
    write_geotiff(two, np.stack([INDICES_HW, INDICES_HW]), at(), photometric="PALETTE", alpha="YES")
    with rasterio.open(two, "r+") as dataset:
        dataset.write_colormap(1, TABLE)
    refused(two, r"b.tif has a colour table and 2 bands; write its colours into the GeoTIFF")


def test_lab_colours_are_refused(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(16, 16), at(), photometric="CIELAB")
    refused(tmp_path / "a.tif", r"a.tif is stored in CIELAB colours, .*; convert it to RGB")


def test_miniswhite_is_refused(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", INDICES_HW[None], at(), photometric="MINISWHITE")
    refused(tmp_path / "a.tif", r"a.tif is stored with 0 as white \(MINISWHITE\) and would be inverted; rewrite")


def test_less_than_8_bits_need_a_stretch(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.array([[[0, 15, 3]]] * 3, np.uint8), at(), nbits=4)
    refused(tmp_path / "a.tif", r"a.tif has 4 bits, 0 to 15, and would be dark; set tile.stretch to \[0, 15\]")
    assert read(tmp_path / "a.tif", stretch=(0.0, 15.0))[0][1] == [15, 15, 15]


def test_scale_and_offset_are_applied_by_band(tmp_path: Path) -> None:
    image_CHW = np.array([[[0, 1000, 65535]]] * 3, np.uint16)
    path = scaled(tmp_path / "a.tif", image_CHW, (0.001, 0.002, 0.001), (-0.5, 0.0, 0.0))
    with rasterio.open(path, "r+") as dataset:
        dataset.nodata = 65535
    pixels, valid = read(path, (3, 2, 1), (0.0, 1.0))
    assert valid == [True, True, False]
    assert np.allclose(pixels[:2], [[0, 0, -0.5], [1, 2, 0.5]])


@pytest.mark.parametrize(
    ("stretch", "message"),
    [
        (
            None,
            r"a.tif declares scale 0.0001 and offset -0.1, which are applied; set tile.stretch to \[low, high\]",
        ),
        (
            (0.0, 3000.0),
            r"are applied: scaled values end at 6.4535, .* would be dark with tile.stretch \[0, 3000\]",
        ),
    ],
)
def test_the_stretch_is_in_scaled_values(tmp_path: Path, stretch: Any, message: str) -> None:
    refused(scaled(tmp_path / "a.tif", gradient(1, 3, 3, "uint16"), (1e-4,) * 3, (-0.1,) * 3), message, stretch)


def test_8_bits_with_a_scale_need_a_stretch(tmp_path: Path) -> None:
    path = scaled(tmp_path / "a.tif", gradient(1, 3), (1.0, 0.5, 1.0), (0.0,) * 3)
    refused(path, "declares scale 0.5 and offset 0, which are applied; set tile.stretch")
    assert read(path, (1, 3, 3))[0][0] == [1, 50, 50]  # an unscaled band needs none


def test_internal_mask_no_data_and_infinity_are_invalid(tmp_path: Path) -> None:
    image_CHW = np.array([[[1, 2, 3, 4]]] * 3, np.float32)
    image_CHW[0, 0, 1] = np.inf
    write_geotiff(tmp_path / "a.tif", image_CHW, at(), nodata=3)
    hide(tmp_path / "a.tif", np.array([[0, 255, 255, 255]], np.uint8))
    assert read(tmp_path / "a.tif", stretch=(0.0, 9.0))[1] == [False, False, False, True]


def test_a_colour_table_is_not_stretched(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"has a colour table, whose colours tile.stretch \[0, 100\] would change"):
        read(paletted(tmp_path / "a.tif"), stretch=(0, 100))


def test_a_stretch_for_16_bits_is_refused_for_8_bits(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(1, 3), at())
    message = r"a.tif has 8 bits, 0 to 255, and would be dark with tile.stretch \[0, 4000\]"
    refused(tmp_path / "a.tif", message, stretch=(0.0, 4000.0))
