"""A scene at another pixel size: any window has the pixels of the whole, and each finds its way back."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from rasterio.enums import Resampling
from rasterio.transform import Affine
from rasterio.warp import reproject
from rasterio.windows import Window, subdivide

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.scenes import resample as module
from pipeline.scenes.resample import ResampledScene, read_on_input_grid, resample
from tests.scenes.array_scene import ArrayScene, blank, degrees
from tests.world import UTM, at

SIDE = st.integers(1, 40)


def noise(height: int, width: int, seed: int = 0, share: float = 1.0, bands: int = 3) -> ArrayScene:
    """Random pixels, of which this share is valid."""
    random = np.random.default_rng(seed)
    image_HWC = random.integers(0, 256, (height, width, bands), np.uint8)
    return ArrayScene(image_HWC, valid_HW=random.random((height, width)) < share)


def whole(scene: ResampledScene) -> tuple[np.ndarray, np.ndarray]:
    return scene.read(Window(0, 0, scene.width, scene.height))


def row_of(*values: int) -> ArrayScene:
    return ArrayScene(np.repeat(np.array(values, np.uint8)[None, :, None], 3, axis=2))


@pytest.mark.parametrize(
    ("values", "width", "expected"),
    [
        ((10, 20, 30, 40), 4, [10, 20, 30, 40]),
        # half as many: weights 1 3 3 1 at distances 1.5 0.5 0.5 1.5 of 2; at the border the outer one is missing
        ((10, 20, 30, 40), 2, [(3 * 10 + 3 * 20 + 30) / 7, (20 + 3 * 30 + 3 * 40) / 7]),
        # twice as many: a quarter of a pixel from the own centre, three quarters from the neighbour's
        ((10, 20), 4, [10, 12.5, 17.5, 20]),
        # centres at 0.75 and 2.25, radius 1.5: 5/6 at a distance of 0.25, 1/2 at 0.75
        ((10, 20, 30), 2, [(5 * 10 + 3 * 20) / 8, (3 * 20 + 5 * 30) / 8]),
        ((7,), 3, [7, 7, 7]),
    ],
)
def test_values_by_hand(values: tuple[int, ...], width: int, expected: list[float]) -> None:
    image_HWC, valid_HW = whole(ResampledScene(row_of(*values), 1, width))
    assert valid_HW.all()
    assert image_HWC[0, :, 0].tolist() == [int(np.floor(value + 0.5)) for value in expected]


@settings(max_examples=60)
@given(st.integers(0, 9), SIDE, SIDE, SIDE, SIDE, st.data())
def test_a_window_of_a_window_has_the_same_pixels(
    seed: int, height: int, width: int, target_height: int, target_width: int, data: st.DataObject
) -> None:
    scene = noise(height, width, seed, share=0.8, bands=5)
    resampled = ResampledScene(scene, target_height, target_width)
    column, row = data.draw(st.integers(0, target_width - 1)), data.draw(st.integers(0, target_height - 1))
    size = data.draw(st.tuples(st.integers(1, target_width - column), st.integers(1, target_height - row)))
    window = Window(column, row, *size)
    image_HWC, valid_HW = whole(resampled)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "STRIP_PIXELS", data.draw(st.sampled_from([1, 50, 1 << 20])))
        part_HWC, part_valid_HW = resampled.read(window)
    assert np.array_equal(part_HWC, image_HWC[window.toslices()])
    assert np.array_equal(part_valid_HW, valid_HW[window.toslices()])


@settings(max_examples=60)
@given(st.integers(0, 9), SIDE, SIDE, SIDE, SIDE)
def test_pixels_are_those_of_an_independent_triangle_filter(
    seed: int, height: int, width: int, target_height: int, target_width: int
) -> None:
    scene = noise(height, width, seed)
    image_HWC, valid_HW = whole(ResampledScene(scene, target_height, target_width))
    expected_HWC = Image.fromarray(scene.image_HWC).resize((target_width, target_height), Image.Resampling.BILINEAR)
    assert np.abs(image_HWC.astype(int) - np.array(expected_HWC)).max() <= 1
    assert valid_HW.all()


@settings(max_examples=60)
@given(st.integers(0, 9), SIDE, SIDE, SIDE, SIDE)
def test_a_pixel_is_valid_if_the_one_at_its_centre_is_and_no_data_does_not_darken_it(
    seed: int, height: int, width: int, target_height: int, target_width: int
) -> None:
    source_HW = np.random.default_rng(seed).random((height, width)) < 0.5
    scene = ArrayScene(np.full((height, width, 3), 201, np.uint8), valid_HW=source_HW)
    image_HWC, valid_HW = whole(ResampledScene(scene, target_height, target_width))
    row_H = np.floor((np.arange(target_height) + 0.5) * height / target_height + 1e-9).astype(int)
    column_W = np.floor((np.arange(target_width) + 0.5) * width / target_width + 1e-9).astype(int)
    assert np.array_equal(valid_HW, source_HW[np.ix_(row_H, column_W)])
    assert np.array_equal(image_HWC, np.where(valid_HW[..., None], np.uint8(201), np.uint8(0)).repeat(3, axis=2))


def on_input_grid(classes_HW: np.ndarray, resampled: ResampledScene, side: int) -> np.ndarray:
    """Bring a map onto the scene's grid, in windows of this side."""
    height, width = resampled.scene.height, resampled.scene.width
    values_HW = np.empty((height, width), classes_HW.dtype)
    for window in subdivide(Window(0, 0, width, height), side, side):
        values_HW[window.toslices()] = read_on_input_grid(lambda w: classes_HW[w.toslices()], resampled, window)
    return values_HW


@pytest.mark.parametrize(
    ("source", "target", "expected"),
    [
        (6, 3, [0, 0, 1, 1, 2, 2]),
        (3, 6, [1, 3, 5]),  # the centre is a border of two pixels: the one to the right, as in GDAL
        (6, 4, [0, 1, 1, 2, 3, 3]),  # centres at 1/3, 1, 5/3, 7/3, 3, 11/3
        (4, 4, [0, 1, 2, 3]),
        (5, 1, [0, 0, 0, 0, 0]),
        (1, 5, [2]),
    ],
)
def test_the_way_back_by_hand(source: int, target: int, expected: list[int]) -> None:
    resampled = ResampledScene(blank(1, source), 1, target)
    classes_HW = np.arange(target)[None]
    assert on_input_grid(classes_HW, resampled, 1).tolist() == [expected]


@pytest.mark.parametrize("size", [(20, 30), (80, 120), (27, 41), (13, 100)])
def test_the_way_back_is_gdals_nearest_neighbour(size: tuple[int, int]) -> None:
    scene = blank(40, 60)
    resampled = ResampledScene(scene, *size)
    classes_HW = np.random.default_rng(0).integers(0, 255, size, np.uint8)
    expected_HW = np.zeros((40, 60), np.uint8)
    reproject(
        classes_HW,
        expected_HW,
        src_transform=resampled.georeference.transform,
        dst_transform=scene.georeference.transform,
        src_crs=UTM,
        dst_crs=UTM,
        resampling=Resampling.nearest,
    )
    assert np.array_equal(on_input_grid(classes_HW, resampled, 7), expected_HW)


def test_a_scene_becomes_as_coarse_as_the_training() -> None:
    scene = blank(40, 60, at(pixel=0.25))
    resampled = resample(scene, [0.5, 10.0])
    assert (resampled.height, resampled.width, resampled.name) == (20, 30, "scene.tif")
    assert resampled.georeference == Georeference(UTM, Affine(0.5, 0.0, 500000.0, 0.0, -0.5, 1000000.0))
    assert resampled.identity == ["array", "resampled", 20, 30]
    assert resampled.damaged is scene.damaged


def test_degrees_at_60_north_have_a_factor_for_each_axis() -> None:
    resampled = resample(blank(100, 200, degrees(10.0, 60.005, 0.0001)), [10.0])
    assert (resampled.height, resampled.width) == (111, 112)  # 11.14 m and 5.58 m
    west, north = resampled.georeference.corner(0, 0)
    east, south = resampled.georeference.corner(111, 112)
    assert (west, north, east, south) == pytest.approx((10.0, 60.005, 10.02, 59.995), abs=1e-12)


def test_a_sliver_keeps_a_pixel() -> None:
    resampled = resample(blank(1, 60, at(pixel=1.0)), [30.0])
    assert (resampled.height, resampled.width) == (1, 2)


def test_rotated_scenes_stay_in_place() -> None:
    transform = Affine(6.0, -8.0, 500000.0, -8.0, -6.0, 1000000.0)
    resampled = resample(blank(40, 60, Georeference(UTM, transform)), [20.0])
    assert (resampled.height, resampled.width) == (20, 30)
    assert resampled.georeference.corner(20, 30) == pytest.approx(tuple(transform @ (60, 40)))


@pytest.mark.parametrize("georeference", [at(crs=None), Georeference(UTM, Affine.identity())])
def test_a_scene_without_a_known_pixel_size_is_refused(georeference: Georeference) -> None:
    with pytest.raises(PipelineError, match="scene.tif has no CRS or georeference.*--resample.*gdal_edit.py"):
        resample(blank(4, 4, georeference), [10.0])
    assert not ResampledScene(blank(4, 4, Georeference(None, Affine.identity())), 2, 2).georeference.is_known


def test_strips_bound_what_is_read_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STRIP_PIXELS", 20_000)
    scene = noise(400, 100)
    whole(ResampledScene(scene, 40, 10))
    assert len(scene.read_windows) >= 2
    assert max(window.width * window.height for window in scene.read_windows) <= 20_000
