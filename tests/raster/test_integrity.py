"""Oversized, sparse, multi-page and complex GeoTIFFs are read in bounded memory, or refused."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.dtypes import dtype_rev
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster import integrity
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.world import UTM, at

PLACE: dict[str, Any] = {"crs": UTM, "transform": at().transform}


def read(path: Path) -> None:
    with open_geotiff(path) as file:
        file.read()


def with_size(path: Path, width: int, height: int) -> Path:
    """A file whose header claims this size."""
    write_geotiff(path, np.ones((1, 16, 16), np.uint8))
    text = bytearray(path.read_bytes())
    for tag, value in ((256, width), (257, height), (278, height)):  # ImageWidth, ImageLength, RowsPerStrip
        at = text.find(struct.pack("<H", tag), 8)
        text[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    path.write_bytes(text)
    return path


@pytest.mark.parametrize(("width", "height"), [(31623, 31623), (2**31 - 1, 2**30), (1_000_000_000, 1)])
def test_a_header_that_claims_a_billion_pixels_is_refused(tmp_path: Path, width: int, height: int) -> None:
    path = with_size(tmp_path / "a.tif", width, height)
    with pytest.raises(PipelineError, match=r"a.tif (is stored in blocks of .* px of 1 bytes, too large|is truncated)"):
        read(path)


@pytest.mark.parametrize(("interleave", "pixel"), [("pixel", 12), ("band", 4)])
def test_a_block_holds_all_bands_or_one_by_interleaving(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interleave: str, pixel: int
) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((3, 16, 16), np.float32), interleave=interleave, blockysize=16)
    monkeypatch.setattr(integrity, "MAX_BLOCK_BYTES", 256 * pixel - 1)
    with pytest.raises(PipelineError, match=f"in blocks of 16 x 16 px of {pixel} bytes"):
        read(tmp_path / "a.tif")
    monkeypatch.setattr(integrity, "MAX_BLOCK_BYTES", 256 * pixel)
    read(tmp_path / "a.tif")


@pytest.mark.parametrize(("compress", "sparse"), [("deflate", True), ("zstd", False)])
def test_a_highly_compressed_or_sparse_file_is_read(tmp_path: Path, compress: str, sparse: bool) -> None:
    """24,000 x 24,000 px, all 0 but for one block."""
    side, profile = 24000, {"tiled": True, "blockxsize": 2048, "blockysize": 2048, "compress": compress}
    path = tmp_path / "a.tif"
    shape = {"driver": "GTiff", "count": 1, "width": side, "height": side, "dtype": "uint8"} | PLACE
    with rasterio.open(path, "w", **shape, **profile, sparse_ok=sparse) as dataset:
        dataset.write(np.ones((1, 2048, 2048), np.uint8), window=Window(4096, 2048, 2048, 2048))
    assert path.stat().st_size * 1100 < side * side
    with open_geotiff(path) as file:
        assert (file.height, file.width) == (side, side)
        assert file.read(window=Window(4095, 2047, 2, 2)).tolist() == [[[0, 0], [0, 1]]]
        assert file.read(window=Window(23999, 23999, 1, 1)).tolist() == [[[0]]]


def test_a_file_without_any_block_is_all_no_data(tmp_path: Path) -> None:
    shape = {"driver": "GTiff", "count": 1, "width": 64, "height": 64, "dtype": "uint8", "nodata": 7} | PLACE
    with rasterio.open(tmp_path / "a.tif", "w", **shape, sparse_ok=True):
        pass
    with open_geotiff(tmp_path / "a.tif") as file:
        assert (file.read() == 7).all()
        assert not file.valid_mask().any()


@pytest.mark.parametrize("dtype", sorted(set(dtype_rev) & set(integrity.DTYPES)))
def test_every_supported_dtype_is_read(tmp_path: Path, dtype: str) -> None:
    write_geotiff(tmp_path / "a.tif", np.full((1, 4, 4), 3, dtype))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.dtypes == (dtype,)
        assert (file.read() == 3).all()


@pytest.mark.parametrize("dtype", ["complex_int16", "complex64", "complex128"])
def test_complex_samples_are_refused(tmp_path: Path, dtype: str) -> None:
    shape = {"driver": "GTiff", "count": 1, "width": 4, "height": 4, "dtype": dtype} | PLACE
    with rasterio.open(tmp_path / "a.tif", "w", **shape) as dataset:
        dataset.write(np.ones((1, 4, 4), np.complex64))
    with pytest.raises(PipelineError, match=f"a.tif has samples of type {dtype}; supported are uint8"):
        read(tmp_path / "a.tif")


def test_several_pages_are_refused_but_overviews_and_masks_are_not(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_geotiff(path, np.ones((1, 64, 64), np.uint8), at())
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.full((64, 64), 255, np.uint8))
        dataset.build_overviews([2, 4])
    read(path)
    write_geotiff(path, np.ones((1, 64, 64), np.uint8), append_subdataset=True)
    with pytest.raises(PipelineError, match=r"a.tif has 2 pages, and .*: gdal_translate GTIFF_DIR:1:a.tif page1.tif$"):
        read(path)
