"""Names, colours and confidence are those of the map; a confidence of another map or model is refused."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import write_classes
from pipeline.polygons.class_map import class_table, confidence_beside, open_class_map
from pipeline.raster.geotiff import write_geotiff
from tests.polygons.world import TABLE, write_map
from tests.raster.world import refuse
from tests.world import at

CLASSES = np.array([[0, 3, 7], [255, 3, 0]], np.uint8)
CONFIDENCE = np.array([[50, 60, 70], [255, 80, 90]], np.uint8)
WHOLE = Window(0, 0, 3, 2)


def test_names_colours_and_pixels_are_read_from_the_map(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", CLASSES)
    assert confidence_beside(path) is None
    with open_class_map(path) as source:
        assert source.read_confidence(WHOLE, CLASSES != 255) is None
    path = write_map(tmp_path / "map.tif", CLASSES, CONFIDENCE)
    assert class_table(path) == TABLE
    with open_class_map(path, confidence_beside(path)) as source:
        assert source.table == TABLE
        assert np.array_equal(source.read(WHOLE), CLASSES)
        assert np.array_equal(source.read(Window(1, 0, 2, 1)), [[3, 7]])
        assert np.array_equal(source.read_confidence(WHOLE, CLASSES != 255), CONFIDENCE)


def test_a_map_without_names_needs_a_class_table(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "plain.tif", CLASSES[None])  # without no-data
    refuse(r"plain\.tif has no class names and colours, .*--classes FILE$", open_class_map, tmp_path / "plain.tif")
    write_classes(tmp_path / "classes.json", TABLE)
    with open_class_map(tmp_path / "plain.tif", classes=tmp_path / "classes.json") as source:
        assert np.array_equal(source.read(WHOLE), CLASSES)


def test_values_that_are_no_class_are_named(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", np.array([[0, 5]], np.uint8))
    message = r"map\.tif .*: 5 in 1 px; .*; give a table with all of them, .*: --classes FILE$"
    with open_class_map(path) as source, pytest.raises(PipelineError, match=message):
        source.read(Window(0, 0, 2, 1))


def test_the_confidence_of_another_map_is_refused(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", CLASSES, CONFIDENCE)
    confidence = confidence_beside(path)
    with rasterio.open(confidence, "r+") as dataset:
        dataset.update_tags(MODEL_SHA256="other")
    refuse("is of another model than .*: --no-confidence$", open_class_map, path, confidence)
    write_map(tmp_path / "wide.tif", np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8))
    refuse("differ in size", open_class_map, path, tmp_path / "wide.confidence.tif")


@pytest.mark.parametrize(
    ("tags", "pattern"),
    [
        ({"CLASS_255": "x"}, "255"),
        ({"CLASS_300": "x"}, "300"),
        ({"CLASS_3": "background"}, "duplicate name 'background'"),
        ({"CLASS_3": "a\nb"}, "one line"),
    ],
)
def test_names_that_are_no_classes_are_refused(tmp_path: Path, tags: dict[str, str], pattern: str) -> None:
    path = write_map(tmp_path / "map.tif", CLASSES)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, **tags)
    with pytest.raises(PipelineError, match=rf"map\.tif.*{pattern}.*--classes FILE$"):
        class_table(path)


def test_tags_of_other_programs_are_no_classes(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", CLASSES)
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(1, CLASS_="x", CLASS_COUNT="3", CLASS_00="x", CLASS_1_0="x", **{"CLASS_-1": "x"})
    assert class_table(path) == TABLE


def test_a_map_has_one_band(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "rgb.tif", np.stack([CLASSES] * 3), nodata=255)
    refuse(r"rgb\.tif has 3 bands", open_class_map, tmp_path / "rgb.tif")


def test_a_confidence_that_is_none_is_refused(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", CLASSES, np.where(CLASSES == 3, 255, CONFIDENCE).astype(np.uint8))
    confidence = confidence_beside(path)
    assert confidence is not None
    with (
        open_class_map(path, confidence) as source,
        pytest.raises(PipelineError, match=r"map\.confidence\.tif has no confidence .* in 2 px .* --no-confidence$"),
    ):
        source.read_confidence(WHOLE, CLASSES != 255)
    write_geotiff(confidence, (CONFIDENCE[None] / 100).astype(np.float32), at())
    refuse(r"float32 .* --no-confidence$", open_class_map, path, confidence)
