"""The calibration error is that of torchmetrics, and has an interval over groups."""

import math

import numpy as np
import pytest
import torch
from torchmetrics.classification import MulticlassCalibrationError

from pipeline.evaluation.calibration import (
    BINS,
    CONFIDENCE,
    CORRECT,
    PIXELS,
    Reliability,
    _sum_by_column,
    calibration_error,
    reliability,
    reliability_table,
)
from pipeline.evaluation.intervals import error_limits
from pipeline.learning.calibration import Calibration
from tests.learning.cuda import set_sync_debug_mode

FITTED = Calibration(0.5, 4, 0.4, 0.7)


def groups(*shares: float, confidence: float = 0.92) -> np.ndarray:
    """A group with 1,000 pixels of one confidence, of which a share is correct."""
    bins_G3B = np.zeros((len(shares), 3, BINS))
    bins_G3B[:, :, int(confidence * BINS)] = [(1000, 1000 * confidence, 1000 * share) for share in shares]
    return bins_G3B


def counted(logits: torch.Tensor, target: torch.Tensor, temperature: float = 1.0) -> np.ndarray:
    neither, bins_N3B = reliability(logits, logits.argmax(1), target, (7.0, temperature)).numpy()
    assert np.array_equal(neither[:, [PIXELS, CORRECT]].sum(axis=2), bins_N3B[:, [PIXELS, CORRECT]].sum(axis=2))
    return bins_N3B


def test_three_pixels() -> None:
    # probabilities 0.9, 0.9, 0.7, 1.0 of class 0, away from the edges of bins; the last pixel is ignored
    odds = torch.tensor([[9.0 - 1e-3, 9.0 - 1e-3, 7 / 3 - 1e-3, 1e9]])
    logits_NKHW = torch.stack([odds.log(), torch.zeros_like(odds)])[None]
    target = torch.tensor([[[0, 1, 0, 255]]], dtype=torch.uint8)
    (bins_3B,) = counted(logits_NKHW, target)
    assert {index: row.tolist() for index, row in enumerate(bins_3B.T) if row.any()} == {
        13: [1, pytest.approx(0.7, abs=1e-3), 1],
        17: [2, pytest.approx(1.8, abs=1e-3), 1],
    }
    (halved_3B,) = counted(logits_NKHW, target, 0.5)  # odds are squared: 81 and 5.4
    assert np.flatnonzero(halved_3B[PIXELS]).tolist() == [16, 19]
    assert halved_3B[CONFIDENCE].sum() == pytest.approx(2 * 81 / 82 + 49 / 58, abs=1e-3)
    # |1.8 - 1| + |0.7 - 1|, of three
    assert calibration_error(bins_3B) == pytest.approx(1.1 / 3, abs=1e-3)


def test_each_chip_has_its_own_bins_and_a_certain_pixel_is_in_the_last() -> None:
    logits = torch.zeros(3, 2, 1, 1)
    logits[1:, 0] = 1000.0
    target = torch.tensor([0, 0, 255], dtype=torch.uint8)[:, None, None]
    bins_N3B = counted(logits, target)
    assert bins_N3B.shape == (3, 3, BINS)
    assert bins_N3B[0, :, BINS // 2].tolist() == [1, 0.5, 1]
    assert bins_N3B[1, :, -1].tolist() == [1, 1, 1]
    assert not bins_N3B[2].any()


@pytest.mark.parametrize("temperature", [0.3, 1.0, 2.5])
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
def test_torchmetrics_finds_the_same_error(temperature: float, layout: torch.memory_format) -> None:
    logits = 2 * torch.randn(6, 4, 8, 8, generator=torch.Generator().manual_seed(1)).contiguous(memory_format=layout)
    target = torch.randint(0, 4, (6, 8, 8), generator=torch.Generator().manual_seed(2))
    before = logits.clone()
    ours = calibration_error(counted(logits, target.byte(), temperature).sum(axis=0))
    theirs = MulticlassCalibrationError(4, n_bins=BINS, norm="l1")((logits / temperature).softmax(1), target)
    assert ours == pytest.approx(float(theirs), abs=1e-5)
    assert torch.equal(logits, before)


def scattered() -> tuple[torch.Tensor, torch.Tensor]:
    """Logits and labels of three chips; some pixels are ignored, some have no finite logit."""
    logits_NKHW = 3 * torch.randn(3, 4, 40, 24, generator=torch.Generator().manual_seed(3))
    target_NHW = torch.randint(0, 4, (3, 40, 24), generator=torch.Generator().manual_seed(4)).byte()
    target_NHW[:, 5], logits_NKHW[1, 2, 7] = 255, math.inf
    return logits_NKHW, target_NHW


def test_sums_by_column_as_on_a_gpu_are_those_of_bincount(monkeypatch: pytest.MonkeyPatch) -> None:
    logits_NKHW, target_NHW = scattered()
    expected = reliability(logits_NKHW, logits_NKHW.argmax(1), target_NHW, (1.0, 0.7))
    monkeypatch.setattr("pipeline.evaluation.calibration._bincount", _sum_by_column)
    assert torch.equal(reliability(logits_NKHW, logits_NKHW.argmax(1), target_NHW, (1.0, 0.7)), expected)


def test_bins_need_no_value_of_the_logits_for_which_a_gpu_would_be_waited_for() -> None:
    """On the device `meta` there are none."""
    logits_NKHW, target_NHW = (tensor.to("meta") for tensor in scattered())
    bins_TN3B = reliability(logits_NKHW, logits_NKHW.argmax(1), target_NHW, (1.0, 0.7))
    assert bins_TN3B.shape == (2, 3, 3, BINS)


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU")
def test_a_gpu_counts_the_same_without_being_waited_for() -> None:
    logits_NKHW, target_NHW = scattered()
    expected = reliability(logits_NKHW, logits_NKHW.argmax(1), target_NHW, (1.0, 0.7))
    logits_NKHW, target_NHW = logits_NKHW.cuda(), target_NHW.cuda()
    set_sync_debug_mode("error")
    try:
        bins_TN3B = reliability(logits_NKHW, logits_NKHW.argmax(1), target_NHW, (1.0, 0.7))
    finally:
        set_sync_debug_mode("default")
    found = bins_TN3B.cpu()
    assert torch.equal(found[..., PIXELS, :].sum(-1), expected[..., PIXELS, :].sum(-1))
    # exponentials differ in their last bit: a pixel may be in the next bin
    assert (found[..., PIXELS, :] - expected[..., PIXELS, :]).abs().sum() <= 4
    assert torch.allclose(found[..., CONFIDENCE, :].sum(-1), expected[..., CONFIDENCE, :].sum(-1), rtol=1e-6)


def test_errors_of_opposite_groups_cancel() -> None:
    assert calibration_error(groups(0.82, 1.0)) == pytest.approx([0.1, 0.08])
    assert calibration_error(groups(0.82, 1.0).sum(axis=0)) == pytest.approx(0.01)


def test_metrics_with_few_groups_have_no_interval() -> None:
    assert Reliability(groups(0.42, 0.52), groups(0.82, 1.0)).metrics(FITTED) == {
        "temperature": 0.5,
        "temperature_groups": 4,
        "temperature_lowest": 0.4,
        "temperature_highest": 0.7,
        "error_before": pytest.approx(0.45),
        "error_after": pytest.approx(0.01),
        "error_after_low": None,
        "error_after_high": None,
    }


def test_the_interval_of_the_error_leaves_out_each_group() -> None:
    shares = np.linspace(0.5, 0.9, 12)
    found = Reliability(groups(*shares), groups(*shares)).metrics(FITTED)
    left_out = [abs(0.92 - np.delete(shares, index).mean()) for index in range(12)]
    expected = error_limits(0.92 - shares.mean(), np.array(left_out))
    assert (found["error_after_low"], found["error_after_high"]) == pytest.approx(expected, abs=2e-6)


def test_groups_without_labelled_pixels_do_not_count() -> None:
    shares, nothing = groups(*np.linspace(0.5, 0.9, 9)), np.zeros((3, 3, BINS))
    bins_N3B = np.concatenate([shares, nothing])
    both = Reliability.by_group(bins_N3B, bins_N3B, list("abcdefghijkl"))
    assert both.metrics(FITTED)["error_after_low"] is None
    empty = Reliability.by_group(nothing, nothing, list("abc"))
    assert empty.errors == (None, None)
    assert set(list(empty.metrics(FITTED).values())[4:]) == {None}
    assert reliability_table(empty.after_G3B).empty


def test_the_table_has_the_bins_with_pixels() -> None:
    table = reliability_table(groups(0.5, 0.7) + groups(0.2, 0.2, confidence=0.3))
    assert table.to_numpy(na_value=-1).tolist() == [[0.3, 0.2, -1, -1, 2000], [0.92, 0.6, -1, -1, 2000]]


def test_the_interval_of_a_bin_is_over_the_groups_that_have_it() -> None:
    shares = np.linspace(0.4, 0.8, 12)
    bins_G3B = groups(*shares)
    bins_G3B[:2] += groups(0.1, 0.3, confidence=0.3)  # in two groups only
    table = reliability_table(bins_G3B)
    assert table["low"].isna().tolist() == table["high"].isna().tolist() == [True, False]
    low, accuracy, high = table.loc[1, ["low", "accuracy", "high"]]
    assert low < accuracy < high
    assert (low + high) / 2 == pytest.approx(0.6, abs=0.01)


@pytest.mark.parametrize("value", [math.inf, math.nan])
def test_pixels_without_a_confidence_do_not_count(value: float) -> None:
    logits_NKHW = torch.randn(2, 3, 4, 4, generator=torch.Generator().manual_seed(0))
    target_NHW = torch.zeros(2, 4, 4, dtype=torch.long)
    target_NHW[:, 0] = 255
    expected = reliability(logits_NKHW, logits_NKHW.argmax(dim=1), target_NHW, (1.0, 0.5))
    logits_NKHW[:, 1, 0], target_NHW[:, 0] = value, 1
    assert torch.equal(reliability(logits_NKHW, logits_NKHW.argmax(dim=1), target_NHW, (1.0, 0.5)), expected)
