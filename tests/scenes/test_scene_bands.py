"""Which windows of a scene are looked at first, and which models take values as they are stored."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.formats.chips import Imagery
from pipeline.scenes.scene_bands import centre, has_stored_units, model_stretch, sample_windows


@given(st.integers(1, 9000), st.integers(1, 9000))
def test_samples_lie_inside_and_cover_small_scenes(height: int, width: int) -> None:
    windows = sample_windows(height, width)
    assert len(windows) <= 64
    assert len(set(windows)) == len(windows)
    for window in (*windows, centre(height, width), *sample_windows(height, width, full_width=True)):
        assert 0 <= window.row_off < window.row_off + window.height <= height
        assert 0 <= window.col_off < window.col_off + window.width <= width
    if max(height, width) <= 2048:
        rows, columns = np.zeros(height, bool), np.zeros(width, bool)
        for window in windows:
            rows[window.row_off : window.row_off + window.height] = True
            columns[window.col_off : window.col_off + window.width] = True
        assert rows.all()
        assert columns.all()
        assert len(windows) == -(-height // 256) * -(-width // 256)


@pytest.mark.parametrize(
    ("imagery", "stored", "stretch"),
    [
        (Imagery(("1", "2", "3")), False, None),
        (Imagery(("1", "2", "3"), synthetic=True), False, None),
        (Imagery(("1", "2", "3"), stretch=(0.0, 4000.0)), False, (0.0, 4000.0)),
        (Imagery(("3", "2", "1"), 0.0001, 0.0, (0.0, 0.3)), True, (0.0, 0.3)),
        (Imagery(("B04", "B03", "B02"), 1.0, 0.0, (0.0, 3000.0)), True, (0.0, 3000.0)),
        (Imagery(("B04", "B03", "B02")), True, (0.0, 255.0)),
    ],
)
def test_units_and_stretch_follow_the_models_imagery(imagery: Imagery, stored: bool, stretch: object) -> None:
    assert has_stored_units(imagery) == stored
    assert model_stretch(imagery) == stretch
