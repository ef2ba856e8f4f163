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

CLASSES = np.array([[0, 3, 7], [255, 3, 0]], np.uint8)
CONFIDENCE = np.array([[50, 60, 70], [255, 80, 90]], np.uint8)
WHOLE = Window(0, 0, 3, 2)


def test_names_colours_and_pixels_are_read_from_the_map(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", CLASSES, CONFIDENCE)
    assert class_table(path) == TABLE
    with open_class_map(path, confidence_beside(path)) as source:
        assert source.table == TABLE
        assert np.array_equal(source.read(WHOLE), CLASSES)
        assert np.array_equal(source.read(Window(1, 0, 2, 1)), [[3, 7]])
        assert np.array_equal(source.read_confidence(WHOLE), CONFIDENCE)


def test_a_map_without_confidence(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", CLASSES)
    assert confidence_beside(path) is None
    with open_class_map(path) as source:
        assert source.read_confidence(WHOLE) is None


def test_a_map_without_names_needs_a_class_table(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "plain.tif", CLASSES[None], nodata=255)
    with (
        pytest.raises(PipelineError, match=r"plain\.tif has no class names and colours, .*--classes FILE$"),
        open_class_map(tmp_path / "plain.tif"),
    ):
        pass
    write_classes(tmp_path / "classes.json", TABLE)
    with open_class_map(tmp_path / "plain.tif", classes=tmp_path / "classes.json") as source:
        assert np.array_equal(source.read(WHOLE), CLASSES)


def test_values_that_are_no_class_are_named(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", np.array([[0, 5]], np.uint8))
    with open_class_map(path) as source, pytest.raises(PipelineError, match=r"map\.tif .*5"):
        source.read(Window(0, 0, 2, 1))


def test_the_confidence_of_another_map_is_refused(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", CLASSES, CONFIDENCE)
    confidence = confidence_beside(path)
    with rasterio.open(confidence, "r+") as dataset:
        dataset.update_tags(MODEL_SHA256="other")
    with (
        pytest.raises(PipelineError, match="is of another model than .*: --no-confidence$"),
        open_class_map(path, confidence),
    ):
        pass
    write_map(tmp_path / "wide.tif", np.zeros((2, 4), np.uint8), np.zeros((2, 4), np.uint8))
    with pytest.raises(PipelineError, match="differ in size"), open_class_map(path, tmp_path / "wide.confidence.tif"):
        pass
