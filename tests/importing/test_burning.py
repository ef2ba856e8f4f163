"""Overlaps of polygons are counted, but for borders digitised twice; left out vertices change nothing."""

from collections import Counter
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.features import rasterize
from rasterio.windows import Window

from pipeline.formats.classes import IGNORE
from pipeline.importing import burning
from pipeline.importing.burning import Layers, Overlaps
from pipeline.importing.rules import LabelRules
from pipeline.shapes.placement import Placed

CLASSES = ["other", "building", "field", "water"]


def placed(*polygons: shapely.Polygon) -> Placed:
    return Placed(np.array(polygons), np.arange(len(polygons)), False, "")


def burn(
    polygons: list[tuple[int, Any]], height: int = 4, width: int = 8, rows: int | None = None, **options: Any
) -> tuple[np.ndarray, Overlaps]:
    """Class ids, `IGNORE` where no polygon is, and overlaps; in blocks of `rows`."""
    rules = LabelRules.model_validate({"classes": CLASSES, "polygons": options})
    layers = Layers.of(placed(*(p for _, p in polygons)), np.array([n for n, _ in polygons], np.uint8), rules)
    overlaps, rows = Overlaps(), rows or height
    blocks = [Window(0, top, width, min(rows, height - top)) for top in range(0, height, rows)]
    parts = [layers.burn(block, overlaps, np.ones((block.height, block.width), bool)) for block in blocks]
    return layers.ids[np.concatenate(parts)], overlaps


def test_overlaps_are_counted_by_pair_of_classes_over_all_blocks() -> None:
    polygons = [(1, shapely.box(0, 0, 4, 4)), (2, shapely.box(3, 1, 6, 4)), (3, shapely.box(5, 3, 8, 4))]
    for rows in (1, 2, 4):
        _, overlaps = burn(polygons, rows=rows)
        assert overlaps.pixels == Counter({(2, 1): 3, (3, 2): 1})
        assert overlaps.first == {(2, 1): (1, 3), (3, 2): (3, 5)}
        assert overlaps.slivers == 0


@pytest.mark.parametrize("angle", [0, 90, 45, 30])
@pytest.mark.parametrize(("width", "is_overlap"), [(0.06, False), (0.3, True)])
def test_borders_digitised_twice_are_no_overlap_in_any_direction(angle: float, width: float, is_overlap: bool) -> None:
    """Two halves of a plane overlap by `width` px along a line through the middle of an image of 101 x 101 px."""
    halves = shapely.box(-100, -100, width / 2, 100), shapely.box(-width / 2, -100, 100, 100)
    first, second = (shapely.affinity.rotate(half, angle, origin=(0, 0)) for half in halves)
    moved = [(k + 1, shapely.affinity.translate(p, 50.5, 50.5)) for k, p in enumerate((first, second))]
    _, overlaps = burn(moved, 101, 101)
    assert bool(overlaps.pixels) == is_overlap
    assert overlaps.slivers > 0 or is_overlap


@given(st.data())
@settings(max_examples=40)
def test_vertices_left_out_change_nothing(data: st.DataObject) -> None:
    number = st.integers(-8, 48).map(lambda k: k / 2)
    points = data.draw(st.lists(st.tuples(number, number), min_size=3, max_size=12, unique=True))
    repaired = shapely.make_valid(shapely.Polygon(points)) - shapely.box(8, 8, 12, 12)
    polygons = [part for part in shapely.get_parts(repaired) if part.geom_type == "Polygon" and part.area]
    touched = data.draw(st.booleans())
    rows = 20 if touched else data.draw(st.integers(1, 20))  # at a corner of pixels, GDAL's lines depend on the block
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(burning, "MAX_VERTICES", 0)
        ids_HW, _ = burn([(1, p) for p in polygons], 20, 20, rows=rows, all_touched=touched)
    expected_HW = np.full((20, 20), IGNORE, np.uint8)
    if polygons:
        rasterize([(p, 1) for p in polygons], out=expected_HW, all_touched=touched)
    assert np.array_equal(ids_HW, expected_HW)
