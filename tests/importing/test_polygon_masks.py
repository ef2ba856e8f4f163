"""Pixels of polygons are those of GDAL's rasterize, in any grid and CRS; overlaps are refused or ordered."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from pyproj import Transformer
from rasterio.features import rasterize, shapes
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE
from pipeline.importing import burning, polygon_masks
from pipeline.importing.polygon_classes import read_labelled
from pipeline.importing.polygon_masks import PolygonMask, write_polygon_mask
from pipeline.importing.rules import LabelRules
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.importing.world import write_vector
from tests.world import CRS_NO_CODE, UTM, at

CLASSES = ["other", "building", "field"]
C04 = Georeference("EPSG:2180", Affine(0.25, 0, 500000, 0, -0.25, 300000))
B, F, REST = "building", "field", "other"


def rules(**polygons: Any) -> LabelRules:
    return LabelRules.model_validate({"classes": CLASSES, "polygons": polygons})


def image(folder: Path, height: int = 6, width: int = 8, place: Georeference | None = None) -> Path:
    """By default pixels of 1 m with the top-left corner at 0, 6: a box in metres is upside down in pixels."""
    path = folder / "image.tif"
    place = place or at(0.0, float(height), 1.0)
    write_geotiff(path, np.ones((3, height, width), np.uint8), place)
    return path


def save(path: Path, polygons: list[tuple[Any, Any]], crs: str | None = UTM) -> Path:
    """A vector file with (class, geometry)."""
    return write_vector(path, *(shape for _, shape in polygons), crs=crs, kind=[name for name, _ in polygons])


def mask_of(path: Path) -> np.ndarray:
    with open_geotiff(path) as file:
        return file.read()[0]


def rasterised(
    folder: Path, polygons: list[tuple[Any, Any]], place: Georeference | None = None, **options: Any
) -> np.ndarray:
    """Mask_HW of 6 x 8 px of 1 m with the labels (class, geometry) in the image's CRS."""
    return written(folder, polygons, place, **options)[0]


def written(
    folder: Path,
    polygons: list[tuple[Any, Any]],
    place: Georeference | None = None,
    annotated: Path | None = None,
    size: tuple[int, int] = (6, 8),
    **options: Any,
) -> tuple[np.ndarray, PolygonMask]:
    grid = image(folder, *size, place)
    crs = (place or at()).crs
    labels = save(folder / "labels.fgb", polygons, crs)
    chosen = rules(**options)
    done = write_polygon_mask(read_labelled(labels, chosen, annotated), grid, folder / "masks/image.tif", chosen)
    return mask_of(folder / "masks/image.tif"), done


def box(left: float, top: float, right: float, bottom: float) -> shapely.Polygon:
    """A rectangle in pixels of the default image."""
    return shapely.box(left, 6 - bottom, right, 6 - top)


def rows(text: str) -> np.ndarray:
    """`.` is *ignore*."""
    return np.array([[IGNORE if c == "." else int(c) for c in line] for line in text.split()], np.uint8)


def test_a_building_of_ten_metres_is_forty_pixels_wide(tmp_path: Path) -> None:
    mask_HW, _ = written(
        tmp_path, [(B, shapely.box(500010, 299980, 500020, 299990))], C04, size=(256, 256), background=REST
    )
    expected_HW = np.zeros((256, 256), np.uint8)
    expected_HW[40:80, 40:80] = 1
    assert np.array_equal(mask_HW, expected_HW)
    with rasterio.open(tmp_path / "masks/image.tif") as file:
        assert (file.crs.to_string(), file.transform, file.nodata) == ("EPSG:2180", C04.transform, 255)
        assert (file.dtypes, file.block_shapes, file.compression.name) == (("uint8",), [(256, 256)], "deflate")


def test_what_no_polygon_covers_is_ignored_or_the_background(tmp_path: Path) -> None:
    polygons = [(B, box(1, 1, 3, 3)), (F, box(3, 1, 6, 2) - box(4, 1, 5, 2))]
    ignored_HW = rows("........ .1122.2. .11..... ........ ........ ........".replace("1122.2", "112.2."))
    assert np.array_equal(rasterised(tmp_path, polygons), ignored_HW)
    assert np.array_equal(
        rasterised(tmp_path, polygons, background=REST), np.where(ignored_HW == IGNORE, 0, ignored_HW)
    )


def test_outside_of_annotated_areas_all_is_ignored(tmp_path: Path) -> None:
    areas = write_vector(tmp_path / "areas.gpkg", box(2, 0, 5, 6), box(4, 2, 6, 4), box(6.6, 0, 7.4, 6))
    polygons = [(B, box(0, 0, 3, 2))]
    mask_HW, _ = written(tmp_path, polygons, annotated=areas, background=REST)
    assert np.array_equal(mask_HW, rows("..100... ..100... ..0000.. ..0000.. ..000... ..000..."))
    mask_HW, _ = written(tmp_path, polygons, annotated=areas)
    assert np.argwhere(mask_HW != IGNORE).tolist() == [[0, 2], [1, 2]]


def test_a_centre_on_an_edge_belongs_to_the_polygon_on_its_left_or_to_both(tmp_path: Path) -> None:
    left_right = [(B, box(0, 0, 3.5, 2)), (F, box(3.5, 0, 8, 2))]
    above_below = [(F, box(0, 3, 4, 4.5)), (B, box(0, 4.5, 4, 6)), (B, box(4, 3, 8, 4.5)), (F, box(4, 4.5, 8, 6))]
    mask_HW, done = written(tmp_path, left_right + above_below)
    assert np.array_equal(mask_HW, rows("11112222 11112222 ........ 22221111 11111111 11112222"))
    assert "8 px are less than 0.05 px inside overlaps" in str(done.note)


def test_all_touched_covers_each_pixel_that_a_polygon_meets(tmp_path: Path) -> None:
    sliver = [(B, box(1.2, 2.1, 6.3, 2.4))]
    assert not (rasterised(tmp_path, sliver) == 1).any()
    mask_HW = rasterised(tmp_path, sliver, all_touched=True)
    assert np.array_equal(mask_HW, rows("........ ........ .111111. ........ ........ ........"))


def test_touching_is_no_overlap_and_the_centre_decides(tmp_path: Path) -> None:
    polygons = [(B, box(0, 0, 3.3, 6)), (F, box(3.3, 0, 6.2, 6))]
    assert np.array_equal(rasterised(tmp_path, polygons, all_touched=True), rows(" ".join(["1112222."] * 6)))
    ordered_HW = rasterised(tmp_path, polygons, all_touched=True, order=[B])
    assert np.array_equal(ordered_HW, rows(" ".join(["1111222."] * 6)))


OVERLAPPING = [(F, box(0, 0, 5, 4)), (B, box(3, 2, 7, 6)), (F, box(1, 1, 2, 2))]


def test_overlaps_without_an_order_are_refused_with_count_and_place(tmp_path: Path) -> None:
    message = (
        r"labels.fgb: polygons of field and building overlap in 4 px of .*image.tif, first at pixel column 3, row 2 "
        r"\(x 3\.5, y 3\.5\); write which is on top, .*order: \[field, building\]"
    )
    with pytest.raises(PipelineError, match=message):
        rasterised(tmp_path, OVERLAPPING)
    assert not (tmp_path / "masks/image.tif").exists()
    with pytest.raises(PipelineError, match="overlap in 4 px"):
        rasterised(tmp_path, OVERLAPPING, all_touched=True, order=[REST])


@pytest.mark.parametrize(("order", "expected"), [([B], 1), ([F], 2), ([B, F], 1), ([F, B], 2)])
def test_the_first_of_the_order_is_on_top(tmp_path: Path, order: list[str], expected: int) -> None:
    mask_HW = rasterised(tmp_path, OVERLAPPING, order=order)
    assert (mask_HW[2:4, 3:5] == expected).all()
    assert {1: (16, 16), 2: (12, 20)}[expected] == ((mask_HW == 1).sum(), (mask_HW == 2).sum())


def test_ignore_takes_part_in_the_order(tmp_path: Path) -> None:
    polygons = [(F, box(0, 0, 8, 6)), ("cloud", box(2, 2, 4, 4))]
    with pytest.raises(PipelineError, match="polygons of ignore and field overlap in 4 px"):
        rasterised(tmp_path, polygons, values={"cloud": "ignore"})
    mask_HW, _ = written(tmp_path, polygons, values={"cloud": "ignore"}, order=["ignore"], background=REST)
    assert np.array_equal(mask_HW, rows("22222222 22222222 22..2222 22..2222 22222222 22222222"))


def test_an_overlap_under_a_class_of_the_order_does_not_matter(tmp_path: Path) -> None:
    polygons = [(F, box(0, 0, 4, 4)), (REST, box(2, 2, 6, 6)), (B, box(2, 2, 4, 4))]
    assert (rasterised(tmp_path, polygons, order=[B])[2:4, 2:4] == 1).all()


def test_overlaps_outside_of_annotated_areas_do_not_matter(tmp_path: Path) -> None:
    areas = write_vector(tmp_path / "areas.gpkg", box(0, 0, 3, 6))
    mask_HW, _ = written(tmp_path, OVERLAPPING, annotated=areas)
    assert (mask_HW == 2).sum() == 12


def test_slivers_between_neighbours_are_no_overlap(tmp_path: Path) -> None:
    """The border is digitised twice, up to 0.04 px apart, around the centres of a column."""
    polygons = [(F, box(0, 0, 3.52, 6)), (B, box(3.48, 0, 8, 6))]
    mask_HW, done = written(tmp_path, polygons)
    assert np.array_equal(mask_HW, rows(" ".join(["22211111"] * 6)))
    assert "image.tif: 6 px are less than 0.05 px inside overlaps of two classes of " in str(done.note)
    with pytest.raises(PipelineError, match="overlap in 6 px"):
        rasterised(tmp_path, [(F, box(0, 0, 3.6, 6)), (B, box(3.4, 0, 8, 6))])
    with pytest.raises(PipelineError, match=r"order: \[other, field, building\]"):
        rasterised(tmp_path, [(F, box(0, 0, 3.6, 6)), (B, box(3.4, 0, 8, 6))], order=[REST])


def test_the_class_written_is_the_value_that_remap_maps_back(tmp_path: Path) -> None:
    grid = image(tmp_path)
    labels = save(tmp_path / "labels.gpkg", [(code, box(k, 0, k + 1, 1)) for k, code in enumerate((311, 312, 1))])
    table = LabelRules.model_validate({"classes": CLASSES, "remap": {311: 2, 312: 2, 2: 1, 255: 0}})
    write_polygon_mask(read_labelled(labels, table), grid, tmp_path / "mask.tif", table)
    assert mask_of(tmp_path / "mask.tif")[0, :4].tolist() == [311, 311, 1, 65535]
    with open_geotiff(tmp_path / "mask.tif") as file:
        assert (file.nodata, file.dtypes) == ((65535,), ("uint16",))


def polygons_in(height: float, width: float, step: float) -> st.SearchStrategy[list[shapely.Geometry]]:
    """Up to four polygons around a grid, valid, with vertices on multiples of `step`."""
    x = st.integers(int(-3 / step), int((width + 3) / step)).map(lambda k: k * step)
    y = st.integers(int(-3 / step), int((height + 3) / step)).map(lambda k: k * step)
    polygon = st.lists(st.tuples(x, y), min_size=3, max_size=8, unique=True).map(shapely.Polygon)
    return st.lists(polygon.filter(lambda p: p.is_valid and p.area > 0.5), min_size=1, max_size=4)


GRIDS = [
    C04.transform,
    Affine(0.3, 0, 512345.1, 0, -0.3, 312345.7),
    Affine(0.1, 0, 512345.67, 0, 0.1, 312345.67),  # south-up
    Affine(0, 0.5, 512345, 0.5, 0, 312345),  # rows to the east
    Affine(0.7, 0, 512345.1, 0, -0.7, 312345.7) @ Affine.rotation(30),
]


@given(st.data())
@settings(max_examples=60)
def test_random_polygons_are_rasterised_as_by_gdal(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    """Edges run through centres too, where rounding decides; in blocks of rows, and with vertices left out."""
    folder = tmp_path_factory.mktemp("random")
    place = Georeference("EPSG:2180", data.draw(st.sampled_from(GRIDS)))
    in_pixels = data.draw(st.sampled_from([0.5, 0.013]).flatmap(lambda step: polygons_in(40, 30, step)))
    in_metres = [shapely.transform(p, lambda x, y: place.transform @ (x, y), interleaved=False) for p in in_pixels]
    touched = data.draw(st.booleans())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(polygon_masks, "TILE", 16)
        patch.setattr(polygon_masks, "BLOCK_PIXELS", 10**6 if touched else data.draw(st.sampled_from([1, 10**6])))
        patch.setattr(burning, "MAX_VERTICES", data.draw(st.sampled_from([0, 1000])))
        mask_HW, _ = written(folder, [(B, p) for p in in_metres], place, size=(40, 30), all_touched=touched)
    burnt_HW = rasterize(in_metres, (40, 30), transform=place.transform, all_touched=touched).astype(bool)
    assert np.array_equal(mask_HW == 1, burnt_HW)
    if not touched:
        union = shapely.union_all(in_pixels)
        centres = shapely.points(*(np.indices((40, 30))[::-1] + 0.5))
        is_clear_HW = shapely.distance(union.boundary, centres) > 1e-6
        assert np.array_equal((mask_HW == 1)[is_clear_HW], shapely.contains(union, centres)[is_clear_HW])


def test_polygons_in_degrees_give_the_same_pixels(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    labels_HW = np.kron(rng.integers(1, 3, (25, 25)), np.ones((8, 8))).astype(np.uint8)
    named = [(CLASSES[int(v)], shapely.geometry.shape(s)) for s, v in shapes(labels_HW, transform=C04.transform)]
    to_degrees = Transformer.from_crs("EPSG:2180", "EPSG:4326", always_xy=True)
    degrees = [(name, shapely.transform(p, to_degrees.transform, interleaved=False)) for name, p in named]
    labels = save(tmp_path / "labels.geojson", degrees, "EPSG:4326")
    grid = image(tmp_path, 200, 200, C04)
    write_polygon_mask(read_labelled(labels, rules()), grid, tmp_path / "mask.tif", rules())
    assert (mask_of(tmp_path / "mask.tif") == labels_HW).mean() >= 0.999


def test_a_crs_in_other_words_is_the_same_place(tmp_path: Path) -> None:
    """LandCover.ai's CRS has no code."""
    place = Georeference(CRS_NO_CODE, C04.transform)
    corner = shapely.box(500001, 299991, 500002, 299999)
    mask_HW = rasterised(tmp_path, [(B, corner)], place, size=(60, 60))
    assert np.argwhere(mask_HW == 1)[[0, -1]].tolist() == [[4, 4], [35, 7]]


def test_a_large_image_is_rasterised_by_rows_as_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(2)
    labels_HW = np.kron(1 + (rng.random((150, 100)) < 0.7), np.ones((4, 4))).astype(np.uint8)
    named = [(CLASSES[int(v)], shapely.geometry.shape(s)) for s, v in shapes(labels_HW, transform=C04.transform)]
    assert max(shapely.get_num_coordinates(p) for _, p in named) > burning.MAX_VERTICES
    monkeypatch.setattr(polygon_masks, "BLOCK_PIXELS", 1)
    assert np.array_equal(rasterised(tmp_path, named, C04, size=(600, 400)), labels_HW)


def test_an_image_without_polygons_has_a_note_and_both_extents(tmp_path: Path) -> None:
    far = [(B, shapely.box(1000, 1000, 1010, 1010))]
    mask_HW, done = written(tmp_path, far, background=REST)
    assert (mask_HW == 0).all()
    assert done.note == (
        f"{tmp_path}/image.tif: no polygon of {tmp_path}/labels.fgb covers a pixel; its mask is other only"
    )
    assert "labels.fgb covers 1000 1000 1010 1010 and " in str(done.apart)
    assert "image.tif 0 0 8 6 (W S E N in EPSG:32630)" in str(done.apart)
    areas = write_vector(tmp_path / "areas.gpkg", box(0, 0, 8, 3))
    assert written(tmp_path, far, annotated=areas, background=REST)[1] == PolygonMask(None, None)
    elsewhere = write_vector(tmp_path / "elsewhere.gpkg", shapely.box(1000, 1000, 1010, 1010))
    mask_HW, done = written(tmp_path, far, annotated=elsewhere, background=REST)
    assert (mask_HW == IGNORE).all()
    assert str(done.note).endswith("its mask is ignore only")


def test_polygons_on_both_sides_of_the_antimeridian(tmp_path: Path) -> None:
    """UTM zone 1 from 20 px west of 180° to 20 px east of it, on the equator: 1° is 111.3 km."""
    to_utm = Transformer.from_crs("EPSG:4326", "EPSG:32601", always_xy=True)
    x, y = to_utm.transform(180, 0.001)
    place = Georeference("EPSG:32601", Affine(10, 0, x - 200, 0, -10, y + 100))
    grid = image(tmp_path, 20, 40, place)
    west, east = shapely.box(179, -1, 180, 1), shapely.box(-180, -1, -179, 1)
    labels = save(tmp_path / "labels.geojson", [(B, west), (F, east)], "EPSG:4326")
    write_polygon_mask(read_labelled(labels, rules()), grid, tmp_path / "mask.tif", rules())
    assert np.array_equal(mask_of(tmp_path / "mask.tif"), rows(" ".join(["1" * 20 + "2" * 20] * 20)))
