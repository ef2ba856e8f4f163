"""A GeoTIFF is read as stored, truncated and damaged ones are refused, and no-data hides what it hides in GDAL."""

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster import geotiff
from pipeline.raster.geotiff import is_nodata, open_geotiff, write_geotiff
from tests.world import at, gradient, hide, read_tiff


@pytest.mark.parametrize(
    ("count", "profile", "alpha"),
    [
        (4, {}, 4),  # whatever its values
        (4, {"photometric": "RGB", "alpha": "YES"}, 4),
        (4, {"photometric": "RGB"}, None),
        (4, {"photometric": "MINISBLACK"}, None),
        (5, {"photometric": "RGB", "alpha": "YES"}, 4),
        (2, {"alpha": "YES"}, 2),
        (3, {}, None),
        (1, {"alpha": "YES"}, None),
    ],
)
def test_the_band_marked_as_alpha_is_found_and_hides_nothing(
    tmp_path: Path, count: int, profile: Any, alpha: int | None
) -> None:
    bands_CHW = np.full((count, 1, 2), [9, 0], np.uint8)
    for declared, expected in ({}, [[True, True]]), ({"nodata": 9}, [[False, True]]):
        write_geotiff(tmp_path / "a.tif", bands_CHW, **profile, **declared)
        with open_geotiff(tmp_path / "a.tif") as file:
            assert file.alpha_band == alpha
            assert file.valid_mask().tolist() == expected
            assert file.valid_mask(Window(1, 0, 1, 1)).tolist() == [[True]]


def test_a_vrt_named_tif_reads_no_other_file(tiff: Path) -> None:
    vrt = tiff.with_name("vrt.tif")
    vrt.write_text(
        '<VRTDataset rasterXSize="60" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">scene.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(PipelineError, match=r"vrt.tif is not a readable GeoTIFF"):
        read_tiff(vrt)


PROFILES: list[dict[str, Any]] = [
    {},
    {"compress": "lzw"},
    {"interleave": "band"},
    {"interleave": "pixel"},
    {"tiled": True, "blockxsize": 16, "blockysize": 16},
]


@pytest.mark.parametrize("profile", PROFILES, ids=str)
@pytest.mark.parametrize("lost", [1, 2000])
def test_a_truncated_file_is_refused_before_any_window_is_read(tmp_path: Path, profile: Any, lost: int) -> None:
    path = tmp_path / "a.tif"
    write_geotiff(path, np.random.default_rng(1).integers(0, 255, (3, 64, 64), np.uint8), at(), **profile)
    whole = path.read_bytes()
    path.write_bytes(whole[:-lost])
    with pytest.raises(PipelineError, match=r"a.tif (is truncated: \d+ bytes, but|is not a readable GeoTIFF)"):  # noqa: SIM117
        with open_geotiff(path):
            pytest.fail("it was read")


def test_damaged_pixels_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_geotiff(path, gradient(64, 64), at(), compress="deflate")
    data = bytearray(path.read_bytes())
    data[-400:] = b"\xff" * 400
    path.write_bytes(data)
    with open_geotiff(path) as file, pytest.raises(PipelineError, match=r"a.tif cannot be read, the file is damaged: "):
        file.read()


def test_the_internal_mask_applies_to_files_with_alpha(tmp_path: Path) -> None:
    bands_CHW = np.array([[[1, 1, 1]], [[255, 255, 0]]], np.uint8)
    write_geotiff(tmp_path / "a.tif", bands_CHW, at(), alpha="YES")
    hide(tmp_path / "a.tif", np.array([[255, 0, 255]], np.uint8))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert (file.alpha_band, file.valid_mask().tolist()) == (2, [[True, False, True]])


@given(
    arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.float64]), (3, 2, 3), elements=st.integers(0, 3)
    ),
    st.sampled_from([None, 0, 1, 3, 255, float("nan")]),
)
def test_valid_pixels_are_those_of_gdal(bands_CHW: np.ndarray, nodata: float | None) -> None:
    if bands_CHW.dtype.kind != "f" and nodata != nodata:
        nodata = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        write_geotiff(path, bands_CHW, at(), nodata=nodata)
        with rasterio.open(path) as oracle, open_geotiff(path) as file:
            assert np.array_equal(file.valid_mask(), oracle.dataset_mask() > 0)


@pytest.mark.parametrize("nodata", [-9999.9, -3.4028234663852886e38, -3.4028235e38, 1e-3, float("-inf"), float("nan")])
def test_no_data_matches_its_rounding_in_float32(tmp_path: Path, nodata: float) -> None:
    write_geotiff(tmp_path / "a.tif", np.array([[[5, nodata]]], np.float32), nodata=nodata)
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.valid_mask().tolist() == [[True, False]]


@pytest.mark.parametrize("nodata", [-3.4e38, -3.40282e38, -3.402823e38, -3.40282306074e38])
def test_no_data_with_few_digits_matches(nodata: float) -> None:
    values = np.array([np.finfo(np.float32).min, -3.3e38, 0.0], np.float32)
    assert is_nodata(values, nodata).tolist() == [True, False, False]
    assert is_nodata(np.array([0.0, 1e-30, -9999.0, -9998.9], np.float32), -9999.0).tolist() == [
        False,
        False,
        True,
        False,
    ]
    assert is_nodata(np.array([0.0, 1e-30], np.float32), 0.0).tolist() == [True, False]


def test_a_large_image_must_be_read_in_windows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geotiff, "MAX_PIXELS", 15)
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.read(window=Window(0, 0, 2, 2)).sum() == 4
        with pytest.raises(PipelineError, match="a.tif has 4 x 4 px; at most 15 are read at once"):
            file.read()


def test_without_its_position_a_file_has_the_same_pixels(tiff: Path) -> None:
    tiff.with_name("scene.tif.aux.xml").write_text(
        '<PAMDataset><PAMRasterBand band="1"><NoDataValue>7</NoDataValue></PAMRasterBand></PAMDataset>'
    )
    with open_geotiff(tiff) as whole, open_geotiff(tiff, with_position=False) as part:
        assert np.array_equal(whole.read(), part.read())
        assert part.nodata == whole.nodata == (7, None, None)
        assert (whole.georeference.is_known, part.georeference.is_known, part.georeference.crs) == (True, False, None)
