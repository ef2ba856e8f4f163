"""Files that are decoded from top to bottom only: each row is decoded once, whatever the windows."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from pipeline.scenes import row_buffer
from pipeline.scenes.row_buffer import RowBuffer

HEIGHT, WIDTH = 30, 10
IMAGE_HWC = np.arange(HEIGHT * WIDTH * 3, dtype=np.uint8).reshape(HEIGHT, WIDTH, 3)
VALID_HW = IMAGE_HWC[..., 0] % 3 > 0


class Source:
    """Counts the rows that are decoded."""

    def __init__(self) -> None:
        self.rows: list[int] = []

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        assert (window.col_off, window.width) == (0, WIDTH)
        self.rows += range(window.row_off, window.row_off + window.height)
        return IMAGE_HWC[window.toslices()], VALID_HW[window.toslices()]


@given(
    st.lists(
        st.tuples(st.integers(0, 29), st.integers(1, 30), st.integers(0, 9), st.integers(1, 10)), min_size=1, max_size=9
    ),
    st.sampled_from([1, 25, 1000]),
)
def test_windows_in_any_order_have_the_pixels_of_the_source(
    windows: list[tuple[int, int, int, int]], chunk: int
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(row_buffer, "CHUNK_PIXELS", chunk)
        buffer = RowBuffer(Source().read, WIDTH)
        for row, height, column, width in windows:
            window = Window(column, row, min(width, WIDTH - column), min(height, HEIGHT - row))
            image_HWC, valid_HW = buffer.read(window)
            assert np.array_equal(image_HWC, IMAGE_HWC[window.toslices()])
            assert np.array_equal(valid_HW, VALID_HW[window.toslices()])


@pytest.mark.parametrize("strips", [((0, 14),), ((0, 6), (6, 6), (12, 2))])
def test_overlapping_windows_row_by_row_decode_each_row_once(strips: tuple[tuple[int, int], ...]) -> None:
    source = Source()
    buffer = RowBuffer(source.read, WIDTH)
    for top in (0, 8, 16):
        for column in (0, 5):
            for row, height in strips:
                buffer.read(Window(column, top + row, 5, height))
    assert source.rows == list(range(30))


def test_rows_of_earlier_windows_are_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(row_buffer, "MAX_ROWS", 12)
    source = Source()
    buffer = RowBuffer(source.read, WIDTH)
    for row in range(0, 30, 6):  # without a window of its own that begins elsewhere
        buffer.read(Window(0, row, WIDTH, 6))
    buffer.read(Window(0, 24, WIDTH, 6))
    assert source.rows == list(range(30))
    buffer.read(Window(0, 0, WIDTH, 6))
    assert source.rows == [*range(30), *range(6)]


def test_a_window_may_be_changed_by_its_reader() -> None:
    buffer = RowBuffer(Source().read, WIDTH)
    buffer.read(Window(0, 0, 5, 5))[0][:] = 0
    assert np.array_equal(buffer.read(Window(0, 0, 5, 5))[0], IMAGE_HWC[:5, :5])
