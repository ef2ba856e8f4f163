import errno
import os
import shutil
import tempfile
import threading
import warnings
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.geotiff import Georeference, equals, open_geotiff, write_geotiff
from tests.world import CRS_NO_CODE, UTM, at, gradient, hide


@pytest.fixture
def tiff(tmp_path: Path) -> Path:
    path = tmp_path / "scene.tif"
    write_geotiff(path, gradient(40, 60), at())
    return path


def opened(path: Path) -> None:
    with open_geotiff(path) as file:
        file.read()


def test_what_is_written_is_read(tiff: Path) -> None:
    with open_geotiff(tiff) as file:
        assert (file.count, file.height, file.width) == (3, 40, 60)
        assert file.dtypes == ("uint8", "uint8", "uint8")
        assert file.nodata == (None, None, None)
        assert file.georeference == at()
        assert np.array_equal(file.read(), gradient(40, 60))


def test_bands_come_in_the_order_asked_for_from_the_window_asked_for(tiff: Path) -> None:
    with open_geotiff(tiff) as file:
        assert file.read((3, 1), Window(10, 4, 2, 1)).tolist() == [[[50, 50]], [[5, 5]]]


@pytest.mark.parametrize("band", [0, 4])
def test_a_band_that_is_missing_is_named(tiff: Path, band: int) -> None:
    with open_geotiff(tiff) as file, pytest.raises(PipelineError, match=rf"scene.tif has no band {band}; it has 3, "):
        file.read((1, band))


def test_a_crs_without_a_code_is_kept_written_out(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(2, 2), at(crs=CRS_NO_CODE))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.georeference.crs is not None
        assert file.georeference.crs.startswith("PROJCS[")


def test_a_place_is_the_corner_of_the_pixel_in_the_units_of_the_crs() -> None:
    place = at(x=500000.0, y=1000000.0, pixel=0.5).place(row=512, column=1024)
    assert place == {"x": 500512.0, "y": 999744.0, "crs": UTM, "pixel_size": 0.5}


@pytest.mark.parametrize(
    ("transform", "size"),
    [
        ((0.25, 0.0, 5.0, 0.0, -0.25, 7.0), 0.25),
        ((0.25, 1e-9, 5.0, 1e-9, -0.25000001, 7.0), 0.25),  # as tools write it
        ((0.25, 0.0, 5.0, 0.0, -0.5, 7.0), None),
        ((0.25, 0.0, 5.0, 0.0, 0.25, 7.0), None),
        ((-0.25, 0.0, 5.0, 0.0, -0.25, 7.0), None),
        ((0.3, 0.4, 5.0, 0.4, -0.3, 7.0), None),
        ((0.0, 0.25, 5.0, 0.25, 0.0, 7.0), None),
    ],
)
def test_pixels_that_are_no_upright_squares_have_no_size(transform: tuple[float, ...], size: float | None) -> None:
    place = Georeference(UTM, Affine(*transform)).place()
    assert place == {"x": 5.0, "y": 7.0, "crs": UTM, "pixel_size": size}


def test_without_a_crs_there_is_no_place(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(2, 2))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert not file.georeference.known
        assert file.georeference.place() == {}
    assert at(crs=None).place() == {}


def test_pixels_of_the_declared_value_are_not_valid(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.array([[[7, 9, 0]]], np.uint8), nodata=9)
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.valid().tolist() == [[True, False, True]]


@pytest.mark.parametrize(
    ("count", "profile", "alpha"),
    [
        (4, {}, 4),  # whatever it holds
        (4, {"photometric": "RGB", "alpha": "YES"}, 4),
        (4, {"photometric": "RGB"}, None),
        (4, {"photometric": "MINISBLACK"}, None),
        (5, {"photometric": "RGB", "alpha": "YES"}, 4),
        (2, {"alpha": "YES"}, 2),
        (3, {}, None),
        (1, {"alpha": "YES"}, None),
    ],
)
def test_the_band_that_is_marked_as_alpha_is_told_and_does_nothing(
    tmp_path: Path, count: int, profile: Any, alpha: int | None
) -> None:
    bands_CHW = np.full((count, 1, 2), [9, 0], np.uint8)
    for declared, expected in ({}, [[True, True]]), ({"nodata": 9}, [[False, True]]):
        write_geotiff(tmp_path / "a.tif", bands_CHW, **profile, **declared)
        with open_geotiff(tmp_path / "a.tif") as file:
            assert file.alpha == alpha
            assert file.valid().tolist() == expected
            assert file.valid(Window(1, 0, 1, 1)).tolist() == [[True]]


def test_a_declared_value_counts_beside_alpha(tmp_path: Path) -> None:
    bands_CHW = np.array([[[0, 1]], [[0, 0]], [[0, 0]], [[255, 255]]], np.uint8)
    write_geotiff(tmp_path / "a.tif", bands_CHW, photometric="RGB", alpha="YES", nodata=0)
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.valid().tolist() == [[False, True]]


def test_a_missing_and_an_empty_file_are_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"gone.tif does not exist"):
        opened(tmp_path / "gone.tif")
    (tmp_path / "empty.tif").touch()
    with pytest.raises(PipelineError, match=r"empty.tif is empty \(0 bytes\); copy or download it again"):
        opened(tmp_path / "empty.tif")


def test_a_text_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_text("not a picture")
    with pytest.raises(PipelineError, match=r"a.tif is not a readable GeoTIFF: .*not recognized"):
        opened(tmp_path / "a.tif")


def test_a_vrt_that_is_named_tif_reads_no_other_file(tiff: Path) -> None:
    vrt = tiff.with_name("vrt.tif")
    vrt.write_text(
        '<VRTDataset rasterXSize="60" rasterYSize="40"><VRTRasterBand dataType="Byte" band="1"><SimpleSource>'
        '<SourceFilename relativeToVRT="1">scene.tif</SourceFilename><SourceBand>1</SourceBand>'
        "</SimpleSource></VRTRasterBand></VRTDataset>"
    )
    with pytest.raises(PipelineError, match=r"vrt.tif is not a readable GeoTIFF"):
        opened(vrt)


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
            pytest.fail("it was opened")


def test_damaged_pixels_are_refused_not_read(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_geotiff(path, gradient(64, 64), at(), compress="deflate")
    data = bytearray(path.read_bytes())
    data[-400:] = b"\xff" * 400
    path.write_bytes(data)
    with open_geotiff(path) as file, pytest.raises(PipelineError, match=r"a.tif cannot be read, the file is damaged: "):
        file.read()


def test_open_files_change_nothing_about_warnings_in_whatever_order_they_close(tmp_path: Path) -> None:
    for name in "ab":
        write_geotiff(tmp_path / f"{name}.tif", gradient(2, 2))
    before = list(warnings.filters)
    first, second = ExitStack(), ExitStack()
    first.enter_context(open_geotiff(tmp_path / "a.tif"))
    second.enter_context(open_geotiff(tmp_path / "b.tif"))
    first.close()
    second.close()
    assert list(warnings.filters) == before


def test_two_threads_do_not_change_warnings_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        write_geotiff(tmp_path / f"{name}.tif", gradient(2, 2))
    both_inside, really_open, met = threading.Barrier(2), rasterio.open, []

    def slow_open(*arguments: Any, **named: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            met.append(both_inside.wait(timeout=0.2))
        return really_open(*arguments, **named)

    monkeypatch.setattr(rasterio, "open", slow_open)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(opened, [tmp_path / "a.tif", tmp_path / "b.tif"]))
    assert met == []


def test_the_official_mask_is_whole_and_a_part_of_it_is_not(shared: Path, tmp_path: Path) -> None:
    official = shared / "data/landcoverai-official/N-33-60-D-c-4-2.tif"
    with open_geotiff(official) as file:
        assert (file.height, file.width, file.count) == (4701, 4136, 1)
        assert str(file.georeference.crs).startswith("PROJCS[")
    part = Path(shutil.copy(official, tmp_path / "part.tif"))
    with part.open("r+b") as writer:
        writer.truncate(official.stat().st_size - 100)
    with pytest.raises(PipelineError, match=r"part.tif is (truncated|not a readable GeoTIFF)"):
        opened(part)


def test_what_a_person_has_set_for_a_cloud_does_not_matter(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "of-theirs-and-not-there")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.read().sum() == 16


def test_a_mask_within_a_geotiff_counts(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((1, 2, 2), np.uint8), at())
    hide(tmp_path / "a.tif", np.array([[255, 0], [255, 255]], np.uint8))
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.valid().tolist() == [[True, False], [True, True]]


def test_the_files_own_mask_and_declared_no_data_both_hide(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", np.array([[[1, 9], [9, 1]]], np.uint8), at(), nodata=9)
    hide(tmp_path / "a.tif", np.array([[255, 255], [0, 0]], np.uint8))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.shown().tolist() == [[True, True], [False, False]]
        assert file.valid().tolist() == [[True, False], [False, False]]
        assert file.valid(Window(1, 0, 1, 2)).tolist() == [[False], [False]]


def test_the_files_own_mask_hides_beside_alpha(tmp_path: Path) -> None:
    bands_CHW = np.array([[[1, 1, 1]], [[255, 255, 0]]], np.uint8)
    write_geotiff(tmp_path / "a.tif", bands_CHW, at(), alpha="YES")
    hide(tmp_path / "a.tif", np.array([[255, 0, 255]], np.uint8))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert (file.alpha, file.valid().tolist()) == (2, [[True, False, True]])


@given(
    arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.float32, np.float64]), (3, 2, 3), elements=st.integers(0, 3)
    ),
    st.sampled_from([None, 0, 1, 3, 255, float("nan")]),
)
def test_declared_no_data_is_gdals(bands_CHW: np.ndarray, nodata: float | None) -> None:
    if bands_CHW.dtype.kind != "f" and nodata != nodata:
        nodata = None
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.tif"
        write_geotiff(path, bands_CHW, at(), nodata=nodata)
        with rasterio.open(path) as oracle, open_geotiff(path) as file:
            assert np.array_equal(file.valid(), oracle.dataset_mask() > 0)


@pytest.mark.parametrize("nodata", [-9999.9, -3.4028234663852886e38, -3.4028235e38, 1e-3, float("-inf"), float("nan")])
def test_no_data_is_found_in_floats_that_round_it(tmp_path: Path, nodata: float) -> None:
    write_geotiff(tmp_path / "a.tif", np.array([[[5, nodata]]], np.float32), nodata=nodata)
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.valid().tolist() == [[True, False]]


def test_a_machine_without_a_handle_left_is_no_fault_of_the_file(tiff: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def spent(*_: Any, **__: Any) -> Any:
        raise rasterio.errors.RasterioIOError(f"{tiff}: {os.strerror(errno.EMFILE)}")

    monkeypatch.setattr(rasterio, "open", spent)
    with pytest.raises(OSError, match="Too many open files") as error:
        opened(tiff)
    assert error.value.errno == errno.EMFILE


def test_what_a_library_raises_is_put_on_the_file(tiff: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (rasterio.errors.CRSError("no"), KeyError("odd"), TypeError("what"), MemoryError(), OverflowError("much"))
    for kind in kinds:
        monkeypatch.setattr(rasterio, "open", mock.Mock(side_effect=kind))
        with pytest.raises(PipelineError, match=r"scene.tif is not a readable GeoTIFF: \S"):
            opened(tiff)


@pytest.mark.parametrize("nodata", [-3.4e38, -3.40282e38, -3.402823e38, -3.40282306074e38])
def test_no_data_with_fewer_digits_than_its_value_hides_it(nodata: float) -> None:
    values = np.array([np.finfo(np.float32).min, -3.3e38, 0.0], np.float32)
    assert equals(values, nodata).tolist() == [True, False, False]
    assert equals(np.array([0.0, 1e-30, -9999.0, -9998.9], np.float32), -9999.0).tolist() == [False, False, True, False]
    assert equals(np.array([0.0, 1e-30], np.float32), 0.0).tolist() == [True, False]
