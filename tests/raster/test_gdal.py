"""GDAL's errors are one line about a file; the user's cloud settings and warning filters are untouched."""

import errno
import os
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import rasterio

from pipeline.core.errors import PipelineError
from pipeline.raster.gdal import quiet_gdal
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.world import gradient, read_tiff


def test_threads_change_warning_filters_one_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in "ab":
        write_geotiff(tmp_path / f"{name}.tif", gradient(2, 2))
    barrier, original_open, met = threading.Barrier(2), rasterio.open, []

    def slow_open(*args: Any, **kwargs: Any) -> Any:
        with suppress(threading.BrokenBarrierError):
            met.append(barrier.wait(timeout=0.2))
        return original_open(*args, **kwargs)

    monkeypatch.setattr(rasterio, "open", slow_open)
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(read_tiff, [tmp_path / "a.tif", tmp_path / "b.tif"]))
    assert met == []


def test_cloud_credentials_of_the_user_are_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing-profile")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key")
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.read().sum() == 16


def test_running_out_of_file_handles_is_an_os_error(tiff: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> Any:
        raise rasterio.errors.RasterioIOError(f"{tiff}: {os.strerror(errno.EMFILE)}")

    monkeypatch.setattr(rasterio, "open", fail)
    with pytest.raises(OSError, match="Too many open files") as error:
        read_tiff(tiff)
    assert error.value.errno == errno.EMFILE


def test_library_errors_name_the_file(tiff: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    errors = (rasterio.errors.CRSError("no"), KeyError("odd"), TypeError("what"), MemoryError(), OverflowError("much"))
    for error in errors:
        monkeypatch.setattr(rasterio, "open", mock.Mock(side_effect=error))
        with pytest.raises(PipelineError, match=r"scene.tif is not a readable GeoTIFF: \S"):
            read_tiff(tiff)


def test_the_environment_is_complete_inside_any_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_PROFILE", "missing-profile")
    for outer in (nullcontext(), quiet_gdal(), rasterio.Env(GDAL_CACHEMAX=1 << 20), quiet_gdal(GDAL_HTTP_TIMEOUT="9")):
        with outer, quiet_gdal():
            assert rasterio.env.getenv()["GDAL_DISABLE_READDIR_ON_OPEN"] == "EMPTY_DIR"
    with quiet_gdal(), quiet_gdal(GDAL_HTTP_TIMEOUT="9"):
        assert rasterio.env.getenv()["GDAL_HTTP_TIMEOUT"] == "9"
