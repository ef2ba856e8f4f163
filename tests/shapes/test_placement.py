"""Polygons lie on the pixels of an image as GDAL places them, from any CRS; far ones are left out."""

from typing import Any

import numpy as np
import pytest
import shapely
from pyproj import Transformer
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.shapes.placement import clip, place, to_pixels
from pipeline.shapes.polygons import Polygons
from tests.scenes.array_scene import SCENE, ArrayScene, blank, in_metres
from tests.world import UTM, at


def polygons(*geometries: Any, crs: str | None = UTM) -> Polygons:
    return Polygons("labels.gpkg", np.array(geometries), crs, [])


def test_polygons_are_placed_with_the_index_of_each_part() -> None:
    pair = shapely.MultiPolygon([in_metres(0, 0, 5, 5), in_metres(10, 0, 15, 5)])
    far = in_metres(1000, 0, 1001, 1)
    placed = place(polygons(far, pair, in_metres(50, 30, 70, 50)), SCENE)
    assert placed.index_P.tolist() == [1, 1, 2]
    assert [polygon.bounds for polygon in placed.pixels_P] == [(0, 0, 5, 5), (10, 0, 15, 5), (50, 30, 70, 50)]
    assert placed.apart == (
        "labels.gpkg covers 500000 999500 510010 1e+06 and scene.tif 500000 999600 500600 1e+06 (W S E N in EPSG:32630)"
    )


def test_in_its_own_crs_no_coordinate_is_rounded() -> None:
    scene = ArrayScene(np.zeros((8, 8, 3), np.uint8), Georeference("EPSG:2180", Affine(0.25, 0, 5e5, 0, -0.25, 3e5)))
    triangle = shapely.Polygon([(500000 + 2**-25, 300000), (500001, 300000), (500001, 299999)])
    (placed,) = place(polygons(triangle, crs="EPSG:2180"), scene).pixels_P
    assert list(placed.exterior.coords)[0] == (2**-23, 0)


def test_the_order_of_axes_makes_no_other_crs() -> None:
    scene = blank(10, 10, Georeference("EPSG:4326", Affine(0.1, 0, 18, 0, -0.1, 52)))
    (placed,) = place(polygons(shapely.box(18.25, 51.5, 18.5, 51.75), crs="OGC:CRS84"), scene).pixels_P
    assert placed.bounds == pytest.approx((2.5, 2.5, 5, 5), abs=1e-9)
    assert shapely.get_num_coordinates(placed) == 5


def test_from_another_crs_edges_are_reprojected_at_many_points() -> None:
    to_degrees = Transformer.from_crs(UTM, "EPSG:4326", always_xy=True)
    square = shapely.transform(in_metres(10, 10, 20, 20), to_degrees.transform, interleaved=False)
    (placed,) = place(polygons(square, crs="EPSG:4326"), SCENE).pixels_P
    assert shapely.get_num_coordinates(placed) > 100
    assert placed.bounds == pytest.approx((10, 10, 20, 20), abs=1e-5)  # a line in degrees is an arc in metres


def test_without_a_crs_on_both_sides_coordinates_are_those_of_the_transform() -> None:
    scene = blank(40, 60, Georeference(None, at().transform))
    (placed,) = to_pixels(polygons(in_metres(1, 2, 3, 4), crs=None), scene)
    assert placed.bounds == (1, 2, 3, 4)


@pytest.mark.parametrize(
    ("crs", "place_of_scene", "message"),
    [
        (None, at(), "labels.gpkg has no CRS, but scene.tif has EPSG:32630; if its .* -a_srs EPSG:NNNN with_crs.gpkg"),
        (UTM, Georeference(None, at().transform), "scene.tif has no CRS, so that labels.gpkg cannot be placed in it"),
        (UTM, Georeference(UTM, Affine.identity()), "scene.tif has no georeference, so that labels.gpkg"),
        (None, Georeference(None, Affine.identity()), "scene.tif has no georeference"),
    ],
)
def test_both_need_a_position(crs: str | None, place_of_scene: Georeference, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        place(polygons(in_metres(1, 2, 3, 4), crs=crs), blank(40, 60, place_of_scene))


def test_polygons_elsewhere_are_refused_by_to_pixels_only() -> None:
    far = polygons(in_metres(1000, 0, 1001, 1))
    assert not len(place(far, SCENE).pixels_P)
    with pytest.raises(PipelineError, match=r"\(W S E N in EPSG:32630\): they do not overlap"):
        to_pixels(far, SCENE)


def test_clipped_polygons_lie_within_the_scene() -> None:
    (inside,) = clip(np.array([shapely.box(-5, 30, 5, 500)]), 40, 60)
    assert inside.bounds == (0, 30, 5, 40)
