"""Windows through the network: against the whole scene at once, and the same bytes however they are cut."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.inference.forward import duration, run_network
from pipeline.inference.launch import Launched, launch
from pipeline.inference.layers import Layer, Work, open_work
from pipeline.inference.network import LoadedModel, Wanted
from pipeline.inference.windows import Tiling, window_spans
from tests.inference.world import (
    ALL,
    bright_scene,
    exact_model,
    ids_of,
    mapped,
    network_run,
    random_scene,
    read_layers,
    trained_model,
    untrained_model,
    whole,
)
from tests.learning.world import World
from tests.scenes.array_scene import ArrayScene

SMALL = Tiling(128, 32, 32)
"""Over 200 px: three windows from 0, 32 and 96, with cores from 0, 80 and 128."""


def near_borders(height: int, width: int, tiling: Tiling) -> np.ndarray:
    """near_HW, bool: within 16 px of a border between cores."""
    near_HW = np.zeros((height, width), bool)
    for axis, length in enumerate((height, width)):
        for span in window_spans(0, length, length, tiling)[1:]:
            part = slice(max(0, span.core_start - 16), span.core_start + 16)
            near_HW[(part, slice(None)) if axis == 0 else (slice(None), part)] = True
    return near_HW


def test_windows_agree_with_the_whole_scene_at_once(trained: World) -> None:
    model = trained_model(trained)
    image_HWC, _ = bright_scene(9, 9)
    tiling = Tiling(512, model.halo, model.stride)
    run = network_run(model, ArrayScene(image_HWC), tiling, Wanted())
    assert len(run.plan.windows) == 4
    different_HW = mapped(run)["classes"][0] != ids_of(model, whole(model, image_HWC))
    near_HW = near_borders(576, 576, tiling)
    assert near_HW.mean() > 0.1
    assert different_HW.mean() <= 0.001
    assert different_HW[near_HW].mean() <= max(1.2 * different_HW[~near_HW].mean(), 0.0001)
    seams = run.statistics.seams
    assert seams.pixels == 4 * 288 * 32
    assert seams.different <= 0.001 * seams.pixels


@pytest.mark.parametrize("make", [exact_model, untrained_model])
@pytest.mark.parametrize("size", [(1, 1), (1, 40), (40, 1), (31, 33), (64, 64), (50, 90)])
def test_a_scene_of_one_window_is_put_through_the_network_once(
    make: Callable[[], LoadedModel], size: tuple[int, int]
) -> None:
    scene, model = random_scene(*size), make()
    run = network_run(model, scene, Tiling(512, 192, 32), Wanted())
    assert (mapped(run)["classes"][0] == ids_of(model, whole(model, scene.image_HWC))).all()
    assert run.statistics.computed == np.prod([-(-side // 32) * 32 for side in size])


@st.composite
def cuts(draw: st.DrawFn) -> tuple[tuple[int, int], Window, Tiling, int]:
    height, width = draw(st.integers(1, 200)), draw(st.integers(1, 200))
    top, left = draw(st.integers(0, height - 1)), draw(st.integers(0, width - 1))
    size = draw(st.integers(1, width - left)), draw(st.integers(1, height - top))
    halo = draw(st.sampled_from([32, 64]))
    tiling = Tiling(2 * halo + 32 * draw(st.integers(2, 4)), halo, 32)
    return (height, width), Window(left, top, *size), tiling, draw(st.integers(1, 3))


@given(cuts(), st.data())
@settings(max_examples=40)
def test_size_of_windows_and_batches_and_bounds_change_no_byte(
    cut: tuple[tuple[int, int], Window, Tiling, int], data: st.DataObject
) -> None:
    size, bounds, tiling, batch = cut
    scene, model = random_scene(*size), exact_model()
    scene.valid_HW[:: data.draw(st.integers(1, 9)), : size[1] // 2] = False
    scene = ArrayScene(scene.image_HWC, valid_HW=scene.valid_HW)
    found = mapped(network_run(model, scene, tiling, ALL, bounds, batch))
    expected = mapped(network_run(model, scene, Tiling(1024, 32, 32)))
    for name, layer_CHW in expected.items():
        assert (found[name] == layer_CHW[(slice(None), *bounds.toslices())]).all()
    logits_KHW = whole(model, scene.image_HWC)
    assert (expected["classes"][0] == np.where(scene.valid_HW, ids_of(model, logits_KHW), 255)).all()


@pytest.fixture(params=[False, True], ids=["waited for", "one late"])
def asynchronous(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether batches are handled as those of a GPU, which computes one while the one before is written."""
    monkeypatch.setattr("pipeline.inference.forward.is_asynchronous", lambda device: request.param)
    return bool(request.param)


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_at_most_one_batch_is_in_the_network_while_another_is_written(
    asynchronous: bool, batch: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, events = network_run(exact_model(), random_scene(150, 200), SMALL, batch=batch), ""
    monkeypatch.setattr("pipeline.inference.forward.launch", lambda *arguments: launched(launch(*arguments)))

    def launched(layers: Launched) -> Launched:
        nonlocal events
        events += "L"
        return layers

    with open_work("events") as work:
        finish = work.finish_row

        def finish_row() -> None:
            nonlocal events
            events += "R"
            finish()

        monkeypatch.setattr(work, "finish_row", finish_row)
        run_network(run, work, "map")
        assert work.rows_done == 2
    row = -(-3 // batch) * "L"
    assert events == (row + "L" + "R" + row[1:] + "R" if asynchronous else 2 * (row + "R"))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_batches_that_are_written_one_late_change_no_byte(asynchronous: bool, batch: int) -> None:
    scene = half_valid("left")
    scene.valid_HW[-30:, -30:] = True  # some windows, and some batches, are skipped
    run = network_run(untrained_model(), scene, SMALL, ALL, batch=batch)
    found, single = mapped(run), network_run(untrained_model(), scene, SMALL, ALL)
    expected = mapped(single)
    assert all((found[name] == layer_CHW).all() for name, layer_CHW in expected.items())
    assert run.statistics.computed == single.statistics.computed == 4 * 128 * 128
    assert run.statistics.network_seconds > 0
    assert (run.statistics.seams.pixels, run.statistics.seams.different) == (
        single.statistics.seams.pixels,
        single.statistics.seams.different,
    )


class BrokenScene(ArrayScene):
    """Fails when windows that begin below row `limit` are read."""

    limit = 0

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        if window.row_off > self.limit:
            raise PipelineError("stopped")
        return super().read(window)


@pytest.mark.parametrize("batch", [1, 2])
def test_a_restart_after_any_row_of_windows_changes_no_byte(batch: int, asynchronous: bool) -> None:
    model, image_HWC = untrained_model(), random_scene(340, 150).image_HWC
    undisturbed = mapped(network_run(model, ArrayScene(image_HWC), SMALL, ALL, batch=batch))
    tops = [window.rows.start for window, *_ in network_run(model, ArrayScene(image_HWC), SMALL).plan.rows]
    assert len(tops) == 5
    for done, top in enumerate(tops[:-1], 1):
        broken = BrokenScene(image_HWC)
        broken.limit = top
        with pytest.raises(PipelineError, match="^stopped$"):
            mapped(network_run(model, broken, SMALL, ALL, batch=batch), "restarted")
        scene = ArrayScene(image_HWC)
        with open_work("restarted") as work:
            # the row that was in the network when the reader failed may be missing
            assert work.rows_done in (done - 1, done)
            remaining = tops[work.rows_done :]
            run = network_run(model, scene, SMALL, ALL, batch=batch)
            run_network(run, work, "map")
            found = read_layers(run, work)
        assert {window.row_off for window in scene.read_windows} == set(remaining)
        assert all((found[name] == layer_CHW).all() for name, layer_CHW in undisturbed.items())


@pytest.mark.parametrize("batch", [1, 2, 3, 100])
def test_batches_do_not_cross_rows(batch: int) -> None:
    run = network_run(exact_model(), random_scene(150, 200), SMALL, batch=batch)
    assert [len(row) for row in run.plan.rows] == [3, 3]
    batches = run.batches(0)
    assert [window for each in batches for window in each.windows] == run.plan.windows
    for each in batches:
        assert len({window.rows for window in each.windows}) == 1
        assert each.is_last == (each.windows[-1].columns.core_stop == 200)
    assert run.batches(1) == [each for each in batches if each.windows[0].rows.core_start]


def half_valid(side: str) -> ArrayScene:
    """200 x 200 px with data only in the outermost 20 px at one side."""
    valid_HW = np.zeros((200, 200), bool)
    valid_HW[{"top": np.s_[:20], "left": np.s_[:, :20], "bottom": np.s_[-20:]}[side]] = True
    return ArrayScene(random_scene(200, 200).image_HWC, valid_HW=valid_HW)


@pytest.mark.parametrize("side", ["top", "left", "bottom"])
def test_windows_without_data_in_their_core_are_not_computed(side: str) -> None:
    run = network_run(exact_model(), half_valid(side), SMALL, Wanted())
    layers = mapped(run)
    assert len(run.plan.windows) == 9
    assert run.statistics.computed == 3 * 128 * 128
    assert ((layers["classes"] != 255) == run.scene.valid_HW).all()


def test_a_scene_without_data_is_not_computed() -> None:
    scene = ArrayScene(np.zeros((100, 100, 3), np.uint8), valid_HW=np.zeros((100, 100), bool))
    run = network_run(exact_model(), scene, SMALL)
    assert all((layer_CHW == 255).all() for layer_CHW in mapped(run).values())
    assert (run.statistics.computed, run.statistics.seams.disagreement) == (0, None)


def test_windows_outside_the_area_are_neither_read_nor_computed() -> None:
    scene = random_scene(200, 200)
    run = network_run(exact_model(), scene, SMALL, is_wanted=lambda core: core.row_off == core.col_off == 0)
    layers = mapped(run)
    assert scene.read_windows == [Window(0, 0, 128, 128)]
    assert run.statistics.computed == 128 * 128
    for layer_CHW in layers.values():
        assert (layer_CHW[:, :80, :80] != 255).all()
        assert (layer_CHW[:, 80:] == 255).all()
        assert (layer_CHW[:, :, 80:] == 255).all()


def test_windows_without_a_halo_are_not_compared() -> None:
    run = network_run(untrained_model(), random_scene(64, 128), Tiling(64, 0, 32), Wanted())
    mapped(run)
    assert len(run.plan.windows) == 2
    assert run.statistics.seams.disagreement is None


def test_a_batch_that_fails_in_the_network_ends_the_run_after_finished_rows(
    asynchronous: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    run, seen = network_run(exact_model(), random_scene(300, 200), SMALL, batch=3), []

    def failing(*arguments: Any) -> Launched:
        seen.append(1)
        if len(seen) == 3:
            raise RuntimeError("out of memory")
        return launch(*arguments)

    monkeypatch.setattr("pipeline.inference.forward.launch", failing)
    with pytest.raises(RuntimeError, match="out of memory"), open_work("failing") as work:
        run_network(run, work, "map")
    assert work.rows_done == (1 if asynchronous else 2)
    monkeypatch.undo()
    assert all(
        (found == expected).all()
        for found, expected in zip(
            mapped(network_run(exact_model(), random_scene(300, 200), SMALL, batch=3), "failing").values(),
            mapped(network_run(exact_model(), random_scene(300, 200), SMALL)).values(),
            strict=True,
        )
    )


def test_a_failed_write_ends_the_run(tmp_path: Path, asynchronous: bool) -> None:
    class FullDisk(Layer):
        def write(self, row: int, column: int, values_CHW: np.ndarray) -> None:
            raise OSError(28, "No space left on device")

    class FullWork(Work):
        def layer(self, name: str, height: int, width: int, bands: int = 1) -> Layer:
            return FullDisk(self.folder / name, height, width, bands)

    work = FullWork(tmp_path)
    with pytest.raises(OSError, match="No space left"):
        run_network(network_run(exact_model(), random_scene(200, 64), SMALL), work, "map")
    assert work.rows_done == 0


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.4, "less than 1 s"), (1, "1 s"), (89, "89 s"), (90, "2 min"), (5399, "90 min"), (5400, "1.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert duration(seconds) == text
