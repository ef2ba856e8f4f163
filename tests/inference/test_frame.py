"""A map is made at the pixel size of the training and comes back on the grid of its scene."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from pipeline.inference.frame import choose_frame
from tests.inference.world import layer_of
from tests.scenes.array_scene import blank
from tests.world import at


def test_by_default_the_grid_is_that_of_the_scene(tmp_path: Path) -> None:
    scene, bounds = blank(40, 60), Window(3, 4, 20, 30)
    frame = choose_frame(scene, bounds, (5.0,), resampled=False)
    assert (frame.scene, frame.bounds, frame.input_bounds) == (scene, bounds, bounds)
    assert frame.in_input(Window(5, 6, 7, 8)) == Window(5, 6, 7, 8)
    rows_CHW = np.arange(2 * 30 * 20, dtype=np.uint8).reshape(2, 30, 20)
    assert (frame.read_rows(layer_of(tmp_path / "x.bin", rows_CHW), 10, 13) == rows_CHW[:, 10:13]).all()


@pytest.mark.parametrize(("pixel", "size"), [(20.0, (20, 30)), (5.0, (80, 120))])
def test_a_resampled_grid_has_the_pixel_size_of_the_training(pixel: float, size: tuple[int, int]) -> None:
    scene = blank(40, 60, at(y=0.0))  # of 10 m, at the equator
    frame = choose_frame(scene, Window(0, 0, 60, 40), (pixel,), resampled=True)
    assert (frame.scene.height, frame.scene.width) == pytest.approx(size, abs=1)
    assert frame.scene.georeference.pixel_size == pytest.approx(pixel)


def test_each_pixel_takes_the_value_at_its_centre(tmp_path: Path) -> None:
    scene = blank(6, 8, at(y=0.0))
    frame = choose_frame(scene, Window(2, 2, 4, 4), (20.0,), resampled=True)
    # rows 2 to 5 are rows 1 and 2 of the coarse grid, which the layer covers
    assert frame.bounds == Window(1, 1, 2, 2)
    rows_CHW = np.array([[[1, 2], [3, 4]], [[11, 12], [13, 14]]], np.uint8)
    coarse = layer_of(tmp_path / "x.bin", rows_CHW)
    found_CHW = frame.read_rows(coarse, 0, 4)
    assert found_CHW[0].tolist() == [[1, 1, 2, 2], [1, 1, 2, 2], [3, 3, 4, 4], [3, 3, 4, 4]]
    assert (found_CHW[1] == found_CHW[0] + 10).all()
    assert (frame.read_rows(coarse, 1, 3) == found_CHW[:, 1:3]).all()


@given(st.integers(1, 60), st.integers(1, 60), st.floats(2.0, 50.0), st.data())
def test_the_window_in_the_scene_contains_the_pixels_that_take_their_values(
    height: int, width: int, pixel: float, data: st.DataObject
) -> None:
    frame = choose_frame(blank(height, width, at(y=0.0)), Window(0, 0, width, height), (pixel,), resampled=True)
    assert frame.resampled is not None
    top, left = data.draw(st.integers(0, frame.scene.height - 1)), data.draw(st.integers(0, frame.scene.width - 1))
    rows, columns = (
        data.draw(st.integers(1, frame.scene.height - top)),
        data.draw(st.integers(1, frame.scene.width - left)),
    )
    found = frame.in_input(Window(left, top, columns, rows))
    assert 0 <= found.row_off < found.row_off + found.height <= height
    assert 0 <= found.col_off < found.col_off + found.width <= width
    for axis, start, stop, low, high in (
        (frame.resampled.rows, top, top + rows, found.row_off, found.row_off + found.height),
        (frame.resampled.columns, left, left + columns, found.col_off, found.col_off + found.width),
    ):
        target_S = axis.target_of(np.arange(axis.source))
        users_S = np.flatnonzero((target_S >= start) & (target_S < stop))
        assert ((users_S >= low) & (users_S < high)).all()
