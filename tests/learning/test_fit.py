"""The best epoch is kept, training stops when asked, and what goes wrong is one line with a remedy."""

import inspect
import math
import warnings
from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import segmentation_models_pytorch as smp
import torch
from torch._decomp.decompositions import _upsample_linear_vec
from torch.nn import functional as F  # noqa: N812 - the usual name
from torch.utils.data import DataLoader

from pipeline.core.errors import PipelineError
from pipeline.learning.batches import BatchPlan, MicroBatchSampler, Shuffle
from pipeline.learning.checkpoint import locked_checkpoint
from pipeline.learning.data import Batch
from pipeline.learning.device import Device
from pipeline.learning.fit import BILINEAR, BestEpoch, fit, require_deterministic
from pipeline.learning.loaders import scoring_loader, training_loader
from pipeline.learning.losses import CrossEntropy, LossConfig
from pipeline.learning.task import RunningMetrics, Task
from tests.learning.world import tiny_task

CPU = Device("cpu", "fp32")


class NanOnce(CrossEntropy):
    """Cross entropy that is NaN on one of its calls, counted from 1."""

    def __init__(self, bad: int) -> None:
        super().__init__(LossConfig())
        self.bad, self.calls = bad, 0

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().sums(logits_NKHW, targets_NHW) * (float("nan") if self.calls == self.bad else 1)


def tiny(**changes: Any) -> Task:
    return tiny_task(**{"lr": 0.1} | changes)


def loader(chips: int) -> DataLoader[Batch]:
    """Chips of 2 x 2 px; bright pixels are class 1, dark ones 0."""
    random = torch.Generator().manual_seed(chips)
    masks_NHW = torch.randint(2, (chips, 2, 2), generator=random, dtype=torch.uint8)
    pairs: Any = list(zip((masks_NHW * 200)[:, None].repeat(1, 3, 1, 1), masks_NHW, strict=True))
    return scoring_loader(pairs, 2, 0)


def fitted(task: Task, callback: L.Callback | None = None, train: DataLoader[Batch] | None = None) -> BestEpoch:
    with locked_checkpoint("tiny") as checkpoint:
        return fit(task, (train or loader(6), loader(4)), CPU, callback or L.Callback(), checkpoint)


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Set the validation scores of the epochs."""

    def script(*values: float) -> None:
        scores, summary = iter(values), RunningMetrics.summary

        def scripted_summary(metrics: RunningMetrics, names: Any) -> dict[str, Any]:
            return summary(metrics, names) | ({"mean_iou": next(scores)} if metrics.loss_from_sums else {})

        monkeypatch.setattr(RunningMetrics, "summary", scripted_summary)

    return script


def test_a_network_learns_a_rule() -> None:
    tracker = fitted(tiny(epochs=30))
    assert [epoch.number for epoch in tracker.epochs] == list(range(1, 31))
    assert tracker.epochs[-1].train["loss"] < 0.5 * tracker.epochs[0].train["loss"]
    assert tracker.best.val["mean_iou"] == 1.0


def test_the_best_epoch_is_kept_with_its_weights(scripted: Callable[..., None]) -> None:
    scripted(0.1, 0.9, 0.5, 0.9)  # on a tie the earlier one
    weights = {}

    class RecordWeights(L.Callback):
        def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            weights[trainer.current_epoch + 1] = pl_module.segmenter.net.weight.detach().clone()  # type: ignore[union-attr,operator]

    task = tiny(epochs=4)
    tracker = fitted(task, RecordWeights())
    assert (tracker.best.number, tracker.best.val["mean_iou"]) == (2, 0.9)
    assert torch.equal(task.segmenter.net.weight, weights[2])
    assert not torch.equal(weights[2], weights[3])


@pytest.mark.parametrize(
    ("bad", "where"),
    [(2, "epoch 1, batch 2"), (5, "epoch 1, validation batch 2"), (8, "epoch 2, batch 3")],
)
def test_a_nan_loss_ends_training_with_one_line(bad: int, where: str) -> None:
    task = tiny(epochs=2)  # an epoch has three training and two validation batches
    task.loss = NanOnce(bad)
    with pytest.raises(PipelineError) as error:
        fitted(task)
    assert str(error.value).startswith(f"the ce loss became NaN or infinite in {where}; try a train.lr below 0.1")


def test_lightning_is_quiet_and_filters_are_restored(capfd: pytest.CaptureFixture[str]) -> None:
    filters = list(warnings.filters)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(tiny())
    assert [str(warning.message) for warning in caught] == []
    assert capfd.readouterr() == ("", "")
    assert warnings.filters == filters


def test_other_warnings_still_reach_the_user() -> None:
    class Warn(L.Callback):
        def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            warnings.warn("the disk is full", FutureWarning, stacklevel=1)

    with pytest.warns(FutureWarning, match="the disk is full"):
        fitted(tiny(), Warn())


def test_each_epoch_has_its_own_order() -> None:
    orders: list[list[int]] = []

    class Spy(Shuffle):
        def __iter__(self) -> Any:
            orders.append(list(super().__iter__()))
            return iter(orders[-1])

    sampler = MicroBatchSampler(Spy(6, 1), 6, BatchPlan(2))
    fitted(tiny(epochs=3), train=DataLoader(loader(6).dataset, batch_sampler=sampler))
    expected = []
    for epoch in range(3):
        shuffle = Shuffle(6, 1)
        shuffle.set_epoch(epoch)
        expected.append(list(shuffle))
    assert orders == expected


def test_training_stops_early_without_improvement(scripted: Callable[..., None]) -> None:
    scripted(0.1, 0.5, 0.4, 0.5, 0.3, 0.9)
    tracker = fitted(tiny(epochs=6, early_stop=3))
    assert [epoch.number for epoch in tracker.epochs] == [1, 2, 3, 4, 5]
    assert tracker.best.number == 2


class Rates(L.Callback):
    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, index: int) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


def rates_of(schedule: str) -> list[float]:
    """The learning rate of each step: 10 epochs of 3 steps, from 0.1."""
    rates = Rates()
    fitted(tiny(epochs=10, schedule=schedule, lr_step=4, lr_gamma=0.5), rates)
    return rates.rates


def test_rates_by_step_decay_and_cosine_annealing() -> None:
    assert rates_of("step") == pytest.approx([0.1] * 12 + [0.05] * 12 + [0.025] * 6)
    expected = [0.05 * (1 + math.cos(math.pi * epoch / 10)) for epoch in range(10) for _ in range(3)]
    assert rates_of("cosine") == pytest.approx(expected)


def test_one_cycle_rises_to_lr_and_falls_to_almost_0() -> None:
    rates = rates_of("one_cycle")
    assert (rates[0], rates[8], rates[-1]) == pytest.approx((0.1 / 25, 0.1, 0.1 / 25 / 1e4))
    assert rates[:9] == sorted(rates[:9])
    assert rates[8:] == sorted(rates[8:], reverse=True)


def steps_and_rates(chips: int, schedule: str) -> tuple[list[int], list[float]]:
    """Optimiser steps done by each validation, and the learning rates: 8 steps of 4 chips in 2 epochs."""
    validated: list[int] = []

    class Count(Rates):
        def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            validated.append(trainer.global_step)

    task = tiny(epochs=2, steps=8, batch_size=4, accumulate=2, schedule=schedule, lr_step="auto")
    plan, data, count = BatchPlan(4, accumulate=2), loader(chips).dataset, Count()
    train = training_loader(data, plan, 0, 1, task.config.epoch_chips(chips))  # type: ignore[arg-type]
    fitted(task, count, train)
    return validated, count.rates


@pytest.mark.parametrize("schedule", ["step", "one_cycle"])
def test_with_steps_sets_of_any_size_have_equal_steps_validations_and_rates(schedule: str) -> None:
    validated, rates = steps_and_rates(6, schedule)
    assert (validated, len(rates)) == ([4, 8], 16)  # two micro-batches per step
    assert len(set(rates)) == {"step": 2, "one_cycle": 8}[schedule]
    assert steps_and_rates(1, schedule) == steps_and_rates(40, schedule) == (validated, rates)


def test_gradients_are_clipped() -> None:
    task = tiny(clip=1e-12, optimizer="sgd")
    start = task.segmenter.net.weight.detach().clone()  # type: ignore[union-attr,operator]
    fitted(task)
    assert torch.allclose(task.segmenter.net.weight, start, atol=1e-9)  # type: ignore[arg-type]


class Limit(L.Callback):
    def __init__(self, error: Exception) -> None:
        self.error = error

    def on_train_batch_start(self, *_: Any) -> None:
        raise self.error


OUT_OF_MEMORY, DETERMINISTIC, FULL = (
    "^out of memory in epoch 1 with train.batch_size 2 and train",
    "^train.deterministic is true, but upsample of",
    r"\), which usually means that the GPU's memory is full in epoch 1 with train.batch_size 2 .*train.accumulate",
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), OUT_OF_MEMORY),
        (RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be"), OUT_OF_MEMORY),
        (RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"), OUT_OF_MEMORY),
        (RuntimeError("cuDNN error: CUDNN_STATUS_INTERNAL_ERROR_DEVICE_ALLOCATION_FAILED"), OUT_OF_MEMORY),
        (RuntimeError("GET was unable to find an engine to execute this computation"), rf"\(GET was .* engine{FULL}"),
        (RuntimeError("FIND was unable to find an engine to execute this computation"), FULL),
        (RuntimeError("cuDNN Frontend error: [cudnn_frontend] Error: No valid execution plans built."), f"built{FULL}"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if"), rf"\(CUDNN_.*TED{FULL}"),
        (RuntimeError("cuDNN error: CUDNN_STATUS_EXECUTION_FAILED"), FULL),
        (MemoryError(), OUT_OF_MEMORY),
        (RuntimeError("can't allocate memory"), OUT_OF_MEMORY),
        (ValueError("Expected more than 1 value per channel when training"), "^a step of epoch 1 has one chip"),
        (RuntimeError("worker is killed: workers are out of shared memory."), "^the loader workers ran out of"),
        (RuntimeError("upsample does not have a deterministic implementation"), DETERMINISTIC),
        (RuntimeError("a bug"), "a bug"),
    ],
)
def test_limits_of_the_machine_are_one_line_and_bugs_are_not_changed(error: Exception, words: str) -> None:
    with pytest.raises(type(error) if words == "a bug" else PipelineError, match=words) as raised:
        fitted(tiny(), Limit(error))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("accumulate", [1, 2])
def test_only_steps_of_full_batches_are_compiled_and_only_once(
    accumulate: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    compiled, sizes = torch.compile, []

    def compile_graph(graph: torch.fx.GraphModule, inputs: list[torch.Tensor]) -> Callable[..., Any]:
        sizes.append(max(len(value) for value in inputs if value.ndim == 4 and value.dtype == torch.uint8))
        return graph.forward

    monkeypatch.setattr(torch, "compile", lambda step, **options: compiled(step, backend=compile_graph, **options))
    weights = []
    for wanted in (False, True):
        task = tiny(epochs=2, batch_size=4, accumulate=accumulate, compile=wanted)
        data: Any = loader(11).dataset
        train = training_loader(data, BatchPlan(4, accumulate=accumulate), 0, 1)  # batches of 4, 4 and 3 chips
        weights.append(fitted(task, train=train).weights)
    assert sizes == [4 // accumulate]
    assert all(torch.equal(*pair) for pair in zip(weights[0].values(), weights[1].values(), strict=True))


class Kept(list[Any]):
    """Chips in some memory."""

    memory = "none"


@pytest.mark.parametrize(
    ("memory", "remedy"), [("gpu", "train.cache ram, or a smaller encoder"), ("ram", "or a smaller")]
)
def test_chips_on_the_gpu_are_a_remedy_for_full_memory(memory: str, remedy: str) -> None:
    chips: Any = Kept(loader(6).dataset)  # type: ignore[call-overload]
    chips.memory = memory
    with pytest.raises(PipelineError, match=rf"\(tile\.size\), {remedy}"):
        fitted(tiny(), Limit(MemoryError()), scoring_loader(chips, 2, 0))


def test_a_missing_algorithm_may_be_a_deterministic_one() -> None:
    error = RuntimeError("GET was unable to find an engine to execute this computation")
    try:
        with pytest.raises(
            PipelineError,
            match=r"is full, or that the network has no deterministic form on this GPU .* in epoch 1 with train",
        ):
            fitted(tiny(deterministic=True), Limit(error))
    finally:
        torch.use_deterministic_algorithms(False)


def interpolation(architecture: str, monkeypatch: pytest.MonkeyPatch) -> set[str]:
    """The modes in which a network interpolates."""
    modes, interpolate = set(), F.interpolate

    def record(*values: Any, **options: Any) -> torch.Tensor:
        modes.add(inspect.signature(interpolate).bind(*values, **options).arguments.get("mode", "nearest"))
        return interpolate(*values, **options)

    monkeypatch.setattr(F, "interpolate", record)
    encoder = "tu-vit_tiny_patch16_224.augreg_in21k" if architecture == "dpt" else "resnet18"
    with torch.device("meta"):
        smp.create_model(architecture, encoder, None)(torch.zeros(2, 3, 224, 224))
    return modes


@pytest.mark.parametrize("architecture", sorted(smp.MODEL_ARCHITECTURES_MAPPING))
def test_networks_that_interpolate_linearly_are_known(architecture: str, monkeypatch: pytest.MonkeyPatch) -> None:
    assert ("bilinear" in interpolation(architecture, monkeypatch)) == (architecture in BILINEAR)


def test_the_deterministic_form_of_linear_interpolation_is_refused_in_bf16() -> None:
    columns = torch.arange(256.0).expand(1, 1, 2, 256)
    inexact = _upsample_linear_vec(columns.bfloat16(), None, True, [4.0, 4.0]).float()
    exact = F.interpolate(columns, scale_factor=4.0, mode="bilinear", align_corners=True)
    assert (inexact - exact).abs().max() > 0.4  # a column's value is its number: a value of 1 is a pixel
    for allowed in (Device("cuda", "fp32"), Device("cuda", "fp16"), CPU, Device("cpu", "bf16")):
        require_deterministic("fpn", allowed)
    require_deterministic("unet", Device("cuda", "bf16"))
    with pytest.raises(PipelineError, match=r"^train\.deterministic is true, and fpn interpolates"):
        require_deterministic("fpn", Device("cuda", "bf16"))
