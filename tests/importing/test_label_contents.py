"""What `pipeline.classes` counts in labels: pixels of values and colours, areas of attributes, never what is hidden."""

from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import shapely
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.importing.importer import default_rules
from pipeline.importing.label_contents import find_contents, read_mask, read_polygons
from pipeline.importing.survey import survey
from tests.importing.world import MASK_HW, write_picture, write_tif, write_vector
from tests.world import at, hide, write_geotiff

SQUARES = [shapely.box(0, 0, side, side) for side in (1, 2, 3)]


def test_colours_are_counted_without_what_is_transparent(tmp_path: Path) -> None:
    rgba_HWC = np.zeros((4, 8, 4), np.uint8)
    rgba_HWC[:, :2] = (255, 0, 0, 255)
    rgba_HWC[:, 2:3] = (0, 0, 255, 255)
    path = tmp_path / "a.png"
    Image.fromarray(rgba_HWC).save(path)
    assert read_mask(path, default_rules()).colours == Counter({(255, 0, 0): 8, (0, 0, 255): 4})


def test_fractions_are_refused(tmp_path: Path) -> None:
    path = write_tif(tmp_path / "a.tif", np.full((64, 64), 0.5, np.float32))
    with pytest.raises(PipelineError, match=r"a.tif contains 0.5, but labels are whole numbers"):
        read_mask(path, default_rules())


def test_areas_are_summed_by_value(tmp_path: Path) -> None:
    path = write_vector(tmp_path / "a.gpkg", *SQUARES, kind=["a", "b", "a"])
    assert read_polygons(path).attributes["kind"] == Counter({"a": 10.0, "b": 4.0})


def test_all_labels_of_a_folder_count(tmp_path: Path) -> None:
    for scene, value in (("a", 1), ("b", 2)):
        write_tif(tmp_path / f"images/{scene}.tif")
        write_picture(tmp_path / f"masks/{scene}.png", value * MASK_HW)
    files = [path.relative_to(tmp_path) for path in sorted(tmp_path.rglob("*.*"))]
    contents = find_contents(tmp_path, survey(tmp_path, files), default_rules())
    assert contents.values == Counter({0: 2 * (64 * 64 - 512), 1: 512, 2: 512})


def test_hidden_pixels_and_no_data_are_no_classes(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", MASK_HW[None], at(), nodata=0)
    hide(tmp_path / "a.tif", np.where(np.arange(64) < 20, 0, 255).astype(np.uint8) + np.zeros((64, 64), np.uint8))
    contents = read_mask(tmp_path / "a.tif", default_rules())
    assert contents.values == Counter({1: 16 * 20})
    assert contents.nodata == Counter({"0": 64 * 44 - 16 * 20})


def test_masks_that_are_not_imported_get_no_suggestion(tmp_path: Path) -> None:
    path = write_picture(tmp_path / "a.jpg", MASK_HW * 255)
    with pytest.raises(PipelineError, match="a.jpg is JPEG-compressed, which invents values along the edges"):
        read_mask(path, default_rules())


def test_one_layer_is_read(tmp_path: Path) -> None:
    path = write_vector(tmp_path / "a.gpkg", SQUARES[0], layer="trees", kind=["wood"])
    write_vector(path, SQUARES[1], layer="roads", append=True, kind=["road"])
    assert read_polygons(path).layers == ("trees", "roads")
    roads = read_polygons(path, "roads")
    assert (roads.layers, roads.attributes) == (("roads", "trees"), {"kind": Counter({"road": 4.0})})
