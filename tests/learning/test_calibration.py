"""The temperature of a model makes its probabilities the most likely ones, whatever the batches."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar
from scipy.special import expit

from pipeline.learning.calibration import LOG2_BETAS, STRIDE, Calibration, calibrate, likelihood_slopes, temperature
from pipeline.learning.data import Batch, Chips
from pipeline.learning.device import Device
from pipeline.learning.loaders import scoring_loader
from pipeline.learning.model import load_model
from tests.learning.cuda import set_sync_debug_mode
from tests.learning.world import BRIGHTNESS, World

CPU = Device("cpu", "fp32")
COLDEST, HOTTEST = float(2 ** -LOG2_BETAS[-1]), float(2 ** -LOG2_BETAS[0])


class Replay:
    """A network whose images are its logits."""

    def predict_logits(self, images_NCHW: torch.Tensor, device: Device) -> torch.Tensor:
        return images_NCHW


def fit(*batches: Batch, groups: str) -> Calibration:
    """`groups` has a letter per chip."""
    ids = [str(index) for index in range(len(groups))]
    return calibrate(Replay(), batches, CPU, ids, dict(zip(ids, groups, strict=True)))


def fitted(logits_NKHW: torch.Tensor, target_NHW: torch.Tensor) -> float:
    return temperature(likelihood_slopes(logits_NKHW, target_NHW).numpy().sum(axis=0))


def repeated(logits_K: list[float], *counts: int) -> Batch:
    """A chip whose used pixels have the same logits; `counts` of them have the classes 0, 1, …"""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    target_HW = torch.full((STRIDE, STRIDE * len(labels)), 255, dtype=torch.uint8)
    target_HW[0, ::STRIDE] = labels.byte()
    logits_KHW = torch.tensor(logits_K)[:, None, None].expand(-1, *target_HW.shape)
    return logits_KHW[None], target_HW[None]


def drawn(seed: int, scale: float, chips: int = 3, classes: int = 4) -> Batch:
    """Chips whose labels are drawn from softmax(logits / scale)."""
    generator = torch.Generator().manual_seed(seed)
    logits_NKHW = torch.randn((chips, classes, 32, 32), generator=generator)
    noise = -torch.empty_like(logits_NKHW).exponential_(generator=generator).log()
    return scale * logits_NKHW, (logits_NKHW + noise).argmax(dim=1).byte()


def exact_log2_temperature(logits_NKHW: torch.Tensor, target_NHW: torch.Tensor) -> float:
    """Minimise the negative log-likelihood itself, over the pixels that are used."""
    logits, target = logits_NKHW[:, :, ::STRIDE, ::STRIDE].double(), target_NHW[:, ::STRIDE, ::STRIDE].long()

    def loss(log2: float) -> float:
        return float(torch.nn.functional.cross_entropy(logits / 2**log2, target, ignore_index=255))

    return float(minimize_scalar(loss, bounds=(-5, 5), method="bounded", options={"xatol": 1e-9}).x)


def test_values_by_hand() -> None:
    # logits 2 and 0, correct in three of four pixels: sigmoid(2 / T) must be 3/4, so T = 2 / log(3)
    assert fitted(*repeated([2.0, 0.0], 3, 1)) == pytest.approx(2 / np.log(3), rel=1e-3)
    assert expit(2 / fitted(*repeated([2.0, 0.0], 9, 1))) == pytest.approx(0.9, abs=1e-4)
    # logits 1, 0, 0: half of the pixels are correct where exp(1 / T) = 2
    assert fitted(*repeated([1.0, 0.0, 0.0], 2, 2, 0)) == pytest.approx(1 / np.log(2), rel=1e-3)


@settings(deadline=None)
@given(st.integers(0, 10_000), st.floats(0.06, 16), st.floats(0, 0.3))
def test_it_minimises_the_negative_log_likelihood(seed: int, scale: float, ignored: float) -> None:
    logits, target = drawn(seed, scale)
    target[torch.rand(target.shape, generator=torch.Generator().manual_seed(seed)) < ignored] = 255
    assert np.log2(fitted(logits, target)) == pytest.approx(exact_log2_temperature(logits, target), abs=2e-3)


def test_a_faultless_network_gets_the_lowest_temperature_and_a_hopeless_one_the_highest() -> None:
    assert fitted(*repeated([2.0, 0.0], 5, 0)) == COLDEST
    assert fitted(*repeated([2.0, 0.0], 0, 5)) == HOTTEST
    assert fitted(*repeated([2.0, 0.0], 1, 3)) == HOTTEST  # worse than chance
    assert fitted(*repeated([9999.0, 0.0], 9, 1)) == HOTTEST


def test_without_labels_or_with_a_single_class_it_is_1() -> None:
    logits, target = drawn(0, 3.0, chips=2)
    nothing = torch.full_like(target, 255)
    assert fit((logits, nothing), groups="ab") == Calibration(1.0, 0, 1.0, 1.0)
    assert fitted(logits[:, :1], torch.zeros_like(target)) == 1.0
    beside = torch.full_like(target, 255)
    beside[:, 1::STRIDE] = target[:, 1::STRIDE]  # rows that are not used
    assert fitted(logits, beside) == 1.0


@pytest.mark.parametrize("value", [torch.inf, -torch.inf, torch.nan])
@pytest.mark.parametrize("ignored", [True, False])
def test_pixels_without_finite_logits_are_left_out(value: float, ignored: bool) -> None:
    logits, target = drawn(0, 2.0)
    without, damaged = target.clone(), logits.clone()
    without[:, :8] = 255
    damaged[:, 1, :8] = value
    assert fitted(damaged, without if ignored else target) == fitted(logits, without)


def test_slopes_need_no_value_of_the_logits_for_which_a_gpu_would_be_waited_for() -> None:
    """On the device `meta` there are none."""
    logits, target = drawn(0, 2.0)
    assert likelihood_slopes(logits.to("meta"), target.to("meta")).shape == (3, len(LOG2_BETAS))


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_a_gpu_finds_the_same_slopes_without_being_waited_for() -> None:
    logits, target = drawn(0, 2.0)
    on_gpu, pinned = logits.cuda(), target.pin_memory()
    set_sync_debug_mode("error")
    try:
        slopes_NB = likelihood_slopes(on_gpu, pinned)
    finally:
        set_sync_debug_mode("default")
    assert torch.allclose(slopes_NB.cpu(), likelihood_slopes(logits, target), rtol=1e-9)


def test_groups_are_fitted_together_and_on_their_own() -> None:
    cold, hot = drawn(1, 0.5, chips=2), drawn(2, 4.0, chips=2)
    nothing = cold[0][:1], torch.full_like(cold[1][:1], 255)
    result = fit(cold, hot, nothing, groups="aabbc")
    assert result.groups == 2
    assert (result.lowest, result.highest) == (fitted(*cold), fitted(*hot))
    assert result.lowest == pytest.approx(0.5, rel=0.2)
    assert result.highest == pytest.approx(4.0, rel=0.2)
    both = tuple(torch.cat(pair) for pair in zip(cold, hot, strict=True))
    assert result.temperature == fitted(*both)
    assert result.lowest < result.temperature < result.highest


def test_the_model_of_a_training_holds_the_temperature_of_its_validation_chips(trained: World) -> None:
    model = load_model(trained.model)
    val = Chips(trained.folder / "chips", ["c08", "c09"], BRIGHTNESS)
    assert model.precision is not None
    device = Device("cpu", model.precision)
    segmenter = model.segmenter.eval().to(memory_format=device.memory_format)
    assert model.calibration == calibrate(
        segmenter, scoring_loader(val, 1, 0), device, val.ids, {"c08": "a", "c09": "b"}
    )
    assert model.temperature == model.calibration.temperature != 1
    images, target = (torch.stack(parts) for parts in zip(*val, strict=True))
    logits = segmenter.predict_logits(images, device)
    assert np.log2(model.temperature) == pytest.approx(exact_log2_temperature(logits, target), abs=2e-3)
