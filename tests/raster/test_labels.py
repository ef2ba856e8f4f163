from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from pipeline.classes import IGNORE, ClassTable
from pipeline.datasets import CLASSES
from pipeline.errors import PipelineError
from pipeline.raster.labels import to_mask
from tests.world import TWO_CLASSES

FILE = Path("mask.tif")


def remapping(**remap: Any) -> ClassTable:
    values = {int(key.removeprefix("id_")): value for key, value in remap.items()}
    return ClassTable.model_validate({"classes": TWO_CLASSES.classes, "remap": values})


def masked(values: list[float], table: ClassTable, dtype: str = "uint8", nodata: float | None = None) -> list[int]:
    mask_HW = to_mask(np.array([values], dtype), table, FILE, nodata)
    assert mask_HW.dtype == np.uint8
    return [int(value) for value in mask_HW[0]]


def test_classes_stay_what_they_are() -> None:
    assert masked([1, 2, 2], TWO_CLASSES) == [1, 2, 2]


def test_the_background_of_landcoverai_is_a_class() -> None:
    assert masked([0, 4], CLASSES["landcoverai"]) == [0, 4]


def test_the_background_of_landcoverai_is_a_class_even_where_the_file_calls_it_no_data() -> None:
    assert masked([0, 4], CLASSES["landcoverai"], nodata=0) == [0, 4]


@pytest.mark.parametrize("dataset", ["landcovernet", "ghana"])
def test_unlabelled_is_ignored(dataset: Any) -> None:
    assert masked([0, 7], CLASSES[dataset]) == [IGNORE, 7]


def test_remap_merges_and_drops() -> None:
    assert masked([1, 2, 3, 4, 300], remapping(id_3=1, id_4="ignore", id_300=2), "uint16") == [1, 2, 1, IGNORE, 2]


def test_remap_can_swap() -> None:
    assert masked([1, 2], remapping(id_1=2, id_2=1)) == [2, 1]


def test_declared_no_data_is_ignored() -> None:
    assert masked([1, 9], TWO_CLASSES, nodata=9) == [1, IGNORE]


@pytest.mark.parametrize("nodata", [np.nan, -9999.0, -3.4028234663852886e38])
def test_declared_no_data_of_float_labels_is_ignored(nodata: float) -> None:
    assert masked([2, nodata], remapping(id_255=1), "float32", nodata) == [2, IGNORE]


def test_a_value_outside_the_table_is_refused_with_file_value_and_count() -> None:
    with pytest.raises(PipelineError) as error:
        masked([1, 7, 7, 9], TWO_CLASSES)
    assert str(error.value) == (
        "mask.tif holds label values outside the class table: 7 in 2 px, 9 in 1 px; classes are [1, 2]: "
        "add the value to classes.yaml in the source folder, or remap it there to a class or to ignore"
    )


def test_a_float_value_outside_the_table_is_written_as_a_whole_number() -> None:
    with pytest.raises(PipelineError, match=r"table: 100000 in 1 px;"):
        masked([1, 100000], TWO_CLASSES, "float64")


@pytest.mark.parametrize("bad", [np.nan, 1.5, np.inf])
def test_float_labels_must_be_whole_numbers(bad: float) -> None:
    with pytest.raises(PipelineError, match=rf"^mask.tif holds {bad} among its labels, in 2 pixels NaN or a fraction"):
        masked([1, bad, bad], TWO_CLASSES, "float64")


values = st.integers(0, 4)


@given(
    arrays(st.sampled_from([np.uint8, np.int16, np.float32, np.float64]), (3, 4), elements=values),
    st.dictionaries(st.integers(0, 4), st.sampled_from([1, 2, "ignore"])),
    st.none() | values,
)
def test_each_pixel_is_remapped_or_kept_or_ignored_or_refused(
    values_HW: np.ndarray, remap: dict[int, Any], nodata: int | None
) -> None:
    table = ClassTable.model_validate({"classes": TWO_CLASSES.classes, "remap": remap})

    def slowly(value: int) -> int | None:
        if value in remap:
            return IGNORE if remap[value] == "ignore" else int(remap[value])
        if value in (1, 2):
            return value
        return IGNORE if value == nodata else None

    expected = [slowly(int(value)) for value in values_HW.ravel()]
    if None in expected:
        with pytest.raises(PipelineError, match="outside the class table"):
            to_mask(values_HW, table, FILE, nodata)
    else:
        assert to_mask(values_HW, table, FILE, nodata).ravel().tolist() == expected
