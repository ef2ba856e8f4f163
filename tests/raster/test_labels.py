"""Each label value becomes its class, is ignored, or is refused with a remap to paste."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.labels import read_labels, refuse_unknown_labels, to_mask
from tests.world import TWO_CLASSES, at, hide

FILE = Path("mask.tif")


def remapping(remap: dict[int, Any]) -> ClassTable:
    return ClassTable.model_validate({"classes": TWO_CLASSES.classes, "remap": remap})


def masked(values: list[float], table: ClassTable, dtype: str = "uint8", nodata: float | None = None) -> list[int]:
    mask_HW = to_mask(np.array([values], dtype), table, FILE, nodata)
    assert mask_HW.dtype == np.uint8
    return [int(value) for value in mask_HW[0]]


@pytest.mark.parametrize("nodata", [np.nan, -9999.0, -3.4028234663852886e38])
def test_declared_no_data_of_float_labels_is_ignored(nodata: float) -> None:
    assert masked([2, nodata], remapping({255: 1}), "float32", nodata) == [2, IGNORE]


OUTSIDE = "mask.tif contains label values outside the class table: "
PASTE = "write in classes.yaml of the source folder: "


@pytest.mark.parametrize(
    ("values", "remap", "advice"),
    [
        (
            [1, 7, 7, 9],
            {},
            f"7 in 2 px, 9 in 1 px; classes are [1, 2]: {PASTE}remap: {{7: CLASS, 9: CLASS}}, where CLASS is one of "
            "[1, 2], or ignore; or add the values to its classes",
        ),
        (  # one value, no class id, and one class without pixels
            [9, 9, 255, 255],
            {9: 1},
            f"255 in 2 px; classes are [1, 2]: if 255 is 'wood', {PASTE}remap: {{9: 1, 255: 2}} (else another class, "
            "or ignore)",
        ),
        (
            [40, 80, 80, 80],
            {},
            "40 in 1 px, 80 in 3 px; classes are [1, 2]: if 40 is 'field' and 80 is 'wood', "
            f"{PASTE}remap: {{40: 1, 80: 2}} (else another class, or ignore); or add the values to its classes",
        ),
    ],
)
def test_a_value_outside_the_table_is_refused_with_its_count_and_a_remap_to_paste(
    values: list[float], remap: dict[int, Any], advice: str
) -> None:
    with pytest.raises(PipelineError) as error:
        masked(values, remapping(remap), "int16")
    assert str(error.value) == OUTSIDE + advice


def test_classes_of_the_whole_file_count_for_the_remap_to_paste(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "mask.tif", np.array([[[1, 255, 1, 2]]], np.uint8))
    with open_geotiff(tmp_path / "mask.tif") as mask, pytest.raises(PipelineError, match="{255: CLASS}, where"):
        refuse_unknown_labels(mask, TWO_CLASSES, [Window(0, 0, 2, 1), Window(2, 0, 2, 1)])


@pytest.mark.parametrize("bad", [np.nan, 1.5, np.inf])
def test_float_labels_must_be_whole_numbers(bad: float) -> None:
    with pytest.raises(PipelineError, match=rf"^mask.tif contains the label {bad}; 2 pixels are NaN or a fraction"):
        masked([1, bad, bad], TWO_CLASSES, "float64")


def test_signalling_nan_is_refused_without_a_warning() -> None:
    signalling = np.array([0x7F800001], np.uint32).view(np.float32)
    with pytest.raises(PipelineError, match="contains the label nan; 1 pixels are NaN"):
        to_mask(signalling[None], TWO_CLASSES, FILE)


def test_unknown_values_are_counted_over_all_windows_and_the_lowest_few_listed(tmp_path: Path) -> None:
    labels_HW = np.array([[1, 20, 2, 19, 18, 17], [20, 16, 15, 15, 14, 2]], np.uint16)
    write_geotiff(tmp_path / "mask.tif", labels_HW[None])
    columns = [Window(column, 0, 2, 2) for column in (0, 2, 4)]
    with open_geotiff(tmp_path / "mask.tif") as mask:
        refuse_unknown_labels(mask, TWO_CLASSES, [Window(0, 0, 1, 1), Window(5, 1, 1, 1)])
        with pytest.raises(
            PipelineError, match="table: 14 in 1 px, 15 in 2 px, 16 in 1 px, 17 in 1 px, 18 in 1 px and others; "
        ):
            refuse_unknown_labels(mask, TWO_CLASSES, columns)


def test_fractions_are_counted_over_all_windows(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "mask.tif", np.array([[[1, 9, 1.5, 2, np.nan, 2.5]]], np.float32))
    with (
        open_geotiff(tmp_path / "mask.tif") as mask,
        pytest.raises(PipelineError, match="mask.tif contains the label 1.5; 3 pixels are NaN or a fraction"),
    ):
        refuse_unknown_labels(mask, TWO_CLASSES, [Window(column, 0, 2, 1) for column in (0, 2, 4)])


values = st.integers(0, 4)


@given(
    arrays(st.sampled_from([np.uint8, np.int16, np.float32, np.float64]), (3, 4), elements=values),
    st.dictionaries(st.integers(0, 4), st.sampled_from([1, 2, "ignore"])),
    st.none() | values,
)
def test_each_pixel_is_remapped_kept_ignored_or_refused(
    values_HW: np.ndarray, remap: dict[int, Any], nodata: int | None
) -> None:
    table = remapping(remap)

    def expect(value: int) -> int | None:
        if value in remap:
            return IGNORE if remap[value] == "ignore" else int(remap[value])
        if value in (1, 2):
            return value
        return IGNORE if value == nodata else None

    expected = [expect(int(value)) for value in values_HW.ravel()]
    if None in expected:
        with pytest.raises(PipelineError, match="outside the class table"):
            to_mask(values_HW, table, FILE, nodata)
    else:
        assert to_mask(values_HW, table, FILE, nodata).ravel().tolist() == expected


def read(path: Path, table: ClassTable = TWO_CLASSES) -> tuple[list[list[int]], dict[str, int]]:
    with open_geotiff(path) as file:
        labels = read_labels(file, table)
        return labels.mask_HW.tolist(), labels.nodata_classes


HIDING_HW = np.array([[255, 255, 255, 0]], np.uint8)


@pytest.mark.parametrize(
    ("nodata", "hidden", "remap", "expected"),
    [
        (None, False, {9: 1}, ([1, 2, 1, 1], {})),
        (None, True, {9: 1}, ([1, 2, 1, IGNORE], {})),  # the internal mask hides
        (9, False, {}, ([1, 2, IGNORE, 1], {})),  # no-data that is not a class
        (9, True, {}, ([1, 2, IGNORE, IGNORE], {})),  # both
        (1, False, {9: "ignore"}, ([1, 2, IGNORE, 1], {"1": 2})),  # no-data that is a class is kept and counted
        (1, True, {9: "ignore"}, ([1, 2, IGNORE, IGNORE], {"1": 1})),  # where visible
        (9, True, {9: 2}, ([1, 2, 2, IGNORE], {"2": 1})),  # a value remapped to a class is kept too
        (1, True, {1: "ignore", 9: 2}, ([IGNORE, 2, 2, IGNORE], {})),
    ],
)
def test_internal_mask_and_no_data_are_ignored_unless_no_data_is_a_class(
    tmp_path: Path, nodata: int | None, hidden: bool, remap: dict[int, Any], expected: tuple[list[int], dict[str, int]]
) -> None:
    write_geotiff(tmp_path / "mask.tif", np.array([[[1, 2, 9, 1]]], np.uint8), at(), nodata=nodata)
    if hidden:
        hide(tmp_path / "mask.tif", HIDING_HW)
    assert read(tmp_path / "mask.tif", remapping(remap)) == ([expected[0]], expected[1])


def test_hidden_pixels_may_have_any_value(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "mask.tif", np.array([[[1, 2, 1, 77]]], np.uint8), at())
    hide(tmp_path / "mask.tif", HIDING_HW)
    assert read(tmp_path / "mask.tif") == ([[1, 2, 1, IGNORE]], {})
    write_geotiff(tmp_path / "mask.tif", np.array([[[1, 88, 1, 77]]], np.uint8), at())
    hide(tmp_path / "mask.tif", HIDING_HW)
    with open_geotiff(tmp_path / "mask.tif") as mask, pytest.raises(PipelineError, match="table: 88 in 1 px; classes"):
        refuse_unknown_labels(mask, TWO_CLASSES, [Window(0, 0, 2, 1), Window(2, 0, 2, 1)])


@pytest.mark.parametrize("profile", [{"photometric": "PALETTE"}, {"photometric": "MINISWHITE"}, {"nbits": 2}])
def test_labels_are_stored_values_whatever_the_photometric_interpretation(
    tmp_path: Path, profile: dict[str, Any]
) -> None:
    write_geotiff(tmp_path / "mask.tif", np.array([[[1, 2, 2]]], np.uint8), at(), **profile)
    assert read(tmp_path / "mask.tif") == ([[1, 2, 2]], {})


def test_scaled_labels_are_refused(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "mask.tif", np.array([[[1, 2]]], np.uint8), at())
    with rasterio.open(tmp_path / "mask.tif", "r+") as dataset:
        dataset.scales = (2.0,)
    with pytest.raises(
        PipelineError, match=r"mask.tif declares scale 2 and offset 0, but codes such as class ids must"
    ):
        read(tmp_path / "mask.tif")


def test_nan_alone_may_be_no_data() -> None:
    values_HW = np.array([[1.0, np.nan]])
    with pytest.raises(PipelineError, match="NaN means no label, declare it as no-data: gdal_edit.py -a_nodata nan m"):
        to_mask(values_HW, TWO_CLASSES, Path("m.tif"))
    with pytest.raises(PipelineError, match="was it resampled with interpolation"):
        to_mask(np.array([[1.5, np.nan]]), TWO_CLASSES, Path("m.tif"))
