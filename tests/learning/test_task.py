"""A step learns from each labelled pixel alike, however a batch is divided, and scores count the whole epoch."""

import pytest
import torch
from torch import nn
from torch.utils.data import SequentialSampler

from pipeline.learning.batches import BatchPlan, MicroBatchSampler
from pipeline.learning.device import Device
from pipeline.learning.distributed import SINGLE_PROCESS, ProcessGroup
from pipeline.learning.losses import LOSSES, LossConfig, LossName
from pipeline.learning.task import RunningMetrics, Task
from tests.learning.world import BRIGHTNESS, tiny_task

NAMES = BRIGHTNESS.names


ONE = torch.tensor(1)


def drawn(chips: int = 2, side: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    images_NCHW = torch.randint(256, (chips, 3, side, side), generator=random, dtype=torch.uint8)
    return images_NCHW, torch.randint(3, (chips, side, side), generator=random, dtype=torch.uint8)


def test_loss_and_scores_of_an_epoch_are_over_its_pixels_not_means_over_batches() -> None:
    metrics = RunningMetrics()
    metrics.add(torch.tensor(1.0), torch.tensor(300), torch.tensor([[1, 0, 0], [0, 0, 0], [0, 0, 0]]))
    metrics.add(torch.tensor(5.0), torch.tensor(100), torch.tensor([[0, 9, 0], [0, 0, 0], [0, 0, 0]]))
    summary = metrics.summary(NAMES)
    assert summary["loss"] == 2.0
    assert summary["iou"] == {"water": 0.1, "field": None, "roof": None}


def test_the_loss_of_a_set_does_not_depend_on_the_batch_size() -> None:
    images, masks = drawn(6)
    masks[0, 0] = 255
    found = []
    for size in (1, 2, 6):
        task = tiny_task()
        task.loss = LOSSES["dice"](LossConfig())
        task.metrics["val"] = RunningMetrics(task.loss.value)
        for start in range(0, 6, size):
            task.validation_step((images[start : start + size], masks[start : start + size]), 0)
        found.append(task.summary("val")["loss"])
    whole = LOSSES["dice"](LossConfig())(task.segmenter(images), masks.long())
    assert found == pytest.approx([whole.item()] * 3, abs=2e-6)


@pytest.mark.parametrize("name", ["ce", "focal"])
@pytest.mark.parametrize("weights", [None, (0.2, 1.0, 1.8)])
def test_micro_batches_have_the_gradient_of_the_whole_batch(name: LossName, weights: tuple[float, ...] | None) -> None:
    images, masks = drawn(6)
    masks[0], masks[1, 0], masks[5, :2] = 255, 255, 255  # one part has nothing labelled, another most
    found = []
    for size in (6, 1):
        task = tiny_task(accumulate=6 // size, batch_size=6)
        task.loss = LOSSES[name](LossConfig(weights=weights))
        for index, start in enumerate(range(0, 6, size)):
            batch = images[start : start + size], masks[start : start + size]
            loss = task.training_step(batch, index)
            (loss / task.config.accumulate).backward()  # as Lightning does
        task.on_before_optimizer_step(torch.optim.SGD(task.parameters(), 1.0))
        gradients = [weight.grad for weight in task.segmenter.parameters() if weight.grad is not None]
        found.append((task.summary("train")["loss"], gradients))
    (whole_loss, whole), (parts_loss, parts) = found
    assert parts_loss == pytest.approx(whole_loss, abs=2e-6)
    assert max(float(one.abs().max()) for one in whole) > 1e-3
    for ours, theirs in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


def record(task: Task, monkeypatch: pytest.MonkeyPatch) -> list[torch.Tensor]:
    """Record what reaches the network instead of training: pixels of images and masks, one row per chip."""
    seen: list[torch.Tensor] = []

    def step(part: str, images: torch.Tensor, masks: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        seen.append(torch.cat([images.flatten(1), masks.flatten(1)], dim=1))
        return torch.zeros(()), ONE

    monkeypatch.setattr(task, "_step", step)
    return seen


@pytest.mark.parametrize("augment", ["flips", "all"])
def test_augmentation_depends_on_seed_epoch_and_batch(monkeypatch: pytest.MonkeyPatch, augment: str) -> None:
    task, batch = tiny_task(augment=augment), drawn(8)
    seen = record(task, monkeypatch)
    for index in (0, 0, 1):
        task.training_step(batch, index)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0][:, 48:], batch[1].flatten(1))


def test_distortions_follow_the_same_flips(monkeypatch: pytest.MonkeyPatch) -> None:
    flips, blurred = tiny_task(), tiny_task(augment=["colour", "blur"])
    seen = [record(task, monkeypatch) for task in (flips, blurred)]
    for task in (flips, blurred):
        task.training_step(drawn(20), 3)
    assert torch.equal(seen[0][0][:, 48:], seen[1][0][:, 48:])
    assert not torch.equal(seen[0][0][:, :48], seen[1][0][:, :48])


@pytest.mark.parametrize("augment", ["flips", "all"])
@pytest.mark.parametrize(("size", "accumulate"), [(2, 1), (1, 3), (2, 2)])
def test_micro_batches_are_augmented_like_the_whole_batch(
    monkeypatch: pytest.MonkeyPatch, size: int, accumulate: int, augment: str
) -> None:
    images, masks = drawn(10)

    def augmented(processes: ProcessGroup, accumulate: int) -> torch.Tensor:
        task = tiny_task(batch_size=6, accumulate=accumulate, augment=augment)
        seen = record(task, monkeypatch)
        sampler = MicroBatchSampler(SequentialSampler(range(10)), 10, BatchPlan(6, processes, accumulate))
        for index, chosen in enumerate(sampler):
            task.prepare(Device("cpu", "fp32"), sampler).training_step((images[chosen], masks[chosen]), index)
        return torch.cat(seen)

    whole = augmented(SINGLE_PROCESS, 1)
    micro_batches = torch.cat([augmented(ProcessGroup(size, rank, size), accumulate) for rank in range(size)])
    assert len(whole) == len(micro_batches) == 10
    assert sorted(map(str, whole.tolist())) == sorted(map(str, micro_batches.tolist()))


def test_validation_chips_are_not_augmented(monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = tiny_task(), drawn(8)
    seen = record(task, monkeypatch)
    task.validation_step(batch, 0)
    assert torch.equal(seen[0][:, 48:], batch[1].flatten(1))


def test_ignored_pixels_are_not_counted() -> None:
    task, (images, masks) = tiny_task(), drawn()
    masks[0] = 255
    loss = task.training_step((images, masks), 0)
    metrics = task.metrics["train"]
    assert metrics.matrix_KK is not None
    assert (int(metrics.matrix_KK.sum()), metrics.weights) == (16, [torch.tensor(16)])
    assert metrics.losses[0].item() == loss.item()
    assert loss.requires_grad
    assert not metrics.losses[0].requires_grad


def test_optimizers() -> None:
    for name, kind, momentum in (("adam", torch.optim.Adam, None), ("sgd", torch.optim.SGD, 0.9)):
        optimizer = tiny_task(optimizer=name, lr=0.01).configure_optimizers()["optimizer"]
        assert isinstance(optimizer, kind)
        assert (optimizer.defaults["lr"], optimizer.defaults.get("momentum")) == (0.01, momentum)


def test_bf16_weights_are_channels_last() -> None:
    task = tiny_task()
    task.segmenter.net = nn.Conv2d(3, 3, 3)
    task.prepare(Device("cpu", "bf16"), task.sampler)
    assert task.segmenter.net.weight.is_contiguous(memory_format=torch.channels_last)
