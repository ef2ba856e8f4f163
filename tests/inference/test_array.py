"""Images in memory."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.inference import predict_array, predict_scene
from pipeline.inference.options import MapOptions
from tests.inference.world import ALL, exact_model, ids_of, random_scene, save_scene, untrained_model, whole
from tests.maps import read

IMAGE_HWC = random_scene(500, 610).image_HWC


def test_the_layers_are_those_of_a_scene(tmp_path: Path) -> None:
    model, image_HWC = exact_model(), IMAGE_HWC
    scene = save_scene(tmp_path / "scene.tif", image_HWC)
    predict_scene(model, scene, tmp_path / "map.tif", MapOptions(wanted=ALL))
    found = predict_array(model, image_HWC, wanted=ALL)
    assert found.keys() == {"classes", "confidence", "probabilities"}
    for name, layer_CHW in found.items():
        assert (read(tmp_path / ("map.tif" if name == "classes" else f"map.{name}.tif")) == layer_CHW).all()


def test_several_windows_are_one_image(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.inference.network.WINDOW_HALOS", 4)
    monkeypatch.setattr("pipeline.inference.network.DEFAULT_HALO", 32)
    monkeypatch.setattr("pipeline.inference.network.HALO", {})
    model = exact_model()
    assert model.plan(None)[0].window == 128
    found = predict_array(model, IMAGE_HWC)
    assert (found["classes"][0] == ids_of(model, whole(model, IMAGE_HWC))).all()


def test_invalid_pixels_are_255_whatever_their_values() -> None:
    image_HWC, valid_HW = IMAGE_HWC[:64, :64].copy(), np.ones((64, 64), bool)
    valid_HW[20:40, 20:40] = False
    before = predict_array(untrained_model(), image_HWC, valid_HW, ALL)
    image_HWC[~valid_HW] = 255
    after = predict_array(untrained_model(), image_HWC, valid_HW, ALL)
    for name, layer_CHW in after.items():
        assert ((layer_CHW == 255) == ~valid_HW).all()
        assert (layer_CHW == before[name]).all()


def test_an_image_may_be_read_only() -> None:
    image_HWC = IMAGE_HWC[:40, :50].copy()
    image_HWC.flags.writeable = False
    assert predict_array(exact_model(), image_HWC)["classes"].shape == (1, 40, 50)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (np.zeros((4, 5), np.uint8), r"uint8 of shape \(4, 5\)"),
        (np.zeros((4, 5, 4), np.uint8), r"uint8 of shape \(4, 5, 4\)"),
        (np.zeros((4, 5, 3), np.uint16), r"uint16 of shape \(4, 5, 3\)"),
        (np.zeros((0, 5, 3), np.uint8), r"uint8 of shape \(0, 5, 3\)"),
    ],
)
def test_other_images_are_refused(image: np.ndarray, message: str) -> None:
    with pytest.raises(PipelineError, match=rf"^the image is {message}; expected uint8 of shape \(height, width, 3\)$"):
        predict_array(exact_model(), image)


@pytest.mark.parametrize("valid_HW", [np.ones((5, 4), bool), np.ones((4, 5), np.uint8), np.ones((4, 5, 1), bool)])
def test_other_masks_are_refused(valid_HW: np.ndarray) -> None:
    with pytest.raises(PipelineError, match=r"^valid_HW is .*; expected bool of shape \(4, 5\)$"):
        predict_array(exact_model(), np.zeros((4, 5, 3), np.uint8), valid_HW)


def test_an_image_has_the_bands_of_the_model() -> None:
    model, image_HWC = untrained_model(bands=5), random_scene(40, 50, bands=5).image_HWC
    assert (predict_array(model, image_HWC)["classes"][0] == ids_of(model, whole(model, image_HWC))).all()
    with pytest.raises(PipelineError, match=r"of shape \(40, 50, 3\); expected uint8 of shape \(height, width, 5\)"):
        predict_array(model, image_HWC[..., :3])
