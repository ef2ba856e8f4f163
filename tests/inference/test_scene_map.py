"""A map appears with all its files or not at all, goes on after a failure, and records how it was made."""

import os
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import rasterio.shutil

from pipeline.inference import outputs as map_outputs
from pipeline.inference import scene_map
from pipeline.inference.network import LoadedModel
from pipeline.inference.options import MapOptions
from pipeline.inference.scene_map import map_tags, predict_scene
from pipeline.inference.windows import Tiling
from pipeline.scenes.area import AreaOptions
from tests.inference.world import (
    ALL,
    exact_model,
    random_scene,
    save_scene,
)
from tests.maps import outputs, read
from tests.world import at

OPTIONS = MapOptions(tiling=Tiling(128, 32, 32))
IMAGE_HWC = random_scene(200, 170).image_HWC
"""3 x 2 windows of 128 px; their cores begin in rows 0, 80 and 128."""


@pytest.fixture(autouse=True)
def instant_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inference.estimate._seconds_per_pixel", lambda run: 1e-5)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return save_scene(tmp_path / "scene.tif", IMAGE_HWC)


def test_a_thin_line_of_no_data_stays_at_another_pixel_size(tmp_path: Path) -> None:
    image_HWC = np.maximum(IMAGE_HWC[:120, :160], 1)
    image_HWC[:, 50] = 0  # the centre of a pixel of the network lies in column 51
    fine = save_scene(tmp_path / "fine.tif", image_HWC, at(y=0.0, pixel=5.0), nodata=0)
    predict_scene(exact_model(), fine, tmp_path / "map.tif", replace(OPTIONS, resample=True))
    missing_HW = read(tmp_path / "map.tif")[0] == 255
    assert missing_HW[:, 50].all() and missing_HW.sum(axis=1).max() <= 2


class StoppedError(BaseException):
    """Like a kill: nothing catches it."""


STEPS = dict.fromkeys(("run_network", "finish_layers", "write_outputs", "write_preview"), scene_map)
STEPS |= dict.fromkeys(("write_cog", "pam_xml"), map_outputs)


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_after_a_failure_there_is_no_map_and_the_same_call_completes_it(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    options = replace(OPTIONS, wanted=ALL, preview=tmp_path / "out/preview.png", mmu=1.0)
    predict_scene(exact_model(), scene, tmp_path / "out/map.tif", options)
    undisturbed = outputs(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")

    def stopped(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> None:
            if moment == "after":
                function(*arguments)
            raise StoppedError

        return call

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(STEPS[step], step, stopped(getattr(STEPS[step], step)))
        predict_scene(exact_model(), scene, tmp_path / "out/map.tif", options)
    has_map = (step, moment) == ("write_outputs", "after")
    names = {path.name for path in (tmp_path / "out").glob("*")}
    assert ("map.tif" in names) == has_map
    assert names <= set(undisturbed)  # nothing temporary
    again = replace(options, overwrite=has_map)
    result = predict_scene(exact_model(), scene, tmp_path / "out/map.tif", again)
    assert outputs(tmp_path / "out") == undisturbed
    assert result.computed == (6 * 128**2 if (step, moment) == ("run_network", "before") else 0)


def stop(*arguments: Any) -> None:
    raise StoppedError


@pytest.fixture
def unfinished(scene: Path, tmp_path: Path) -> MapOptions:
    """Options of a map whose files were about to be written when its process ended."""
    options = replace(OPTIONS, preview=tmp_path / "preview.png")
    with pytest.MonkeyPatch.context() as patch, pytest.raises(StoppedError):
        patch.setattr(scene_map, "write_outputs", stop)
        predict_scene(exact_model(), scene, tmp_path / "map.tif", options)
    return options


def test_unfinished_work_goes_on_only_for_the_same_map(scene: Path, tmp_path: Path, unfinished: MapOptions) -> None:
    model, out = exact_model(), tmp_path / "map.tif"
    other = replace(model, model=replace(model.model, digest="other"))
    box = AreaOptions(mask=save_scene(tmp_path / "mask.tif", np.zeros((200, 170, 1), np.uint8)))

    def computed(model: LoadedModel = model, out: Path = out, **changes: Any) -> int:
        return predict_scene(model, scene, out, replace(unfinished, overwrite=True, **changes)).computed

    new = 6 * 128**2
    assert (computed(other), computed(out=tmp_path / "other.tif")) == (new, new)
    assert [computed(offset=1.0), computed(wanted=ALL), computed(area=box), computed(on_error="skip")] == [new] * 4
    assert computed(tiling=None) == 224 * 192
    assert computed(mmu=1.0, preview=None) == 0  # the same windows
    os.utime(scene, ns=(0, 0))
    assert computed() == new


def test_tags_tell_how_a_map_was_made(scene: Path, tmp_path: Path) -> None:
    predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(OPTIONS, mmu=0.5, offset=0.0))
    with rasterio.open(tmp_path / "map.tif") as dataset:
        tags = dataset.tags()
    expected = {"MODEL_SHA256": "digest", "PRECISION": "fp32", "OPTION_MMU": "0.5", "OPTION_OFFSET": "0.0"}
    assert expected | {"OPTION_TILING": "128 px, halo 32 px"} == map_tags(
        exact_model(), replace(OPTIONS, mmu=0.5, offset=0.0)
    )
    assert tags.items() >= expected.items()


def test_a_map_by_a_model_of_the_sample_is_marked_as_such(scene: Path, tmp_path: Path) -> None:
    model = exact_model()
    imagery = replace(model.model.imagery, synthetic=True)
    of_sample = replace(model, model=replace(model.model, imagery=imagery))
    options = replace(OPTIONS, preview=tmp_path / "map.png", overwrite=True)
    previews = []
    for each, expected in ((of_sample, "synthetic sample"), (model, None)):
        predict_scene(each, scene, tmp_path / "map.tif", options)
        with rasterio.open(tmp_path / "map.tif") as dataset:
            assert dataset.tags().get("TRAINED_ON") == expected
        previews.append((tmp_path / "map.png").read_bytes())
    assert previews[0] != previews[1]
