"""Windows cover each pixel of a map once, with context on every side, whatever the size of scene, part and window."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from pipeline.inference.windows import Span, Tiling, network_windows, window_spans

LENGTHS = st.integers(1, 5000)


@st.composite
def tilings(draw: st.DrawFn) -> Tiling:
    stride = draw(st.sampled_from([8, 16, 32]))
    halo = stride * draw(st.integers(0, 8))
    return Tiling(2 * halo + stride * draw(st.integers(2, 40)), halo, stride)


@st.composite
def axes(draw: st.DrawFn) -> tuple[int, int, int]:
    length = draw(LENGTHS)
    start = draw(st.integers(0, length - 1))
    return start, draw(st.integers(start + 1, length)), length


@pytest.mark.parametrize(
    ("part", "tiling", "expected"),
    [
        ((0, 512, 512), Tiling(1024, 128, 32), [Span(0, 512, 0, 512)]),
        ((0, 1, 1), Tiling(1024, 128, 32), [Span(0, 32, 0, 1)]),  # completed to the stride
        # windows of 768 px overlap from 512 to 768, and meet in the middle
        ((0, 1280, 1280), Tiling(768, 128, 32), [Span(0, 768, 0, 640), Span(512, 768, 640, 1280)]),
        # 1,312 px do not fit two windows of 768, and three of 768 would compute 2,304 px
        (
            (0, 1312, 1312),
            Tiling(768, 128, 32),
            [Span(0, 608, 0, 480), Span(352, 608, 480, 832), Span(704, 608, 832, 1312)],
        ),
        # without a halo windows are chips
        ((0, 1024, 1024), Tiling(512, 0, 32), [Span(0, 512, 0, 512), Span(512, 512, 512, 1024)]),
        # a part in the middle gets context from the scene
        ((1000, 1100, 4000), Tiling(1024, 128, 32), [Span(864, 384, 1000, 1100)]),
    ],
)
def test_windows_by_head(part: tuple[int, int, int], tiling: Tiling, expected: list[Span]) -> None:
    assert window_spans(*part, tiling) == expected


@given(axes(), tilings())
def test_cores_cover_each_pixel_once_away_from_their_window_s_borders(
    axis: tuple[int, int, int], tiling: Tiling
) -> None:
    start, stop, length = axis
    spans = window_spans(start, stop, length, tiling)
    covered = [pixel for span in spans for pixel in range(span.core_start, span.core_stop)]
    assert covered == list(range(start, stop))
    completed = -(-length // tiling.stride) * tiling.stride
    for span in spans:
        end = span.start + span.size
        assert span.start % tiling.stride == span.size % tiling.stride == 0
        assert 0 <= span.start < end <= completed
        assert span.size <= tiling.window
        assert span.core_start - span.start >= tiling.halo or span.start == 0
        assert end - span.core_stop >= tiling.halo or end == completed
    assert len({span.size for span in spans}) == 1


@given(axes(), axes(), tilings())
def test_a_grid_of_windows_stays_inside_the_scene(
    rows: tuple[int, int, int], columns: tuple[int, int, int], tiling: Tiling
) -> None:
    (top, bottom, height), (left, right, width) = rows, columns
    grid = network_windows(Window(left, top, right - left, bottom - top), height, width, tiling)
    area = 0
    for window in (window for row in grid for window in row):
        inside = window.inside(height, width)
        assert inside.row_off + inside.height <= height
        assert inside.col_off + inside.width <= width
        assert window.pixels - inside.height * inside.width < tiling.stride * (window.rows.size + window.columns.size)
        area += window.core.height * window.core.width
    assert area == (bottom - top) * (right - left)
