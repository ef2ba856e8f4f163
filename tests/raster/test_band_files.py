from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.band_files import BandFiles
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.world import at, gradient, hide


@pytest.mark.parametrize("nodata", [None, 3, 51])
def test_files_are_the_bands_of_one_image(tmp_path: Path, nodata: int | None) -> None:
    visible_HW = np.where(np.arange(30).reshape(5, 6) % 4, 255, 0).astype(np.uint8)
    window = Window(1, 0, 4, 5)
    write_geotiff(tmp_path / "all.tif", gradient(5, 6, 4), at(), nodata=nodata, photometric="MINISBLACK")
    for band, band_HW in enumerate(gradient(5, 6, 4)):
        write_geotiff(tmp_path / f"{band}.tif", band_HW[None], at(), nodata=nodata)
    for name in ("all", "2"):
        hide(tmp_path / f"{name}.tif", visible_HW)
    with ExitStack() as stack:
        whole, *files = (
            stack.enter_context(open_geotiff(tmp_path / f"{name}.tif")) for name in ("all", "0", "1", "2", "3")
        )
        bands = BandFiles(files)
        assert (bands.count, bands.dtypes, bands.nodata) == (whole.count, whole.dtypes, whole.nodata)
        assert bands.georeference == whole.georeference
        assert np.array_equal(bands.read(), whole.read())
        assert np.array_equal(bands.read((4, 1), window), whole.read((4, 1), window))
        assert np.array_equal(bands.valid_mask(window), whole.valid_mask(window))
        assert not bands.left_out().any()


def test_a_file_with_a_colour_table_is_not_a_band(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(4, 4)[:1], at(), photometric="PALETTE")
    with (
        open_geotiff(tmp_path / "a.tif") as file,
        pytest.raises(PipelineError, match="a.tif has a colour table; it is"),
    ):
        BandFiles([file, file, file])
