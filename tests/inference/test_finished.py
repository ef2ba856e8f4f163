"""A finished map is no data outside the area, and has no patch below the minimum mapping unit."""

from pathlib import Path

import numpy as np
import pytest
import shapely
from rasterio.windows import Window

from pipeline.inference import finished as module
from pipeline.inference.finished import Finish, Finished, finish_layers
from pipeline.inference.frame import Frame
from pipeline.inference.layers import Layer, Work
from pipeline.inference.sieve import sieve
from pipeline.scenes.area import Area
from tests.maps import TABLE
from tests.scenes.array_scene import blank

HEIGHT, WIDTH = 40, 30
CLASSES_HW = np.random.default_rng(0).choice(
    np.array([10, 30, 70, 255], np.uint8), (HEIGHT, WIDTH), p=[0.4, 0.3, 0.2, 0.1]
)


def area(polygon: shapely.Polygon | None = None, bounds: Window | None = None) -> Area:
    tree = None if polygon is None else shapely.STRtree(np.array([polygon]))
    return Area(bounds or Window(0, 0, WIDTH, HEIGHT), [], [], tree, None)


def finish(folder: Path, where: Area, min_pixels: int = 1) -> tuple[Finished, Layer]:
    work, frame = Work(folder), Frame(blank(HEIGHT, WIDTH), where.bounds, where.bounds)
    raw = work.layer("classes", HEIGHT, WIDTH)
    raw.write(0, 0, CLASSES_HW[None])
    return finish_layers(Finish(frame, where, min_pixels), work, {"classes": raw}), raw


def pixels(found: Finished) -> np.ndarray:
    layer = found.layers["classes"]
    return layer.read(0, layer.height)[0]


def test_what_does_not_change_is_counted_and_not_copied(tmp_path: Path) -> None:
    found, raw = finish(tmp_path, area())
    assert found.layers["classes"] == raw
    assert [path.name for path in tmp_path.iterdir()] == ["classes.bin"]
    assert found.counts(TABLE) == {key: int((key == CLASSES_HW).sum()) for key in (10, 30, 70)}
    assert found.counts_V.sum() == HEIGHT * WIDTH


def test_the_area_is_that_of_the_scene_where_a_part_is_mapped(tmp_path: Path) -> None:
    bounds = Window(100, 200, WIDTH, HEIGHT)
    found, _ = finish(tmp_path, area(shapely.box(100, 200, 101, 201), bounds))
    assert np.argwhere(pixels(found) != 255).tolist() == [[0, 0]]


@pytest.mark.parametrize("rows", [7, 512])
@pytest.mark.parametrize("min_pixels", [1, 50])
@pytest.mark.parametrize("polygon", [None, shapely.box(3, 5, 20, 33)])
def test_small_patches_are_merged_the_same_in_blocks_and_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int, min_pixels: int, polygon: shapely.Polygon | None
) -> None:
    monkeypatch.setattr(module, "ROWS", rows)
    found, raw = finish(tmp_path, area(polygon), min_pixels)
    inside_HW = np.full_like(CLASSES_HW, 255) if polygon is not None else CLASSES_HW.copy()
    inside_HW[5:33, 3:20] = CLASSES_HW[5:33, 3:20]
    (expected_HW,) = sieve(lambda: [inside_HW], min_pixels)
    assert (pixels(found) == expected_HW).all()
    assert (found.counts_V == np.bincount(expected_HW.ravel(), minlength=256)).all()
    assert (raw.read(0, HEIGHT)[0] == CLASSES_HW).all()  # a rerun starts from it


def test_other_layers_are_not_sieved(tmp_path: Path) -> None:
    work = Work(tmp_path)
    raw = {name: work.layer(name, HEIGHT, WIDTH) for name in ("classes", "confidence")}
    for layer in raw.values():
        layer.write(0, 0, CLASSES_HW[None])
    frame = Frame(blank(HEIGHT, WIDTH), area().bounds, area().bounds)
    found = finish_layers(Finish(frame, area(), 50), work, raw)
    assert (found.layers["confidence"].read(0, HEIGHT)[0] == CLASSES_HW).all()
    assert (pixels(found) != CLASSES_HW).any()
