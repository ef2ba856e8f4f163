"""Which pixels of a scene a polygon, a box or a mask leaves to be mapped."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.features import rasterize
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from pipeline.scenes import area
from pipeline.scenes.area import Area, AreaOptions, open_area
from pipeline.shapes.placement import clip
from pipeline.shapes.polygons import polygon_parts
from tests.scenes.array_scene import SCENE, ArrayScene, blank, degrees, in_metres
from tests.shapes.test_polygons import save
from tests.world import CRS_NO_CODE, LOCAL_CRS, UTM, at, hide

NOTHING = Georeference(None, Affine.identity())


def read(scene: ArrayScene, window: Window | None = None, **options: Any) -> np.ndarray:
    with open_area(scene, AreaOptions(**options)) as found:
        return found.read(window or Window(0, 0, scene.width, scene.height))


def describe(scene: ArrayScene, **options: Any) -> Area:
    with open_area(scene, AreaOptions(**options)) as found:
        return found


def to_degrees(polygon: shapely.Polygon, crs: str = UTM) -> tuple[float, ...]:
    return tuple(Transformer.from_crs(crs, "EPSG:4326", always_xy=True).transform_bounds(*polygon.bounds))


def test_by_default_the_whole_scene_is_mapped() -> None:
    found = describe(blank(3, 5, NOTHING))
    assert (found.bounds, found.notes) == (Window(0, 0, 5, 3), [])
    assert found.read(Window(1, 1, 4, 2)).tolist() == [[True] * 4] * 2


def test_a_pixel_is_mapped_if_its_centre_is_in_a_polygon(tmp_path: Path) -> None:
    aoi = save(tmp_path / "aoi.gpkg", in_metres(1.6, 1.4, 3.6, 2.6), crs=UTM)
    found = describe(SCENE, aoi=aoi)
    assert found.bounds == Window(1, 1, 3, 2)
    assert found.read(Window(0, 0, 5, 4)).astype(int).tolist() == [
        [0, 0, 0, 0, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 1, 1, 0],
        [0, 0, 0, 0, 0],
    ]


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (Affine(10.0, 0.0, 500000.0, 0.0, 10.0, 999600.0), Window(10, 35, 20, 5)),  # south-up
        (Affine(0.0, 10.0, 500000.0, 10.0, 0.0, 999600.0), Window(35, 10, 5, 20)),  # rows to the east
    ],
)
def test_scenes_that_are_not_north_up(tmp_path: Path, transform: Affine, expected: Window) -> None:
    scene = blank(60, 60, Georeference(UTM, transform))
    aoi = save(tmp_path / "aoi.gpkg", in_metres(10, 0, 30, 5), crs=UTM)
    assert describe(scene, aoi=aoi).bounds == expected
    assert read(scene, aoi=aoi).sum() == 100


def test_the_bounds_are_of_the_part_within_the_scene(tmp_path: Path) -> None:
    corner = shapely.union(in_metres(-50, 10, -20, 35), in_metres(-30, 30, 5, 35))  # an L: its upper part is outside
    assert describe(SCENE, aoi=save(tmp_path / "aoi.gpkg", corner, crs=UTM)).bounds == Window(0, 30, 5, 5)


def test_the_whole_world_is_the_whole_scene(tmp_path: Path) -> None:
    found = describe(SCENE, aoi=save(tmp_path / "aoi.geojson", shapely.box(-180, -90, 180, 90)))
    assert found.bounds == Window(0, 0, 60, 40)
    assert found.read(found.bounds).all()


@given(st.data())
@settings(max_examples=50)
def test_a_window_has_the_pixels_of_the_whole(data: st.DataObject) -> None:
    coordinate = st.floats(-10, 70).map(lambda value: round(value, 3))
    triangles = data.draw(st.lists(st.lists(st.tuples(coordinate, coordinate), min_size=3, max_size=6), max_size=3))
    hole = shapely.box(20, 10, 30, 25)
    polygons = np.array([shapely.box(5, 5, 41, 38) - hole, *map(shapely.Polygon, triangles)])
    polygons_P = polygon_parts(shapely.make_valid(polygons))
    within_P = clip(polygons_P, 40, 60)
    column, row = data.draw(st.integers(0, 59)), data.draw(st.integers(0, 39))
    size = st.tuples(st.integers(1, 60 - column), st.integers(1, 40 - row))
    window = Window(column, row, *data.draw(size))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(area, "BLOCK", data.draw(st.sampled_from([8, 16, 512])))
        found = Area(Window(0, 0, 60, 40), [], [], shapely.STRtree(within_P), None)
        whole_HW = found.read(found.bounds)
        assert np.array_equal(found.read(window), whole_HW[window.toslices()])
    centres = shapely.points(*(np.indices((40, 60))[::-1] + 0.5))
    union = shapely.unary_union(polygons_P)
    far_HW = shapely.distance(union.boundary, centres) > 1e-5
    assert np.array_equal(whole_HW[far_HW], shapely.contains(union, centres)[far_HW])


@pytest.mark.parametrize(
    ("crs", "lon", "lat"), [(UTM, -3, 9), (CRS_NO_CODE, 18, 52), ("EPSG:3857", 25, 60), ("EPSG:2272", -77, 40)]
)
def test_a_box_in_degrees_maps_the_whole_window_around_it(crs: str, lon: float, lat: float) -> None:
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(lon, lat)
    scene = blank(40, 60, at(x=x, y=y, pixel=10.0, crs=crs))
    inner = shapely.box(x + 105, y - 205, x + 295, y - 105)
    bounds = describe(scene, bbox=to_degrees(inner, crs)).bounds
    assert Window(10, 10, 20, 11).intersection(bounds) == Window(10, 10, 20, 11)
    assert max(bounds.width - 20, bounds.height - 11) <= 6  # the box is rotated against the grid
    wanted_HW = read(scene, bbox=to_degrees(inner, crs))
    assert wanted_HW.sum() == bounds.width * bounds.height


def test_a_box_on_pixel_edges_is_exactly_these_pixels() -> None:
    scene = blank(100, 100, degrees(10.0, 61.0, 0.01))
    assert describe(scene, bbox=(10.1, 60.5, 10.3, 60.9)).bounds == Window(10, 10, 20, 40)


def test_box_and_polygons_are_intersected(tmp_path: Path) -> None:
    scene = blank(100, 100, degrees(10.0, 61.0, 0.01))
    aoi = save(tmp_path / "aoi.geojson", shapely.box(10.2, 60.5, 10.4, 61), shapely.box(10.9, 60, 11, 60.1))
    found = describe(scene, aoi=aoi, bbox=(10.1, 60, 10.3, 60.9))
    assert found.bounds == Window(20, 10, 10, 90)
    assert found.read(Window(0, 0, 100, 100)).sum() == 10 * 40
    with pytest.raises(PipelineError, match="--bbox and .*aoi.geojson do not overlap in scene.tif"):
        describe(scene, aoi=aoi, bbox=(10.05, 60.5, 10.1, 60.6))
    with pytest.raises(PipelineError, match=r"contains no pixel centre of scene.tif within --bbox; enlarge"):
        describe(scene, aoi=aoi, bbox=(10.5, 60.5, 10.6, 60.6))  # between its polygons


@pytest.mark.parametrize("crs", ["EPSG:32601", "EPSG:32660"])
def test_a_scene_across_the_antimeridian_meets_boxes_on_either_side(crs: str) -> None:
    x, y = Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(180, 10)
    scene = blank(200, 200, at(x=x - 1000, y=y + 1000, crs=crs))
    west, east = (describe(scene, bbox=box).bounds for box in ((179, 9, 180, 11), (-180, 9, -179, 11)))
    assert (west.col_off, east.col_off + east.width) == (0, 200)
    assert 0 <= west.width - east.col_off <= 3


@pytest.mark.parametrize(
    ("bbox", "message"),
    [
        ((170, -20, -170, -10), "--bbox 170 -20 -170 -10 crosses the antimeridian or has west and east swapped"),
        ((1, 3, 2, 2), "--bbox 1 3 2 2 is not W S E N in degrees"),
        ((500000, 999600, 500600, 1000000), "is not W S E N in degrees"),
        ((float("nan"), 1, 2, 3), "is not W S E N in degrees"),
        ((20, 50, 21, 51), r"covers 20 50 21 51 and scene.tif -3 9.0\d+ -2.99\d+ 9.0\d+ \(W S E N in EPSG:4326\)"),
    ],
)
def test_impossible_boxes_are_refused(bbox: tuple[float, float, float, float], message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        describe(SCENE, bbox=bbox)


@pytest.mark.parametrize(
    ("georeference", "message"),
    [
        (NOTHING, "scene.tif has no georeference"),
        (at(crs=LOCAL_CRS), "cannot be placed in scene.tif: .*; check both CRSs, EPSG:4326 and site grid"),
        (at(x=1e12), "--bbox 0 0 1 1 cannot be placed in scene.tif: .*; check both CRSs, EPSG:4326 and EPSG:32630"),
    ],
)
def test_a_scene_without_a_position_is_refused(georeference: Georeference, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        describe(blank(4, 4, georeference), bbox=(0, 0, 1, 1))


def test_a_polygon_between_the_centres_of_pixels_is_refused(tmp_path: Path) -> None:
    aoi = save(tmp_path / "aoi.gpkg", in_metres(1.6, 1.6, 2.4, 2.4), crs=UTM)
    with pytest.raises(PipelineError, match="aoi.gpkg contains no pixel centre of scene.tif; enlarge the area$"):
        describe(SCENE, aoi=aoi)


def test_notes_of_the_file_are_passed_on(tmp_path: Path) -> None:
    bowtie = shapely.Polygon([(500000, 999900), (500100, 999800), (500100, 999900), (500000, 999800)])
    found = describe(SCENE, aoi=save(tmp_path / "aoi.gpkg", bowtie, crs=UTM))
    assert len(found.notes) == 1
    assert "1 of 1 polygons were invalid" in found.notes[0]


def write_mask(path: Path, mask_HW: np.ndarray, georeference: Georeference | None = None, **profile: Any) -> Path:
    write_geotiff(path, mask_HW[None], georeference or at(), **profile)
    return path


def test_masked_pixels_are_not_mapped(tmp_path: Path) -> None:
    mask_HW = np.zeros((40, 60), np.uint8)
    mask_HW[0, :3] = 1, 200, 255
    mask = write_mask(tmp_path / "mask.tif", mask_HW, nodata=255)
    assert read(SCENE, Window(0, 0, 4, 1), mask=mask).tolist() == [[False, False, True, True]]
    hide(mask, np.where(np.arange(60) == 1, 0, 255)[None].repeat(40, axis=0).astype(np.uint8))
    assert read(SCENE, Window(0, 0, 3, 1), mask=mask).tolist()[0][1]  # the mask has no data there
    aoi = save(tmp_path / "aoi.gpkg", in_metres(0, 0, 2, 2), crs=UTM)
    assert read(SCENE, Window(0, 0, 4, 1), mask=mask, aoi=aoi).tolist() == [[False, True, False, False]]


def test_a_mask_in_another_crs_is_refused(tmp_path: Path) -> None:
    """The scene is no file, so that its WKT is part of the command."""
    mask = write_mask(tmp_path / "mask.tif", np.zeros((40, 60), np.uint8))
    message = "scene.tif and .*mask.tif differ in CRS: .* -s_srs EPSG:32630 -t_srs 'PROJCS"
    with pytest.raises(PipelineError, match=message):
        describe(blank(40, 60, at(crs=CRS_NO_CODE)), mask=mask)


def test_the_identity_changes_with_the_area_only(tmp_path: Path) -> None:
    box = to_degrees(in_metres(1, 1, 30, 30))
    aoi = save(tmp_path / "aoi.gpkg", in_metres(1, 1, 5, 5), crs=UTM)
    copy = save(tmp_path / "copy.fgb", in_metres(1, 1, 5, 5), crs=UTM)
    moved = save(tmp_path / "moved.gpkg", in_metres(1, 1, 4.9, 5), crs=UTM)
    mask = write_mask(tmp_path / "mask.tif", np.zeros((40, 60), np.uint8))
    other = write_mask(tmp_path / "other.tif", np.ones((40, 60), np.uint8))
    declared = write_mask(tmp_path / "declared.tif", np.ones((40, 60), np.uint8), nodata=1)
    options: list[dict[str, Any]] = [{}, {"aoi": aoi}, {"aoi": moved}, {"bbox": box}, {"aoi": aoi, "mask": mask}]
    options += [{"mask": mask}, {"mask": other}, {"mask": declared}]
    texts = [json.dumps(describe(SCENE, **each).identity) for each in options]
    assert len(set(texts)) == len(options)
    assert texts == [json.dumps(describe(SCENE, **each).identity) for each in options]
    assert describe(SCENE, aoi=copy).identity == describe(SCENE, aoi=aoi).identity


def test_a_polygon_around_a_block_is_cut_where_shapely_clip_by_rect_fills_the_block() -> None:
    star = shapely.from_wkt(
        "POLYGON ((400 400, 600 600, 700 500, 600 400, 800 400, 600 200, 800 200, 600 100, 700 0, 900 -100, 800 -300, "
        "400 0, 600 -200, 300 -200, 300 -500, 100 -200, 0 -200, -200 -500, -100 -100, -100 0, -300 -100, -500 -100, "
        "-600 0, -600 200, -100 200, -400 300, -300 300, -300 400, -400 500, -100 400, -400 800, -200 800, 100 500, "
        "100 600, 100 800, 100 1100, 200 600, 300 700, 300 600, 500 1000, 400 500, 600 700, 400 400))"
    )
    block_HW = area._rasterise_block(shapely.STRtree([star]), Window(0, 0, 512, 512))
    whole_HW = rasterize([star], (512, 512)) > 0
    assert np.count_nonzero(block_HW != whole_HW) < 100  # centres on edges
