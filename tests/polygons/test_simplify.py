"""Simplified polygons leave no gaps and no overlaps, in a block and between blocks."""

import numpy as np
import pytest
import shapely
from hypothesis import given
from hypothesis import strategies as st

from pipeline.polygons.rings import Pieces, trace
from pipeline.polygons.simplify import TOLERANCE_PX, simplify
from tests.polygons.label_maps import NODATA, class_maps, label, sizes

tolerances = st.sampled_from([0.5, TOLERANCE_PX, 2.0, 5.0, 100.0])


def staircase(tread: int) -> Pieces:
    """Trace two pieces that meet in a staircase with four steps of 1 px."""
    column = np.arange(4 * tread)
    return trace(np.where(np.arange(6)[:, None] > column // tread, 1, 2).astype(np.int32), 0, 0)


def shared_vertices(pieces: Pieces) -> int:
    """Return how many vertices the line between two pieces has."""
    return len(shapely.get_coordinates(shapely.line_merge(shapely.intersection(*pieces.polygon_N))))


@pytest.mark.parametrize(("tread", "tolerance_px"), [(2, 1.0), (8, 2.0)])
def test_the_tolerance_is_the_square_root_of_a_triangles_area(tread: int, tolerance_px: float) -> None:
    pieces = staircase(tread)
    assert tread / 2 == tolerance_px**2
    assert shared_vertices(simplify(pieces, tolerance_px - 0.01)) == 8
    assert shared_vertices(simplify(pieces, tolerance_px)) < 5


def test_tolerance_0_changes_nothing() -> None:
    pieces = staircase(3)
    assert simplify(pieces, 0) is pieces


def test_pieces_keep_their_labels_and_order_over_many_tiles() -> None:
    class_HW = (np.indices((40, 300)) // 10).sum(axis=0) % 2
    pieces = trace(label(class_HW), 0, 0)
    simple = simplify(pieces)
    assert simple.label_N.tolist() == pieces.label_N.tolist()
    assert shapely.equals(simple.polygon_N, pieces.polygon_N).all()


def test_a_pixel_on_its_own_becomes_a_triangle() -> None:
    label_HW = np.pad(np.array([[2]], np.int32), 3, constant_values=1)
    assert shapely.area(simplify(trace(label_HW, 0, 0), 10).polygon_N).tolist() == [48.5, 0.5]


def test_a_block_without_pieces_stays_empty() -> None:
    assert len(simplify(trace(np.zeros((2, 2), np.int32), 0, 0)).polygon_N) == 0


@given(class_maps, sizes, sizes, tolerances)
def test_blocks_stay_one_valid_coverage_of_the_same_area(
    class_HW: np.ndarray, row: int, column: int, tolerance_px: float
) -> None:
    blocks = [
        simplify(trace(label(class_HW[rows, columns]), rows.start, columns.start), tolerance_px).polygon_N
        for rows in (slice(0, row), slice(row, None))
        for columns in (slice(0, column), slice(column, None))
        if class_HW[rows, columns].size
    ]
    polygon_N = np.concatenate(blocks)
    assert (shapely.get_type_id(polygon_N) == shapely.GeometryType.POLYGON).all()
    assert shapely.is_valid(polygon_N).all()
    assert not shapely.is_empty(polygon_N).any()
    assert shapely.coverage_is_valid(polygon_N)
    assert shapely.union_all(polygon_N).area == shapely.area(polygon_N).sum() == np.count_nonzero(class_HW != NODATA)
