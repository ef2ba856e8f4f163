"""An alpha band hides pixels only if it is transparency, whatever the order of its values."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.windows import Window

from pipeline.orthophoto.transparency import AlphaValues, Transparency, find_transparency
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.world import gradient

TWO_ROWS = [Window(0, 0, 50, 1), Window(0, 1, 50, 1)]


@pytest.fixture(scope="module")
def rgba(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two rows of 50 px; alpha is 0 in the first row and 255 in the second, but 9 in its last two pixels."""
    path, alpha_HW = tmp_path_factory.mktemp("alpha") / "a.tif", np.zeros((2, 50), np.uint8)
    alpha_HW[1], alpha_HW[1, 48:] = 255, 9
    bands_CHW = np.concatenate([gradient(2, 50), alpha_HW[None]])
    write_geotiff(path, bands_CHW, photometric="RGB", alpha="YES")
    return path


@pytest.mark.parametrize(
    ("bands", "windows", "expected"),
    [
        ((1, 2, 3), TWO_ROWS, Transparency(is_unused=True)),  # 2 of 100 px are partly transparent
        ((1, 2, 3), TWO_ROWS[:1], Transparency(4)),
        ((1, 2, 4), TWO_ROWS, Transparency()),
    ],
)
def test_a_band_with_more_than_two_values_is_no_transparency(
    rgba: Path, bands: tuple[int, ...], windows: list[Window], expected: Transparency
) -> None:
    with open_geotiff(rgba) as image:
        assert find_transparency(image, bands, windows) == expected


@given(st.lists(st.lists(st.sampled_from([0, 9, 250, 255]), min_size=1, max_size=40), min_size=1, max_size=6))
def test_the_verdict_depends_on_all_values_and_not_on_their_order(rgba: Path, rows: list[list[int]]) -> None:
    values = [value for row in rows for value in row]
    others = sorted(values.count(value) for value in (9, 250, 255))
    with open_geotiff(rgba) as image:
        for parts in (rows, rows[::-1], [values]):
            counted = AlphaValues(image, 4, len(values))
            verdicts = [counted.add(np.array([part], np.uint8)) for part in parts]
            assert verdicts[-1] == (sum(others[:-1]) > 0.01 * len(values))
            assert verdicts == sorted(verdicts)  # once spectral, it stays so
