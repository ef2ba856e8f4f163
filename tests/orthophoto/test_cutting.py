"""Chips have the pixels of their windows, however a scene is stored; of several errors the first is reported."""

import itertools
import tempfile
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.core.cpus import cpu_pool
from pipeline.core.errors import PipelineError
from pipeline.formats.chips import make_chip_folders
from pipeline.formats.png import read_chip_image, read_mask
from pipeline.orthophoto import cutting
from pipeline.orthophoto.cutting import _in_order
from pipeline.orthophoto.scenes import tile_scene
from pipeline.raster.geotiff import write_geotiff
from pipeline.raster.layout import Scene
from tests.orthophoto.test_section import section
from tests.world import TWO_CLASSES, at, gradient, halves, hide, orthophoto

LAYOUTS: list[dict[str, Any]] = [
    {},
    {"blockysize": 7, "compress": "lzw"},
    {"blockysize": 5, "compress": "deflate", "interleave": "band"},
    {"blockysize": 3000, "compress": "lzw"},  # one strip
    {"tiled": True, "blockxsize": 16, "blockysize": 48, "compress": "lzw"},
    {"tiled": True, "blockxsize": 64, "blockysize": 64, "interleave": "band"},
]
SHORT_RUN = 2 * 32 * 32 * 4
"""Bytes of two windows of 32 x 32 px, RGB and class."""


@settings(max_examples=60)
@given(
    st.tuples(st.integers(1, 110), st.integers(1, 110)),
    st.sampled_from(LAYOUTS),
    st.sampled_from(["drop", "pad"]),
    st.sampled_from([(1, 2, 3), (3, 1, 2, 4), (2, 2, 2)]),
    st.sampled_from(["", "mask", "nodata", "alpha"]),
    st.sampled_from([SHORT_RUN, cutting.RUN_BYTES]),
    st.integers(0, 99),
)
def test_chips_are_windows_of_the_whole_scene(
    shape: tuple[int, int],
    layout: dict[str, Any],
    partial: str,
    bands: tuple[int, ...],
    hidden_by: str,
    run_bytes: int,
    seed: int,
) -> None:
    generator = np.random.default_rng(seed)
    image_CHW = generator.integers(1, 256, (4, *shape), np.uint8)
    mask_HW = generator.integers(1, 3, shape, np.uint8)
    shown_HW = generator.random(shape) < 0.7
    alpha = hidden_by == "alpha" and 4 not in bands
    if hidden_by == "nodata":
        image_CHW[:, ~shown_HW] = 0
    elif alpha:
        image_CHW[3] = 255 * shown_HW
    elif hidden_by == "":
        shown_HW[:] = True
    marked: dict[str, Any] = {"photometric": "RGB", "alpha": "YES"} if alpha else {"photometric": "MINISBLACK"}
    nodata = {"nodata": 0} if hidden_by == "nodata" else {}
    with tempfile.TemporaryDirectory() as folder, pytest.MonkeyPatch.context() as patch:
        scene, chips = Scene("a", Path(folder, "a.tif"), Path(folder, "mask.tif")), Path(folder, "chips")
        write_geotiff(scene.image, image_CHW, at(), **marked, **nodata, **layout)
        write_geotiff(scene.mask, mask_HW[None], at(), **layout)
        if hidden_by == "mask":
            hide(scene.mask, np.where(shown_HW, 255, 0).astype(np.uint8))
        elif hidden_by == "alpha" and not alpha:
            shown_HW[:] = True
        make_chip_folders(chips, len(bands))
        patch.setattr(cutting, "RUN_BYTES", run_bytes)
        how = section(partial=partial, bands=bands, alpha="auto" if alpha else "none")
        tiled = tile_scene(scene, how, TWO_CLASSES, chips)
        images = {row["id"]: read_chip_image(chips, str(row["id"]), len(bands)) for row in tiled.rows}
        masks = {row["id"]: read_mask(chips / f"masks/{row['id']}.png") for row in tiled.rows}
    expected_HWC = np.pad(image_CHW, ((0, 0), (0, 32), (0, 32)))[[band - 1 for band in bands]].transpose(1, 2, 0)
    classes_HW = np.pad(np.where(shown_HW, mask_HW, 255), ((0, 32), (0, 32)), constant_values=255)
    if hidden_by in ("nodata", "alpha"):
        expected_HWC = expected_HWC * np.pad(shown_HW, ((0, 32), (0, 32)))[..., None]
    expected = {}
    for number, (row, column) in enumerate(itertools.product(range(0, shape[0], 32), range(0, shape[1], 32))):
        window = slice(row, row + 32), slice(column, column + 32)
        is_whole = row + 32 <= shape[0] and column + 32 <= shape[1]
        if (is_whole or partial == "pad") and (classes_HW[window] != 255).any():
            expected[f"a_{number}"] = expected_HWC[window], classes_HW[window]
    assert list(images) == list(expected)
    for name, (image_HWC, class_HW) in expected.items():
        assert np.array_equal(images[name], image_HWC)
        assert np.array_equal(masks[name], class_HW)


def damage(path: Path, *blocks: tuple[int, int], band: int = 1) -> None:
    """Overwrite the data of blocks, given by column and row."""
    with rasterio.open(path) as dataset:
        places = [
            [int(dataset.get_tag_item(f"BLOCK_{tag}_{column}_{row}", "TIFF", bidx=band)) for tag in ("OFFSET", "SIZE")]
            for column, row in blocks
        ]
    content = bytearray(path.read_bytes())
    for start, length in places:
        content[start : start + length] = b"\xff" * length
    path.write_bytes(content)


def tiled_scene(folder: Path, mask_HW: np.ndarray) -> Scene:
    scene = orthophoto(folder, "a", gradient(64, 96), mask_HW)
    write_geotiff(
        scene.image, gradient(64, 96), at(pixel=0.5), tiled=True, blockxsize=16, blockysize=16, compress="deflate"
    )
    make_chip_folders(folder / "chips")
    return scene


def refusal(scene: Scene, folder: Path) -> str:
    with pytest.raises(PipelineError) as error:
        tile_scene(scene, section(), TWO_CLASSES, folder / "chips")
    return str(error.value)


def test_of_damaged_blocks_the_first_of_the_first_window_is_named(tmp_path: Path) -> None:
    scene = tiled_scene(tmp_path, halves(64, 96))
    damage(scene.image, (5, 0), (1, 1), (0, 3))
    assert "a.tif cannot be read, the file is damaged: block column 1, row 1 (pixel" in refusal(scene, tmp_path)


def test_the_error_of_an_earlier_window_comes_first(tmp_path: Path) -> None:
    mask_HW = halves(64, 96)
    mask_HW[31, 95] = mask_HW[63, 0] = 9
    scene = tiled_scene(tmp_path, mask_HW)
    damage(scene.image, (0, 2))
    assert "label values outside the class table: 9 in 2 px" in refusal(scene, tmp_path)
    mask_HW[mask_HW == 9] = 1
    scene = tiled_scene(tmp_path / "2", mask_HW)
    damage(scene.image, (0, 2))
    assert "a.tif cannot be read, the file is damaged: block column 0, row 2" in refusal(scene, tmp_path / "2")


def test_a_damaged_block_that_no_window_needs_is_no_error(tmp_path: Path) -> None:
    """The scene is 70 px wide: in the columns from 64 only the alpha band is read, of windows that are dropped."""
    scene = orthophoto(tmp_path, "a", gradient(32, 70))
    bands_CHW = np.concatenate([gradient(32, 70), np.full((1, 32, 70), 255, np.uint8)])
    bands_CHW[3, :9] = 0
    options = {"tiled": True, "blockxsize": 16, "blockysize": 16, "compress": "deflate", "interleave": "band"}
    write_geotiff(scene.image, bands_CHW, at(pixel=0.5), photometric="RGB", alpha="YES", **options)
    damage(scene.image, (4, 0))  # of band 1
    make_chip_folders(tmp_path / "chips")
    tiled = tile_scene(scene, section(), TWO_CLASSES, tmp_path / "chips")
    assert ([row["id"] for row in tiled.rows], tiled.partial, tiled.transparent) == (["a_0", "a_1"], 1, 2 * 9 * 32)


def test_two_groups_are_pending_at_most() -> None:
    taken: list[int] = []

    def groups() -> Iterator[list[Future[int]]]:
        for number in range(5):
            taken.append(number)
            yield [cpu_pool().submit(int, 2 * number + half) for half in (0, 1)]

    results = _in_order(groups())
    for number in range(10):
        assert next(results) == number
        assert len(taken) <= number // 2 + 2
    assert list(results) == []


def test_after_an_error_nothing_is_running() -> None:
    started, ended = threading.Event(), threading.Event()

    def work() -> None:
        started.set()
        time.sleep(0.05)
        ended.set()

    running = cpu_pool().submit(work)
    started.wait()
    failed: Future[None] = Future()
    failed.set_exception(PipelineError("first"))
    with pytest.raises(PipelineError, match="first"):
        list(_in_order([[failed, running]]))
    assert ended.is_set()
