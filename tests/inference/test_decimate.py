"""A picture shows a scene by the means of its valid pixels, and a map by classes that occur, in bounded memory."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.enums import Resampling

from pipeline.core.errors import PipelineError
from pipeline.inference import decimate
from pipeline.inference.decimate import decimation, read_ids, read_image
from pipeline.raster.gdal import open_dataset
from tests.scenes.array_scene import ArrayScene


def random_scene(height: int, width: int) -> ArrayScene:
    rng = np.random.default_rng(height * 1000 + width)
    return ArrayScene(rng.integers(0, 256, (height, width, 3), np.uint8), valid_HW=rng.random((height, width)) < 0.6)


def write(path: Path, ids_HW: np.ndarray, **options: Any) -> Path:
    height, width = ids_HW.shape
    with open_dataset(path, "w", height=height, width=width, count=1, dtype="uint8", **options) as dataset:
        dataset.write(ids_HW, 1)
    return path


@pytest.mark.parametrize(
    ("height", "width", "factor"), [(1, 1, 1), (1600, 1600, 1), (1601, 5, 2), (5, 3200, 2), (5, 3201, 3)]
)
def test_the_longest_side_decides(height: int, width: int, factor: int) -> None:
    assert decimation(height, width, 1600) == factor


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 12), st.integers(1, 16))
def test_each_pixel_is_the_mean_of_the_valid_ones(height: int, width: int, longest: int, block: int) -> None:
    scene = random_scene(height, width)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(decimate, "BLOCK", block)
        image_HWC = read_image(scene, longest)
    factor, valid_HW = decimation(height, width, longest), scene.valid_HW
    assert valid_HW is not None
    assert max(image_HWC.shape[:2]) <= longest
    assert max(window.width * window.height for window in scene.read_windows) <= max(block, factor) ** 2  # memory
    for row in range(image_HWC.shape[0]):
        for column in range(image_HWC.shape[1]):
            square = np.s_[row * factor : (row + 1) * factor, column * factor : (column + 1) * factor]
            colours_N3 = scene.image_HWC[square][valid_HW[square]]
            expected = [*np.rint(colours_N3.mean(axis=0)), 255] if len(colours_N3) else [0] * 4
            assert image_HWC[row, column].tolist() == expected


def test_ids_are_never_mixed(tmp_path: Path) -> None:
    blocks_HW = np.arange(12, dtype=np.uint8).reshape(3, 4) * 20
    path = write(tmp_path / "map.tif", blocks_HW.repeat(5, axis=0).repeat(5, axis=1))
    assert (read_ids(path, 4) == blocks_HW).all()
    assert (read_ids(path, 20) == blocks_HW.repeat(5, axis=0).repeat(5, axis=1)).all()


def test_overviews_are_used(tmp_path: Path) -> None:
    found = set()
    for odd in range(4):  # one of them is the pixel that nearest takes
        square_HW = np.where(np.arange(4).reshape(2, 2) == odd, 9, 7).astype(np.uint8)
        path = write(tmp_path / f"{odd}.tif", np.tile(square_HW, (8, 8)))
        found |= set(np.unique(read_ids(path, 8)).tolist())
        with open_dataset(path, "r+") as dataset:
            dataset.build_overviews([2], Resampling.mode)
        assert (read_ids(path, 8) == 7).all()
    assert found == {7, 9}


def test_a_scene_and_its_map_have_the_same_size(tmp_path: Path) -> None:
    for height, width in ((1, 50), (50, 1), (33, 47)):
        path = write(tmp_path / f"{height}.tif", np.zeros((height, width), np.uint8))
        assert read_ids(path, 10).shape == read_image(random_scene(height, width), 10).shape[:2]


def test_a_file_that_is_not_a_raster_is_named(tmp_path: Path) -> None:
    (tmp_path / "map.tif").write_text("no")
    with pytest.raises(PipelineError, match="map.tif cannot be read"):
        read_ids(tmp_path / "map.tif")


def test_of_many_bands_the_first_three_are_shown() -> None:
    scene = random_scene(9, 7)
    more_HWC = np.full((9, 7, 2), 200)
    many = ArrayScene(np.concatenate([scene.image_HWC, more_HWC], axis=2), valid_HW=scene.valid_HW)
    assert np.array_equal(read_image(many, 4), read_image(scene, 4))
