"""Every code of both archives' cloud products counts as the kind it means; unknown ones and zeros as no data."""

import numpy as np
import pytest

from pipeline.sentinel.clouds import GHANA, SCL, PixelKind, from_codes, from_probability, mark_no_data, shares


def grid(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


def test_codes_of_both_archives_map_to_their_kinds() -> None:
    clear, shadow, haze, cloud, no_data = PixelKind
    expected = [no_data, no_data, clear, shadow, clear, clear, clear, clear, cloud, cloud, haze, clear]
    assert from_codes(grid(*range(12)), SCL).tolist() == [expected]
    assert from_codes(grid(*range(4)), GHANA).tolist() == [[clear, cloud, shadow, haze]]


@pytest.mark.parametrize("table", [SCL, GHANA], ids=["SCL", "GHANA"])
@pytest.mark.parametrize("code", [-1, 12, 99, 255, 0.5, np.nan])
def test_an_unknown_code_is_no_data(table: dict[int, PixelKind], code: float) -> None:
    assert from_codes(np.array([[code]]), table).tolist() == [[PixelKind.NO_DATA]]
    assert from_probability(np.array([[0]]), np.array([[code]]), 50).tolist() == [[PixelKind.NO_DATA]]


@pytest.mark.parametrize("percent", [-1, 101, 255, np.nan])
def test_a_probability_out_of_range_is_no_data(percent: float) -> None:
    assert from_probability(np.array([[percent]]), grid(4), 50).tolist() == [[PixelKind.NO_DATA]]


def test_probability_replaces_cloud_and_haze_but_not_shadow() -> None:
    cld_HW = grid(49, 50, 100, 0, 0, 60, 255, 0)
    scl_HW = grid(9, 4, 10, 8, 3, 3, 4, 0)
    cloud, clear, shadow, no_data = PixelKind.CLOUD, PixelKind.CLEAR, PixelKind.SHADOW, PixelKind.NO_DATA
    expected = [[clear, cloud, cloud, clear, shadow, cloud, no_data, no_data]]
    assert from_probability(cld_HW, scl_HW, threshold=50).tolist() == expected


def test_zero_or_nan_in_any_band_is_no_data_whatever_the_codes() -> None:
    bands_CHW = np.array([[[5, 0, 5, np.nan]], [[5, 5, 5, 5]], [[5, 5, 0, 5]]])
    assert mark_no_data(grid(3, 3, 0, 0), bands_CHW).tolist() == [
        [3, PixelKind.NO_DATA, PixelKind.NO_DATA, PixelKind.NO_DATA]
    ]


def test_shares_are_of_all_pixels() -> None:
    clouds_HW = np.array([[0, 0, 0, 0, 1], [2, 2, 3, 3, 3]], np.uint8)
    assert shares(clouds_HW) == {"cloud": 0.3, "shadow": 0.1, "haze": 0.2, "no_data": 0.0}
