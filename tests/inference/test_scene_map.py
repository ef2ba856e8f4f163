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
from PIL import Image

from pipeline.core.errors import PipelineError
from pipeline.inference import scene_map
from pipeline.inference.network import LoadedModel, Wanted
from pipeline.inference.options import MapOptions, Source
from pipeline.inference.scene_map import is_finished, map_tags, predict_scene
from pipeline.inference.windows import Tiling
from pipeline.scenes.area import AreaOptions
from tests.inference.world import (
    ALL,
    exact_model,
    ids_of,
    random_scene,
    save_scene,
    whole,
)
from tests.world import at

OPTIONS = MapOptions(tiling=Tiling(128, 32, 32))
IMAGE_HWC = random_scene(200, 170).image_HWC
"""3 x 2 windows of 128 px; their cores begin in rows 0, 80 and 128."""


@pytest.fixture(autouse=True)
def instant_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inference.estimate._seconds", lambda run: 1.0)


@pytest.fixture
def scene(tmp_path: Path) -> Path:
    return save_scene(tmp_path / "scene.tif", IMAGE_HWC)


def pixels(path: Path) -> np.ndarray:
    with rasterio.open(path) as dataset:
        return np.asarray(dataset.read())


def written(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def expected_ids(image_HWC: np.ndarray = IMAGE_HWC) -> np.ndarray:
    return ids_of(exact_model(), whole(exact_model(), image_HWC))


def test_a_scene_becomes_a_map_with_its_files(scene: Path, tmp_path: Path) -> None:
    lines: list[str] = []
    options = replace(OPTIONS, wanted=ALL, preview=tmp_path / "out/preview.png")
    result = predict_scene(exact_model(), scene, tmp_path / "out/map.tif", options, lines.append)
    assert sorted(written(tmp_path / "out")) == [
        "map.confidence.tif",
        "map.probabilities.tif",
        "map.qml",
        "map.tif",
        "map.tif.aux.xml",
        "preview.png",
    ]
    assert (pixels(result.path)[0] == expected_ids()).all()
    assert (result.height, result.width, result.pixels) == (200, 170, 34_000)
    assert (result.computed, result.disagreement, result.damaged) == (6 * 128**2, 0.0, ())
    assert len(lines) == 1
    assert lines[0].startswith(f"{scene}: ")
    assert " px in 6 windows of 128 x 128 px, " in lines[0]
    with Image.open(tmp_path / "out/preview.png") as image:
        assert image.info["Title"] == "scene.tif"


def test_a_thin_line_of_no_data_stays_at_another_pixel_size(tmp_path: Path) -> None:
    image_HWC = np.maximum(IMAGE_HWC[:120, :160], 1)
    image_HWC[:, 50] = 0  # the centre of a pixel of the network lies in column 51
    fine = save_scene(tmp_path / "fine.tif", image_HWC, at(y=0.0, pixel=5.0), nodata=0)
    predict_scene(exact_model(), fine, tmp_path / "map.tif", replace(OPTIONS, resample=True))
    missing_HW = pixels(tmp_path / "map.tif")[0] == 255
    assert missing_HW[:, 50].all() and missing_HW.sum(axis=1).max() <= 2


class StoppedError(BaseException):
    """Like a kill: nothing catches it."""


STEPS = ("run_network", "finish_layers", "write_outputs", "write_cog", "write_preview", "pam_xml")
WHERE = dict.fromkeys(STEPS, "pipeline.inference.scene_map") | {
    "write_cog": "pipeline.inference.outputs",
    "pam_xml": "pipeline.inference.outputs",
}


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", STEPS)
def test_after_a_failure_there_is_no_map_and_the_same_call_completes_it(
    scene: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, moment: str
) -> None:
    options = replace(OPTIONS, wanted=ALL, preview=tmp_path / "out/preview.png", mmu=1.0)
    predict_scene(exact_model(), scene, tmp_path / "out/map.tif", options)
    undisturbed = written(tmp_path / "out")
    shutil.rmtree(tmp_path / "out")

    def stopped(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any) -> None:
            if moment == "after":
                function(*arguments)
            raise StoppedError

        return call

    with monkeypatch.context() as patch, pytest.raises(StoppedError):
        module = __import__(WHERE[step], fromlist=[step])
        patch.setattr(module, step, stopped(getattr(module, step)))
        predict_scene(exact_model(), scene, tmp_path / "out/map.tif", options)
    has_map = (step, moment) == ("write_outputs", "after")
    names = {path.name for path in (tmp_path / "out").glob("*")}
    assert ("map.tif" in names) == has_map
    assert names <= set(undisturbed)  # nothing temporary
    again = replace(options, overwrite=has_map)
    result = predict_scene(exact_model(), scene, tmp_path / "out/map.tif", again)
    assert written(tmp_path / "out") == undisturbed
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


def test_files_of_others_are_not_replaced_after_a_failure(scene: Path, tmp_path: Path, unfinished: MapOptions) -> None:
    options = unfinished
    (tmp_path / "photo.png").write_text("mine")
    with pytest.raises(PipelineError, match="photo.png exists"):
        predict_scene(exact_model(), scene, tmp_path / "map.tif", replace(options, preview=tmp_path / "photo.png"))


def test_finished_maps_are_known_by_model_options_and_scene(scene: Path, tmp_path: Path) -> None:
    model, out, source = exact_model(), tmp_path / "map.tif", Source((str(scene),))
    assert not is_finished(model, source, out, OPTIONS)
    predict_scene(model, source, out, OPTIONS)
    assert is_finished(model, source, out, OPTIONS)
    for change in (
        {"mmu": 1.0},
        {"wanted": ALL},
        {"wanted": Wanted(undecided=40)},
        {"resample": True},
        {"tiling": None},
        {"offset": 0.5},
        {"area": AreaOptions(bbox=(-3.0, 9.0, -2.0, 10.0))},
    ):
        assert not is_finished(model, source, out, replace(OPTIONS, **change))
    assert not is_finished(replace(model, model=replace(model.model, digest="other")), source, out, OPTIONS)
    os.utime(scene, ns=(0, out.stat().st_mtime_ns + 1))
    assert not is_finished(model, source, out, OPTIONS)


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
