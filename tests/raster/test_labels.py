from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.classes import IGNORE, ClassTable
from pipeline.datasets import CLASSES
from pipeline.errors import PipelineError
from pipeline.raster.geotiff import Georeference, open_geotiff, write_geotiff
from pipeline.raster.labels import refuse_strays, require_same_grid, to_mask
from tests.world import TWO_CLASSES, UTM, WRITTEN_OUT, at, gradient

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


def test_strays_are_counted_over_all_windows_and_the_lowest_few_are_named(tmp_path: Path) -> None:
    labels_HW = np.array([[1, 20, 2, 19, 18, 17], [20, 16, 15, 15, 14, 2]], np.uint16)
    write_geotiff(tmp_path / "mask.tif", labels_HW[None])
    columns = [Window(column, 0, 2, 2) for column in (0, 2, 4)]
    with open_geotiff(tmp_path / "mask.tif") as mask:
        refuse_strays(mask, TWO_CLASSES, [Window(0, 0, 1, 1), Window(5, 1, 1, 1)])
        with pytest.raises(PipelineError, match="table: 14 in 1 px, 15 in 2 px, 16 in 1 px, 17 in 1 px, 18 in 1 px; "):
            refuse_strays(mask, TWO_CLASSES, columns)


def test_fractions_are_counted_over_all_windows(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "mask.tif", np.array([[[1, 9, 1.5, 2, np.nan, 2.5]]], np.float32))
    with (
        open_geotiff(tmp_path / "mask.tif") as mask,
        pytest.raises(PipelineError, match="mask.tif holds 1.5 among its labels, in 3 pixels NaN or a fraction; a"),
    ):
        refuse_strays(mask, TWO_CLASSES, [Window(column, 0, 2, 1) for column in (0, 2, 4)])


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


def compare(folder: Path, image: Georeference | None, mask: Georeference | None, size: tuple[int, int]) -> None:
    write_geotiff(folder / "image.tif", gradient(40, 60), image)
    write_geotiff(folder / "mask.tif", gradient(*size)[:1], mask)
    with open_geotiff(folder / "image.tif") as one, open_geotiff(folder / "mask.tif") as other:
        require_same_grid(one, other)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        (at(), at()),
        (at(), at(x=500000.9)),
        (at(), None),
        (None, at()),
        (None, None),
        (at(), at(crs=None)),
        (at(crs=WRITTEN_OUT), at(crs=WRITTEN_OUT)),
    ],
)
def test_a_mask_lies_on_its_image_to_a_tenth_of_a_pixel_or_says_nothing(
    tmp_path: Path, image: Georeference | None, mask: Georeference | None
) -> None:
    compare(tmp_path, image, mask, (40, 60))


STRETCHED = Georeference(UTM, Affine(10.03, 0.0, 500000.0, 0.0, -10.0, 1000000.0))
TURNED = Georeference(UTM, Affine(10.0, 0.05, 500000.0, 0.05, -10.0, 1000000.0))


@pytest.mark.parametrize(
    ("image", "mask", "apart"),
    [
        (at(), at(x=500001.1), "0.11"),
        (at(), at(y=999990.0), "1.00"),
        (at(), STRETCHED, "0.18"),
        (at(), TURNED, "0.30"),
        (at(crs=None), at(x=500020.0, crs=None), "2.00"),
        (at(), at(x=500020.0, crs=None), "2.00"),
    ],
)
def test_a_mask_that_lies_elsewhere_is_refused(
    tmp_path: Path, image: Georeference, mask: Georeference, apart: str
) -> None:
    with pytest.raises(PipelineError, match=rf"image.tif and .*mask.tif lie {apart} px apart; at most 0.1 px is allow"):
        compare(tmp_path, image, mask, (40, 60))


def test_a_mask_of_another_crs_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"mask.tif differ in CRS: EPSG:32630 and EPSG:32631; reproject one"):
        compare(tmp_path, at(), at(crs="EPSG:32631"), (40, 60))


def test_a_mask_of_another_size_is_refused(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"mask.tif differ in size: \(60, 40\) and \(60, 41\) px; a mask covers"):
        compare(tmp_path, at(), at(), (41, 60))
