"""The polygons of a map are its pixels, whatever the blocks; a run that fails leaves the previous file."""

from pathlib import Path

import numpy as np
import pyogrio
import pytest
import rasterio
import rasterio.features
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.transform import Affine
from scipy import ndimage

from pipeline.core.errors import PipelineError
from pipeline.polygons import vectorise as module
from pipeline.polygons.class_map import open_class_map
from pipeline.polygons.vectorise import VectorOptions, VectorResult, to_crs, vectorise
from pipeline.raster.georeference import Georeference
from tests.polygons.world import TABLE, read_features, smooth_classes, write_map
from tests.world import UTM, at

RAW = VectorOptions(tolerance=0)


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that small maps have several."""
    monkeypatch.setattr(module, "BLOCK", 32)


def write(path: Path, class_HW: np.ndarray, options: VectorOptions = RAW, **layers: object) -> VectorResult:
    """Write the polygons of a map beside it."""
    write_map(path, class_HW, **layers)  # type: ignore[arg-type]
    confidence = path.with_suffix(".confidence.tif")
    with open_class_map(path, confidence if confidence.exists() else None) as source:
        return vectorise(source, path.with_suffix(".gpkg"), options)


@settings(deadline=None, max_examples=15)
@given(st.integers(1, 80), st.integers(1, 80), st.sampled_from([0, 1, 3]), st.integers(0, 1000))
def test_polygons_are_the_map(
    tmp_path_factory: pytest.TempPathFactory, height: int, width: int, sigma: int, seed: int
) -> None:
    class_HW = smooth_classes(height, width, sigma, seed)
    path = tmp_path_factory.mktemp("map") / "map.tif"
    confidence_HW = np.where(class_HW == 255, 255, np.arange(height * width).reshape(height, width) % 101)
    result = write(path, class_HW, confidence_HW=confidence_HW.astype(np.uint8))
    polygon_N, fields = read_features(result.path)
    assert result.polygons == len(polygon_N)
    if not len(polygon_N):
        assert (class_HW == 255).all()
        return
    assert shapely.is_valid(polygon_N).all()
    assert shapely.coverage_is_valid(polygon_N)
    pairs = zip(polygon_N, fields["class_id"], strict=True)
    drawn_HW = rasterio.features.rasterize(pairs, class_HW.shape, fill=255, transform=at().transform, dtype="uint8")
    assert np.array_equal(drawn_HW, class_HW)
    for class_id in TABLE.ids:
        is_own_N = fields["class_id"] == class_id
        assert fields["pixels"][is_own_N].sum() == (class_HW == class_id).sum()
        assert len(set(fields["patch"][is_own_N])) == ndimage.label(class_HW == class_id)[1]
        means = fields["confidence"][is_own_N] * fields["pixels"][is_own_N]
        assert means.sum() == pytest.approx(confidence_HW[class_HW == class_id].sum(), abs=0.005 * class_HW.size)
    names = dict(zip(TABLE.ids, TABLE.names, strict=True))
    assert [names[number] for number in fields["class_id"]] == fields["class"].tolist()
    assert shapely.area(polygon_N) == pytest.approx(fields["pixels"] * at().transform.a ** 2)
    assert result.patches == len(set(fields["patch"]))


def test_simplified_polygons_leave_no_gaps_and_no_overlaps(tmp_path: Path) -> None:
    class_HW = smooth_classes(150, 130, 3)
    exact_N, _ = read_features(write(tmp_path / "exact.tif", class_HW).path)
    simple_N, fields = read_features(write(tmp_path / "simple.tif", class_HW, VectorOptions()).path)
    assert shapely.coverage_is_valid(simple_N)
    assert shapely.get_num_coordinates(simple_N).sum() < 0.7 * shapely.get_num_coordinates(exact_N).sum()
    assert shapely.union_all(simple_N).area == pytest.approx(shapely.area(exact_N).sum())
    assert fields["pixels"].sum() == (class_HW != 255).sum()  # attributes are those of the map


def test_dissolved_patches_are_in_one_piece(tmp_path: Path) -> None:
    class_HW = smooth_classes(100, 90, 4)
    pieces_N, pieces = read_features(write(tmp_path / "pieces.tif", class_HW).path)
    patches_N, patches = read_features(write(tmp_path / "patches.tif", class_HW, VectorOptions(0, dissolve=True)).path)
    assert len(patches_N) < len(pieces_N)
    assert sorted(patches["patch"]) == sorted(set(pieces["patch"]))


def test_areas_are_geodesic(tmp_path: Path) -> None:
    """A map in EPSG:3857 at 60 degrees north, where its units are half a metre."""
    place = Georeference("EPSG:3857", Affine(20, 0, 0, 0, -20, 8399737.9))  # latitude 60
    _, fields = read_features(write(tmp_path / "map.tif", np.full((4, 5), 3, np.uint8), place=place).path)
    assert fields["area_m2"].tolist() == pytest.approx([20 * 10 * 10], rel=0.01)  # exactly on a sphere of the equator's
    assert fields["pixels"].tolist() == [20]


@pytest.mark.parametrize("dissolve", [False, True])
def test_a_block_beyond_the_pole_leaves_the_areas_of_the_others(tmp_path: Path, dissolve: bool) -> None:
    """Rows 0 to 4 of 1° are beyond 90° N, in the first of two blocks."""
    class_HW = np.repeat(np.array([3, 7], np.uint8), 32)[:, None].repeat(4, axis=1)
    place = Georeference("EPSG:4326", Affine(1, 0, 0, 0, -1, 95))
    path = write(tmp_path / "map.tif", class_HW, VectorOptions(0, dissolve), place=place).path
    _, fields = read_features(path)
    assert fields["class_id"].tolist() == [3, 7]
    assert np.isnan(fields["area_m2"]).tolist() == [True, False]


def test_a_map_without_georeference_is_drawn_downwards_without_areas(tmp_path: Path) -> None:
    identity = Georeference(None, Affine.identity())
    polygon_N, fields = read_features(write(tmp_path / "map.tif", np.array([[3], [7]], np.uint8), place=identity).path)
    assert shapely.bounds(polygon_N).tolist() == [[0, -1, 1, 0], [0, -2, 1, -1]]
    assert np.isnan(fields["area_m2"]).all()
    assert np.isnan(fields["confidence"]).all()


def test_rotated_grids_are_followed() -> None:
    rotated = Georeference(UTM, Affine.translation(500000, 100) @ Affine.rotation(30) @ Affine.scale(10, -10))
    (polygon,) = to_crs(np.array([shapely.box(0, 0, 2, 1)]), rotated)
    assert polygon.area == pytest.approx(200)
    assert shapely.get_coordinates(polygon)[0].tolist() == pytest.approx(rotated.transform @ (2, 0))


def test_a_map_of_no_data_alone_gives_an_empty_layer(tmp_path: Path) -> None:
    result = write(tmp_path / "map.tif", np.full((40, 40), 255, np.uint8))
    assert (result.polygons, result.patches) == (0, 0)
    assert len(read_features(result.path)[0]) == 0


def test_nothing_is_left_where_pixels_are_no_class(tmp_path: Path) -> None:
    class_HW = np.zeros((40, 40), np.uint8)
    class_HW[39, 39] = 9
    (tmp_path / "map.gpkg").write_bytes(b"before")
    with pytest.raises(PipelineError, match="9 in 1 px"):
        write(tmp_path / "map.tif", class_HW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["map.gpkg", "map.tif"]
    assert (tmp_path / "map.gpkg").read_bytes() == b"before"


def test_blocks_with_many_patches_are_halved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class_HW = np.where(np.indices((40, 70)).sum(axis=0) % 2, 3, 7).astype(np.uint8)
    class_HW[:, :35] = 0  # the first block holds few
    monkeypatch.setattr(module, "MAX_PATCHES", 100)
    path = write_map(tmp_path / "map.tif", class_HW)
    with open_class_map(path) as source:
        found = module.find_patches(source, 32)
    assert {(window.height, window.width) for window in found.windows} == {(8, 8), (8, 6)}
    polygon_N, fields = read_features(write(path, class_HW).path)
    assert shapely.coverage_is_valid(polygon_N)
    assert fields["pixels"].sum() == class_HW.size
    assert len(set(fields["patch"])) == 40 * 35 + 1


def test_polygons_are_traced_to_their_model(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif", smooth_classes(20, 20))
    with rasterio.open(path, "r+") as dataset:
        dataset.update_tags(TRAINED_ON="synthetic sample")
    with open_class_map(path) as source:
        vectorise(source, tmp_path / "map.gpkg")
    metadata = pyogrio.read_info(tmp_path / "map.gpkg", layer="map")["layer_metadata"]
    assert metadata == {"MODEL_SHA256": "abc", "TRAINED_ON": "synthetic sample"}
