"""GeoTIFFs that claim more than they can hold."""

import struct
from pathlib import Path

import numpy as np
import pytest
from rasterio.windows import Window

from pipeline.errors import PipelineError
from pipeline.raster import geotiff
from pipeline.raster.geotiff import open_geotiff, write_geotiff


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
    with pytest.raises(PipelineError, match=r"a.tif (claims .* px of 1 bytes in a file of|is not a readable GeoTIFF)"):
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
    monkeypatch.setattr(geotiff, "MOST_AT_ONCE", 1000)
    with (
        pytest.raises(
            PipelineError, match="is stored in blocks of 64 x 64 px, which are too large to decode; write it"
        ),
        open_geotiff(tmp_path / "a.tif"),
    ):
        pass
