import numpy as np
import pytest

from pipeline.sentinel.clouds import GHANA, SCL, PixelKind, from_codes, from_probability, mark_no_data, shares


def grid(*values: int) -> np.ndarray:
    return np.array([values], np.uint8)


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        (0, PixelKind.NO_DATA),
        (1, PixelKind.NO_DATA),
        (2, PixelKind.CLEAR),
        (3, PixelKind.SHADOW),
        (4, PixelKind.CLEAR),
        (5, PixelKind.CLEAR),
        (6, PixelKind.CLEAR),
        (7, PixelKind.CLEAR),
        (8, PixelKind.CLOUD),
        (9, PixelKind.CLOUD),
        (10, PixelKind.HAZE),
        (11, PixelKind.CLEAR),
    ],
)
def test_each_class_of_sen2cor_maps_to_its_kind(code: int, kind: PixelKind) -> None:
    assert from_codes(grid(code), SCL).tolist() == [[kind]]


def test_each_code_of_ghana_maps_to_its_kind() -> None:
    assert from_codes(grid(0, 1, 2, 3), GHANA).tolist() == [
        [PixelKind.CLEAR, PixelKind.CLOUD, PixelKind.SHADOW, PixelKind.HAZE]
    ]


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
