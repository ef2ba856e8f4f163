"""From logits to layers, against scipy; and what a model chooses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.special import softmax

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.inference.memory import batch_bytes_per_pixel
from pipeline.inference.network import Wanted, load_model, map_layers
from pipeline.inference.windows import Tiling
from pipeline.learning.device import Device
from pipeline.learning.model import load_model as load_folder
from tests.inference.world import ALL, exact_model, loaded, untrained_model
from tests.learning.world import World
from tests.maps import TABLE

LOGITS_KHW = np.random.default_rng(0).normal(0, 2, (3, 20, 30)).astype(np.float32)


def layers(wanted: Wanted, table: ClassTable = TABLE, logits_KHW: np.ndarray = LOGITS_KHW) -> dict[str, np.ndarray]:
    predicted = map_layers(exact_model(table), torch.from_numpy(logits_KHW), wanted)
    return {name: layer.numpy() for name, layer in predicted.items()}


def classes(*entries: tuple[int, str]) -> ClassTable:
    return ClassTable(classes=tuple(LandCoverClass(id=key, name=name, colour=(key, 0, 0)) for key, name in entries))


def test_classes_are_ids() -> None:
    assert (layers(Wanted())["classes"][0] == np.array([10, 30, 70])[LOGITS_KHW.argmax(axis=0)]).all()


def test_probabilities_are_the_softmax_in_per_cent() -> None:
    per_cent_KHW = 100 * softmax(LOGITS_KHW.astype(np.float64), axis=0)
    found = layers(ALL)
    assert np.abs(found["probabilities"] - per_cent_KHW).max() <= 0.5001
    assert (found["confidence"][0] == found["probabilities"].max(axis=0)).all()
    assert found["confidence"].min() >= 33


def test_large_logits_stay_between_0_and_100() -> None:
    logits_KHW = np.array([[[1e4, 0.0]], [[-1e4, 0.0]], [[0.0, 0.0]]], np.float32)
    found = layers(ALL, logits_KHW=logits_KHW)
    assert found["probabilities"][:, 0].tolist() == [[100, 33], [0, 33], [0, 33]]
    assert found["classes"].tolist() == [[[10, 10]]]  # the first on a tie


@pytest.mark.parametrize("per_cent", [0, 50, 100])
def test_pixels_below_the_limit_are_undecided(per_cent: float) -> None:
    found = layers(replace(ALL, undecided=per_cent))
    low_HW = 100 * softmax(LOGITS_KHW.astype(np.float64), axis=0).max(axis=0) < per_cent
    assert ((found["classes"][0] == 254) == low_HW).all()
    assert (found["classes"][0] == layers(ALL)["classes"][0])[~low_HW].all()
    assert (found["confidence"] == layers(ALL)["confidence"]).all()  # which hides nothing


def test_a_pixel_at_the_limit_is_decided() -> None:
    logits_KHW = np.array([[[1e4]], [[-1e4]], [[0.0]]], np.float32)
    assert layers(Wanted(undecided=100), logits_KHW=logits_KHW)["classes"].tolist() == [[[10]]]


@pytest.mark.parametrize(
    ("table", "expected"),
    [
        (TABLE, (254, "undecided")),
        (classes((10, "a"), (254, "b")), (253, "undecided")),
        (classes((0, "undecided"), (1, "b")), (254, "undecided (confidence)")),
        (classes(*((key, f"c{key}") for key in range(255) if key != 7)), (7, "undecided")),
    ],
)
def test_undecided_is_the_highest_free_id(table: ClassTable, expected: tuple[int, str]) -> None:
    model = exact_model(table)
    undecided = model.undecided_class()
    assert (undecided.id, undecided.name, undecided.colour) == (*expected, (128, 128, 128))
    assert model.table(undecided=False) == table
    assert set(model.table(undecided=True).ids) == {*table.ids, expected[0]}


def test_without_a_free_id_no_pixel_can_be_undecided() -> None:
    model = exact_model(classes(*((key, f"c{key}") for key in range(255))))
    with pytest.raises(
        PipelineError, match="^--undecided needs a free class id below 255, and the model's classes use"
    ):
        model.table(undecided=True)


@pytest.mark.parametrize("gigabytes", [0.2, 0.5, 0.9])
def test_the_window_is_the_largest_that_fits(gigabytes: float) -> None:
    model = untrained_model()
    tiling, batch = model.plan(gigabytes)
    assert (tiling.halo, tiling.stride, batch) == (160, 32, 1)
    per_pixel = batch_bytes_per_pixel(model.model.segmenter, model.device)
    assert tiling.window % 32 == 0
    assert tiling.window**2 * per_pixel <= 1e9 * gigabytes < (tiling.window + 32) ** 2 * per_pixel


def test_larger_windows_than_are_useful_are_not_chosen() -> None:
    assert untrained_model().plan(1000.0) == (Tiling(1280, 160, 32), 1)


def test_windows_and_batches_do_not_depend_on_the_free_part_of_a_gpus_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else a killed map would be started anew."""
    model = replace(untrained_model(), device=Device("cuda", "fp32"))
    plans = []
    for free in (20, 60):
        monkeypatch.setattr("torch.cuda.mem_get_info", lambda free=free: (free * 10**9, 80 * 10**9))
        plans.append(model.plan(None))
    assert plans[0] == plans[1] == model.plan(40.0)


@pytest.mark.parametrize(
    ("gigabytes", "window", "batch"),
    [(40.0, 1280, 5), (1.0, 1280, 1), (3.0, 1280, 3), (0.4, 800, 1)],
)
def test_a_batch_on_a_gpu_has_8_million_pixels_or_what_fits(gigabytes: float, window: int, batch: int) -> None:
    model = replace(untrained_model(), device=Device("cuda", "fp32"))
    tiling, found = model.plan(gigabytes)
    assert (tiling.window, found) == (window, batch)


def test_layers_need_no_value_of_the_logits_for_which_a_gpu_would_be_waited_for() -> None:
    """On the device `meta` there are none."""
    model = replace(exact_model())
    vars(model)["class_ids"] = model.class_ids.to("meta")
    predicted = map_layers(model, torch.from_numpy(LOGITS_KHW).to("meta"), replace(ALL, undecided=50.0))
    assert {name: tuple(layer.shape) for name, layer in predicted.items()} == {
        "classes": (1, 20, 30),
        "confidence": (1, 20, 30),
        "probabilities": (3, 20, 30),
    }


def test_a_halo_covers_the_stride() -> None:
    assert exact_model().is_measured
    unknown = loaded(exact_model().model.segmenter, architecture="fpn")
    assert (unknown.halo, unknown.is_measured) == (256, False)


def test_the_identity_changes_with_model_and_precision() -> None:
    model = exact_model()
    other, half = loaded(model.model.segmenter, digest="other"), replace(model, device=Device("cpu", "bf16"))
    assert len({str(each.identity) for each in (model, other, half)}) == 3
    assert model.identity == exact_model().identity


def test_a_model_is_loaded_in_the_precision_of_its_training(trained: World) -> None:
    model = load_model(trained.model, "cpu")
    trained_in = load_folder(trained.model).precision
    assert (model.device.precision, model.notes) == (trained_in, ())
    assert not model.model.segmenter.training


def test_a_precision_that_the_device_lacks_becomes_fp32(trained: World) -> None:
    model = load_model(trained.model, "cpu", "fp16")
    assert model.device == Device("cpu", "fp32")
    assert model.notes == ("fp16 is not supported on this cpu: the network runs in fp32",)


@pytest.mark.parametrize("value", [np.inf, np.nan])
def test_pixels_whose_softmax_is_nan_are_undecided(value: float) -> None:
    logits_KHW = LOGITS_KHW.copy()
    logits_KHW[1, 0, 0] = value
    found = layers(replace(ALL, undecided=20.0), logits_KHW=logits_KHW)
    undecided = exact_model(TABLE).undecided_class().id
    assert np.argwhere(found["classes"][0] == undecided).tolist() == [[0, 0]]  # of three classes one has 33 %
    assert found["confidence"][0, 0, 0] == 0
    assert not found["probabilities"][:, 0, 0].any()
