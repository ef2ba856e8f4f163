"""The stretch to 8 bits is the formula in imagery.json, for any values and number of bands."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.formats.chips import Imagery
from pipeline.raster.imagery import to_8bit

REFLECTANCE = Imagery(("B04", "B03", "B02"), scale=0.0001, offset=0.0, stretch=(0.0, 0.3))
ALL_2 = np.ones((1, 2), bool)
bands = arrays(np.uint16, st.tuples(st.just(3), st.integers(1, 4), st.integers(1, 4)))


def column(*values: float, dtype: str = "uint16") -> np.ndarray:
    """One row of pixels, the same in all three bands."""
    return np.array([[values]] * 3, dtype)


def test_minmax_stretches_each_band_between_the_extremes_of_its_valid_pixels() -> None:
    minmax = Imagery(("1", "2", "3"), stretch="minmax")
    bands_CHW = np.array([[[10, 20, 999]], [[0, 40, 999]], [[5, 5, 999]]], np.uint16)
    valid_HW = np.array([[True, True, False]])
    assert to_8bit(bands_CHW, minmax, valid_HW).tolist() == [[[0, 0, 0], [255, 255, 0], [0, 0, 0]]]


def test_8_bit_values_are_kept_without_a_stretch() -> None:
    rgb_HWC = to_8bit(column(0, 77, 255, dtype="uint8"), Imagery(("1", "2", "3")), np.ones((1, 3), bool))
    assert rgb_HWC[0, :, 1].tolist() == [0, 77, 255]


@pytest.mark.parametrize("stretch", [(0.0, 255.0), (-100.0, 255.0)])
def test_invalid_pixels_are_black_whatever_the_stretch(stretch: tuple[float, float]) -> None:
    rgb_HWC = to_8bit(column(255, 255, dtype="uint8"), Imagery(("1", "2", "3"), stretch=stretch), ALL_2 & [[1, 0]])
    assert rgb_HWC[0].tolist() == [[255, 255, 255], [0, 0, 0]]


def test_8_bit_values_are_stretched_with_a_stretch() -> None:
    dark = Imagery(("1", "2", "3"), stretch=(0.0, 51.0))
    assert to_8bit(column(0, 51, dtype="uint8"), dark, ALL_2)[0, :, 0].tolist() == [0, 255]


@pytest.mark.parametrize("invalid", [np.nan, np.inf, 3.4e38, -3.4e38])
def test_values_of_invalid_pixels_have_no_effect(invalid: float) -> None:
    rgb_HWC = to_8bit(
        column(0.3, invalid, dtype="float32"), Imagery(("1", "2", "3"), 1000.0, 0.0, (0.0, 300.0)), ALL_2 & [[1, 0]]
    )
    assert rgb_HWC[0].tolist() == [[255, 255, 255], [0, 0, 0]]


@given(bands, st.floats(-0.1, 0.1), st.floats(0.05, 2.0))
def test_the_stretch_is_the_formula_in_imagery_json(bands_CHW: np.ndarray, low: float, span: float) -> None:
    imagery = Imagery(("B04", "B03", "B02"), 0.0001, -0.1, (low, low + span))
    exact = 255 * (bands_CHW.transpose(1, 2, 0) * 0.0001 - 0.1 - low) / span
    rgb_HWC = to_8bit(bands_CHW, imagery, np.ones(bands_CHW.shape[1:], bool))
    assert rgb_HWC.dtype == np.uint8
    assert np.abs(rgb_HWC - exact.clip(0, 255)).max() <= 0.51


@pytest.mark.parametrize("dtype", ["float32", "float64", "int64"])
def test_extreme_values_are_clipped_without_a_warning(dtype: str) -> None:
    most = np.iinfo(np.int64).max if dtype == "int64" else np.finfo(dtype).max
    bands_CHW = np.array([[[most, -most, 0]]] * 3, dtype)
    valid_HW = np.ones((1, 3), bool)
    fixed = to_8bit(bands_CHW, Imagery(("1", "2", "3"), stretch=(0.0, 100.0)), valid_HW)
    assert fixed[0, :, 0].tolist() == [255, 0, 0]
    assert to_8bit(bands_CHW, Imagery(("1", "2", "3"), stretch="minmax"), valid_HW).shape == (1, 3, 3)


@given(
    arrays(np.uint16, st.tuples(st.integers(4, 7), st.integers(1, 4), st.integers(1, 4))),
    st.sampled_from([(0.0, 0.3), "minmax"]),
)
def test_the_first_bands_do_not_depend_on_the_others(bands_CHW: np.ndarray, stretch: str) -> None:
    valid_HW = bands_CHW[0] % 3 > 0
    imagery = Imagery(tuple(str(number) for number in range(1, len(bands_CHW) + 1)), 0.0001, 0.0, stretch)
    image_HWC = to_8bit(bands_CHW, imagery, valid_HW)
    assert image_HWC.shape == (*valid_HW.shape, len(bands_CHW))
    assert np.array_equal(image_HWC[..., :3], to_8bit(bands_CHW[:3], imagery, valid_HW))
    assert np.array_equal(image_HWC[..., -3:], to_8bit(bands_CHW[-3:], imagery, valid_HW))
