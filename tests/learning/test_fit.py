import logging
import warnings
from collections.abc import Callable
from typing import Any

import lightning as L
import pytest
import torch
from torch import nn
from torch.utils.data import DataLoader

from pipeline.core.errors import PipelineError
from pipeline.learning.data import Batch, Shuffle
from pipeline.learning.device import Device
from pipeline.learning.fit import BestEpoch, fit
from pipeline.learning.losses import LOSSES, CrossEntropy, LossConfig
from pipeline.learning.model import Segmenter
from pipeline.learning.task import RunningMetrics, Task
from tests.learning.world import recipe

CPU = Device("cpu", "fp32")
NAMES = ("dark", "bright")


class Sums(CrossEntropy):
    """Cross entropy, but NaN on the given calls, counted from 1."""

    def __init__(self, *bad: int) -> None:
        super().__init__(LossConfig())
        self.bad, self.calls = bad, 0

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return super().sums(logits_NKHW, targets_NHW) * (float("nan") if self.calls in self.bad else 1)


def tiny(**changes: Any) -> Task:
    torch.manual_seed(1)
    segmenter = Segmenter(nn.Conv2d(3, 2, 1), (0.5,) * 3, (0.25,) * 3)
    return Task(segmenter, NAMES, LOSSES["ce"](LossConfig()), recipe(**{"lr": 0.1} | changes), seed=7)


def pixels(chips: int) -> DataLoader[Batch]:
    """Chips of 2 x 2 px; bright pixels are class 1."""
    random = torch.Generator().manual_seed(chips)
    masks_NHW = torch.randint(2, (chips, 2, 2), generator=random, dtype=torch.uint8)
    pairs: Any = list(zip((masks_NHW * 200)[:, None].repeat(1, 3, 1, 1), masks_NHW, strict=True))
    return DataLoader(pairs, batch_size=2)


def fitted(task: Task, watch: L.Callback | None = None) -> BestEpoch:
    return fit(task, (pixels(6), pixels(4)), CPU, watch or L.Callback())


@pytest.fixture
def scripted(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Make the validation scores of the epochs these."""

    def script(*values: float) -> None:
        scores, summary = iter(values), RunningMetrics.summary

        def said(tally: RunningMetrics, names: Any) -> dict[str, Any]:
            return summary(tally, names) | ({"mean_iou": next(scores)} if tally.value else {})

        monkeypatch.setattr(RunningMetrics, "summary", said)

    return script


def test_a_rule_is_learned() -> None:
    keeper = fitted(tiny(epochs=30))
    assert [epoch.number for epoch in keeper.epochs] == list(range(1, 31))
    assert keeper.epochs[-1].train["loss"] < 0.5 * keeper.epochs[0].train["loss"]
    assert keeper.best is not None
    assert keeper.best.val["mean_iou"] == 1.0


def test_the_best_epoch_is_kept_with_its_weights(scripted: Callable[..., None]) -> None:
    scripted(0.1, 0.9, 0.5)
    ended = {}

    class Remember(L.Callback):
        def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
            ended[trainer.current_epoch + 1] = pl_module.segmenter.net.weight.detach().clone()  # type: ignore[union-attr,operator]

    task = tiny(epochs=3)
    keeper = fitted(task, Remember())
    assert keeper.best is not None
    assert (keeper.best.number, keeper.best.val["mean_iou"]) == (2, 0.9)
    assert torch.equal(task.segmenter.net.weight, ended[2])
    assert not torch.equal(ended[2], ended[3])


def test_of_two_epochs_as_good_the_earlier_is_kept(scripted: Callable[..., None]) -> None:
    scripted(0.4, 0.7, 0.7, 0.7)
    best = fitted(tiny(epochs=4)).best
    assert best is not None
    assert best.number == 2


def test_training_is_scored_and_timed_with_validation() -> None:
    epoch = fitted(tiny()).epochs[0]
    assert epoch.seconds > 0
    means = {"micro_iou", "mean_iou", "frequency_weighted_iou", "pixel_accuracy", "precision", "recall", "f_score"}
    for scores in (epoch.train, epoch.val):
        assert scores.keys() == means | {"loss", "classes_scored", "iou"}


@pytest.mark.parametrize(
    ("bad", "where"),
    [(2, "epoch 1, batch 2"), (5, "epoch 1, validation batch 2"), (8, "epoch 2, batch 3")],
)
def test_a_loss_that_is_no_number_ends_training_with_one_line(
    monkeypatch: pytest.MonkeyPatch, bad: int, where: str
) -> None:
    monkeypatch.setitem(LOSSES, "ce", lambda _: Sums(bad))  # an epoch has three batches to train on and two to validate
    with pytest.raises(PipelineError) as error:
        fitted(tiny(epochs=2))
    assert str(error.value) == (
        f"the ce loss became NaN or infinite in {where}; try a smaller train.lr than 0.1, train.clip, or another loss"
    )


def test_a_learning_rate_that_is_far_too_large_is_told() -> None:
    with pytest.raises(PipelineError, match=r"^the ce loss became NaN or infinite in epoch 1, .*smaller train\.lr"):
        fitted(tiny(lr=1e38, optimizer="sgd", epochs=5))


def test_lightning_is_quiet_and_warnings_are_as_before(capfd: pytest.CaptureFixture[str]) -> None:
    logger, filters = logging.getLogger("lightning.pytorch"), list(warnings.filters)
    level = logger.level
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fitted(tiny())
    assert [str(warning.message) for warning in caught] == []
    assert capfd.readouterr() == ("", "")
    assert (logger.level, warnings.filters) == (level, filters)


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

    chips: Any = pixels(6).dataset
    fit(tiny(epochs=3), (DataLoader(chips, 2, sampler=Spy(6, 1)), pixels(4)), CPU, L.Callback())
    expected = []
    for epoch in range(3):
        shuffle = Shuffle(6, 1)
        shuffle.set_epoch(epoch)
        expected.append(list(shuffle))
    assert orders == expected


def test_training_ends_when_nothing_gets_better(scripted: Callable[..., None]) -> None:
    scripted(0.1, 0.5, 0.4, 0.5, 0.3, 0.9)
    keeper = fitted(tiny(epochs=6, early_stop=3))
    assert [epoch.number for epoch in keeper.epochs] == [1, 2, 3, 4, 5]
    assert keeper.best is not None
    assert keeper.best.number == 2


@pytest.mark.parametrize("schedule", ["step", "cosine", "one_cycle"])
def test_every_schedule_lets_a_network_learn(schedule: str) -> None:
    keeper = fitted(tiny(epochs=20, schedule=schedule))
    assert keeper.epochs[-1].train["loss"] < 0.9 * keeper.epochs[0].train["loss"]


class Rates(L.Callback):
    def __init__(self) -> None:
        self.rates: list[float] = []

    def on_train_batch_start(self, trainer: L.Trainer, pl_module: L.LightningModule, batch: Any, index: int) -> None:
        self.rates.append(trainer.optimizers[0].param_groups[0]["lr"])


@pytest.mark.parametrize(
    ("schedule", "first", "highest", "last"),
    [("step", 0.1, 0.1, 0.01), ("cosine", 0.1, 0.1, 0.0245), ("one_cycle", 0.004, 0.1, 0.0)],
)
def test_the_rate_follows_the_schedule(schedule: str, first: float, highest: float, last: float) -> None:
    rates = Rates()
    fitted(tiny(epochs=10, schedule=schedule, lr_step=5, lr_gamma=0.1), rates)
    assert (rates.rates[0], max(rates.rates)) == pytest.approx((first, highest), rel=0.05)
    assert rates.rates[-1] == pytest.approx(last, abs=0.03)


def test_gradients_are_clipped() -> None:
    before = tiny(clip=1e-12, optimizer="sgd")
    start = before.segmenter.net.weight.detach().clone()  # type: ignore[union-attr,operator]
    fitted(before)
    assert torch.allclose(before.segmenter.net.weight, start, atol=1e-9)  # type: ignore[arg-type]


FULL, FIXED = (
    "^out of memory in epoch 1 with train.batch_size 2 and train",
    "^train.deterministic is true, but upsample of",
)


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), FULL),
        (MemoryError(), FULL),
        (RuntimeError("can't allocate memory"), FULL),
        (ValueError("Expected more than 1 value per channel when training"), "^epoch 1 has a step of one chip"),
        (RuntimeError("worker is killed: workers are out of shared memory."), "^the processes that read chips"),
        (RuntimeError("upsample does not have a deterministic implementation"), FIXED),
    ],
)
def test_what_a_device_cannot_do_is_one_line(error: Exception, words: str) -> None:
    class Limit(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            raise error

    with pytest.raises(PipelineError, match=words):
        fitted(tiny(), Limit())


def test_other_errors_keep_their_own_words() -> None:
    class Wrong(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        fitted(tiny(), Wrong())
