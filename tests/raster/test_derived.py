"""A part of an image in memory, and files of one band each, have the pixels and masks of the files."""

from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.derived import load_part, stack_files
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.world import at, gradient, hide


@pytest.fixture(scope="module")
def five_bands(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """40 rows and 60 columns; 7 is no-data, of which the first two bands have some, and a mask hides a part."""
    path = tmp_path_factory.mktemp("loaded") / "a.tif"
    write_geotiff(path, gradient(40, 60, 5), at(), nodata=7, tiled=True, blockxsize=16, blockysize=16)
    shown_HW = np.full((40, 60), 255, np.uint8)
    shown_HW[10:20, 5:50] = 0
    hide(path, shown_HW)
    return path


@given(st.data())
def test_a_window_of_a_part_is_that_of_the_file(five_bands: Path, data: st.DataObject) -> None:
    top, left = data.draw(st.integers(0, 39)), data.draw(st.integers(0, 59))
    height, width = data.draw(st.integers(1, 40 - top)), data.draw(st.integers(1, 60 - left))
    row, column = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    window = Window(
        left + column, top + row, data.draw(st.integers(1, width - column)), data.draw(st.integers(1, height - row))
    )
    bands = tuple(data.draw(st.permutations(range(1, 6))))
    chosen = tuple(data.draw(st.lists(st.sampled_from(bands), min_size=1, max_size=6)))
    with open_geotiff(five_bands) as file:
        part = load_part(file, bands, Window(left, top, width, height))
        assert np.array_equal(part.read(chosen, window), file.read(chosen, window))
        assert np.array_equal(part.internal_mask(window), file.internal_mask(window))
        assert np.array_equal(part.valid_mask(window), file.valid_mask(window))


def test_the_file_is_read_only_once(five_bands: Path) -> None:
    with open_geotiff(five_bands) as file:
        part = load_part(file, (1, 2, 3, 4, 5), Window(0, 0, 60, 40))
    assert part.read((2,), Window(3, 0, 2, 1)).tolist() == [[[4, 5]]]  # the file is closed
    assert part.valid_mask(Window(4, 10, 2, 1)).tolist() == [[True, False]]


def test_masks_may_be_changed(five_bands: Path) -> None:
    with open_geotiff(five_bands) as file:
        part = load_part(file, (1,), Window(0, 0, 60, 40))
        part.internal_mask()[:] = False
        assert part.internal_mask(Window(0, 0, 1, 1)).all()


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
        bands = stack_files(files)
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
        stack_files([file, file, file])
