"""With `on_error: skip`, a damaged block is read as 0 and hidden, and named once."""

from pathlib import Path

import numpy as np
import pytest
from rasterio.windows import Window

from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.world import gradient


@pytest.fixture
def damaged(tmp_path: Path) -> Path:
    """48 x 48 px in blocks of 16 x 16; the last bytes, of the last block, are missing."""
    path = tmp_path / "a.tif"
    write_geotiff(path, gradient(48, 48), tiled=True, blockxsize=16, blockysize=16, compress="lzw", interleave="pixel")
    path.write_bytes(path.read_bytes()[:-20])
    return path


def test_a_block_that_cannot_be_decoded_is_read_as_0_and_hidden(damaged: Path) -> None:
    texts: list[str] = []
    with open_geotiff(damaged, texts) as file:
        window = Window(20, 20, 28, 28)
        assert not file.left_out().any()
        bands_CHW = file.read((2,), window)
        expected_CHW = gradient(48, 48)[1:2, 20:, 20:].copy()
        expected_CHW[:, 12:, 12:] = 0
        assert np.array_equal(bands_CHW, expected_CHW)
        hidden_HW = np.zeros((48, 48), bool)
        hidden_HW[32:, 32:] = True
        assert np.array_equal(file.left_out(), hidden_HW)
        assert np.array_equal(file.left_out(window), hidden_HW[20:, 20:])
        assert np.array_equal(file.read()[0], np.where(hidden_HW, 0, gradient(48, 48)[0]))
        assert not file.read(window=Window(40, 40, 8, 8)).any()
    assert len(texts) == 1
    assert texts[0].startswith(
        f"{damaged} cannot be read, the file is damaged: block column 2, row 2 (pixel columns 32 to 47, rows 32 to 47)"
    )
