"""Borders run along pixels and are those of GDAL, with all vertices shared by neighbours."""

import numpy as np
import shapely
from hypothesis import given
from hypothesis import strategies as st
from rasterio.features import shapes

from pipeline.polygons.rings import trace
from tests.polygons.label_maps import class_maps, label


def test_a_vertex_lies_at_every_pixel_corner_in_pixels_of_the_map() -> None:
    pieces = trace(np.array([[0, 7, 7]], np.int32), row=10, column=20)
    assert pieces.label_N.tolist() == [7]
    assert pieces.label_N.dtype == np.int32
    assert shapely.get_coordinates(pieces.polygon_N).tolist() == [
        [21, 10],
        [22, 10],
        [23, 10],
        [23, 11],
        [22, 11],
        [21, 11],
        [21, 10],
    ]


def test_a_hole_that_touches_its_shell_at_a_corner_is_a_hole() -> None:
    label_HW = np.array(
        [
            [1, 1, 1],
            [1, 2, 1],
            [1, 1, 3],
        ],
        np.int32,
    )
    polygon = trace(label_HW, 0, 0).polygon_N[0]
    assert polygon.is_valid
    assert [len(ring.coords) for ring in (polygon.exterior, *polygon.interiors)] == [13, 5]
    assert (2, 2) in polygon.exterior.coords
    assert (2, 2) in polygon.interiors[0].coords


@given(class_maps, st.integers(0, 10**6), st.integers(0, 10**6))
def test_polygons_are_those_of_gdal_with_vertices_at_every_corner(class_HW: np.ndarray, row: int, column: int) -> None:
    label_HW = label(class_HW)
    found = sorted(shapes(label_HW, mask=label_HW > 0, connectivity=4), key=lambda pair: pair[1])
    gdal_N = np.array([shapely.geometry.shape(outline) for outline, _ in found], object)
    gdal_N = shapely.transform(shapely.segmentize(gdal_N, 1.0), lambda xy: np.rint(xy) + [column, row])
    pieces = trace(label_HW, row, column)
    assert pieces.label_N.tolist() == [value for _, value in found]
    assert shapely.is_valid(pieces.polygon_N).all()
    assert shapely.equals_exact(shapely.normalize(pieces.polygon_N), shapely.normalize(gdal_N)).all()
