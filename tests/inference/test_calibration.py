"""Without overlap, a map has the classes and the calibration error that the stage evaluate reports for the chips."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from benchmarks.calibration import chips_in_scenes, copy_model, map_bins
from pipeline.evaluation.calibration import PIXELS, calibration_error
from pipeline.evaluation.test_pass import count_predictions
from pipeline.formats.chips import read_chips
from pipeline.formats.classes import ClassTable
from pipeline.inference.network import LoadedModel, Wanted, load_model
from pipeline.inference.options import MapOptions
from pipeline.inference.scene_map import predict_scene
from pipeline.inference.windows import Tiling
from pipeline.learning.calibration import Calibration
from pipeline.learning.data import Chips
from pipeline.learning.loaders import scoring_loader
from pipeline.tile import TileParams, tile
from tests.inference.world import FP32, bright_scene, trained_model
from tests.learning.world import BRIGHTNESS, World
from tests.maps import read
from tests.world import archive, orthophoto, params

WINDOWS = MapOptions(Wanted(confidence=True), tiling=Tiling(64, 0, 32))
"""As large as the chips, so that the network sees the same pixels."""


def at_temperature(model: LoadedModel, value: float) -> LoadedModel:
    return replace(model, model=replace(model.model, calibration=Calibration(value, 1, value, value)))


@pytest.mark.parametrize("temperature", [0.5, 1.0, 6.0])
def test_a_map_without_overlap_is_what_evaluate_scores(trained: World, tmp_path: Path, temperature: float) -> None:
    model = at_temperature(trained_model(trained), temperature)
    image_HWC, mask_HW = bright_scene(3, 4)
    raw = archive(tmp_path / "raw", "landcoverai", ClassTable(classes=BRIGHTNESS.classes, remap={255: "ignore"}))
    photo = orthophoto(raw, "photo", image_HWC.transpose(2, 0, 1), mask_HW)
    tile(raw, tmp_path / "chips", tmp_path / "failures.csv", params(TileParams, **{"tile.size": 64}))
    names = read_chips(tmp_path / "chips")["id"].tolist()
    chips = Chips(tmp_path / "chips", names, BRIGHTNESS)
    counts = count_predictions(model.model, scoring_loader(chips, 4, 0), FP32)
    (labelled,) = chips_in_scenes(tmp_path / "chips", names, raw / "images")
    assert labelled.scene == photo.image
    assert np.array_equal(labelled.truth_HW, mask_HW)
    result = predict_scene(model, photo.image, tmp_path / "map.tif", WINDOWS)
    found_HW = read(result.path)[0]
    ids = BRIGHTNESS.ids
    matrix_KK = np.array([[((mask_HW == true) & (found_HW == found)).sum() for found in ids] for true in ids])
    assert matrix_KK.tolist() == counts.matrix_KK.tolist()
    assert 0.5 < matrix_KK.trace() / matrix_KK.sum() < 1  # or any map would do
    found_3B, expected_3B = map_bins(result.path, mask_HW, ids), counts.after_N3B.sum(axis=0)
    assert found_3B[PIXELS].sum() == expected_3B[PIXELS].sum() == (mask_HW != 255).sum()
    # confidence is rounded to whole per cents
    assert calibration_error(found_3B) == pytest.approx(calibration_error(expected_3B), abs=0.005)


def test_the_copy_of_a_model_has_its_weights_and_another_temperature(trained: World, tmp_path: Path) -> None:
    model = load_model(trained.model).model
    copy = load_model(copy_model(trained.model, tmp_path / "other", 3.0)).model
    assert copy.temperature == 3.0
    assert copy.digest != model.digest
    state, copied = model.segmenter.state_dict(), copy.segmenter.state_dict()
    assert all(torch.equal(copied[name], value) for name, value in state.items())
