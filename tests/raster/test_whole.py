"""GeoTIFFs that claim more than can be read, a place that is none, several pages, or samples that are no numbers."""

import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.dtypes import dtype_rev
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster import geotiff, whole
from pipeline.raster.geotiff import Georeference, open_geotiff, write_geotiff
from tests.world import UTM, at

PLACE: dict[str, Any] = {"crs": UTM, "transform": at().transform}


def read(path: Path) -> None:
    with open_geotiff(path) as file:
        file.read()


def rewritten(path: Path, width: int, height: int) -> Path:
    """The same file, whose header claims another size."""
    write_geotiff(path, np.ones((1, 16, 16), np.uint8))
    text = bytearray(path.read_bytes())
    for tag, value in ((256, width), (257, height), (278, height)):  # ImageWidth, ImageLength, RowsPerStrip
        at = text.find(struct.pack("<H", tag), 8)
        text[at : at + 12] = struct.pack("<HHII", tag, 4, 1, value)
    path.write_bytes(text)
    return path


@pytest.mark.parametrize(("width", "height"), [(31623, 31623), (2**31 - 1, 2**30), (1_000_000_000, 1)])
def test_a_few_bytes_that_claim_a_billion_pixels_are_refused(tmp_path: Path, width: int, height: int) -> None:
    path = rewritten(tmp_path / "a.tif", width, height)
    with pytest.raises(PipelineError, match=r"a.tif (is stored in blocks of .* px of 1 bytes, which|is truncated)"):
        read(path)


def test_a_file_that_is_too_large_to_read_at_once_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(geotiff, "MOST_PIXELS", 15)
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.read(window=Window(0, 0, 2, 2)).sum() == 4
        with pytest.raises(PipelineError, match="a.tif has 4 x 4 px; at most 15 are read at once"):
            file.read()


def test_blocks_that_are_too_large_to_decode_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((1, 64, 64), np.uint8), blockysize=64)
    monkeypatch.setattr(whole, "MOST_IN_A_BLOCK", 4095)
    with pytest.raises(
        PipelineError, match=r"in blocks of 64 x 64 px of 1 bytes, which are too large to decode \(at most 4095 bytes\)"
    ):
        read(tmp_path / "a.tif")
    monkeypatch.setattr(whole, "MOST_IN_A_BLOCK", 4096)
    read(tmp_path / "a.tif")


@pytest.mark.parametrize(("interleave", "pixel"), [("pixel", 12), ("band", 4)])
def test_a_block_holds_all_bands_or_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, interleave: str, pixel: int
) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((3, 16, 16), np.float32), interleave=interleave, blockysize=16)
    monkeypatch.setattr(whole, "MOST_IN_A_BLOCK", 256 * pixel - 1)
    with pytest.raises(PipelineError, match=f"in blocks of 16 x 16 px of {pixel} bytes"):
        read(tmp_path / "a.tif")
    monkeypatch.setattr(whole, "MOST_IN_A_BLOCK", 256 * pixel)
    read(tmp_path / "a.tif")


@pytest.mark.parametrize(("compress", "sparse"), [("deflate", True), ("zstd", False)])
def test_a_whole_file_that_is_tiny_for_its_size_is_read(tmp_path: Path, compress: str, sparse: bool) -> None:
    """24,000 x 24,000 px, of which one tile is not 0."""
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


def test_a_file_without_any_block_holds_its_no_data(tmp_path: Path) -> None:
    shape = {"driver": "GTiff", "count": 1, "width": 64, "height": 64, "dtype": "uint8", "nodata": 7} | PLACE
    with rasterio.open(tmp_path / "a.tif", "w", **shape, sparse_ok=True):
        pass
    with open_geotiff(tmp_path / "a.tif") as file:
        assert (file.read() == 7).all()
        assert not file.valid().any()


@pytest.mark.parametrize("dtype", sorted(set(dtype_rev) & set(whole.DTYPES)))
def test_numbers_of_any_kind_are_read(tmp_path: Path, dtype: str) -> None:
    write_geotiff(tmp_path / "a.tif", np.full((1, 4, 4), 3, dtype))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert file.dtypes == (dtype,)
        assert (file.read() == 3).all()


@pytest.mark.parametrize("dtype", ["complex_int16", "complex64", "complex128"])
def test_samples_that_are_no_real_numbers_are_refused(tmp_path: Path, dtype: str) -> None:
    shape = {"driver": "GTiff", "count": 1, "width": 4, "height": 4, "dtype": dtype} | PLACE
    with rasterio.open(tmp_path / "a.tif", "w", **shape) as dataset:
        dataset.write(np.ones((1, 4, 4), np.complex64))
    with pytest.raises(PipelineError, match=f"a.tif holds {dtype}, which is no number that is read; allowed are uint8"):
        read(tmp_path / "a.tif")


def test_several_pages_are_refused_and_overviews_and_masks_are_none(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_geotiff(path, np.ones((1, 64, 64), np.uint8), at())
    with rasterio.Env(GDAL_TIFF_INTERNAL_MASK=True), rasterio.open(path, "r+") as dataset:
        dataset.write_mask(np.full((64, 64), 255, np.uint8))
        dataset.build_overviews([2, 4])
    read(path)
    write_geotiff(path, np.ones((1, 64, 64), np.uint8), append_subdataset=True)
    with pytest.raises(PipelineError, match=r"a.tif has 2 pages, and .*: gdal_translate GTIFF_DIR:1:a.tif page1.tif$"):
        read(path)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "transform",
    [
        (0.0, 0.0, 5.0, 0.0, 0.0, 7.0),
        (1.0, 1.0, 5.0, 1.0, 1.0, 7.0),
        (10.0, 0.0, 5.0, 0.0, 0.0, 7.0),
        (NAN, 0.0, 5.0, 0.0, -1.0, 7.0),
        (1.0, 0.0, INF, 0.0, -1.0, 7.0),
        (1e308, 0.0, 5.0, 0.0, -1.0, 7.0),
    ],
)
def test_a_place_that_is_none_is_refused(tmp_path: Path, transform: tuple[float, ...]) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8), Georeference(UTM, Affine(*transform)))
    with pytest.raises(PipelineError, match=r"a.tif does not say where it lies: its geotransform is \[.*; set it w"):
        read(tmp_path / "a.tif")
