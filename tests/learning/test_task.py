from typing import Any

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.utils.data import SequentialSampler

from pipeline.core.errors import PipelineError
from pipeline.learning.data import BatchPlan, Steps
from pipeline.learning.device import Device
from pipeline.learning.distributed import ALONE, Ranks
from pipeline.learning.losses import LOSSES, LossConfig, LossName
from pipeline.learning.model import Segmenter
from pipeline.learning.task import RunningMetrics, Task
from tests.learning.world import RECIPE, recipe

NAMES = ("water", "field", "roof")


def tiny(**changes: Any) -> Task:
    """A network of one layer that sees one pixel at a time."""
    torch.manual_seed(1)
    segmenter = Segmenter(nn.Conv2d(3, 3, 1), (0.5,) * 3, (0.25,) * 3)
    return Task(segmenter, NAMES, LOSSES["ce"](LossConfig()), recipe(**changes), seed=7)


ONE = torch.tensor(1)


def drawn(chips: int = 2, side: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    images_NCHW = torch.randint(256, (chips, 3, side, side), generator=random, dtype=torch.uint8)
    return images_NCHW, torch.randint(3, (chips, side, side), generator=random, dtype=torch.uint8)


def test_the_loss_of_an_epoch_is_the_mean_over_its_labelled_pixels() -> None:
    tally = RunningMetrics()
    tally.add(torch.tensor(1.0), torch.tensor(300), torch.eye(3, dtype=torch.int64))
    tally.add(torch.tensor(5.0), torch.tensor(100), torch.eye(3, dtype=torch.int64))
    summary = tally.summary(NAMES)
    assert (summary["loss"], summary["mean_iou"]) == (2.0, 1.0)


def test_the_scores_of_an_epoch_come_from_one_matrix_not_from_the_mean_of_batches() -> None:
    tally = RunningMetrics()
    tally.add(torch.tensor(0.0), ONE, torch.tensor([[1, 0, 0], [0, 0, 0], [0, 0, 0]]))
    tally.add(torch.tensor(0.0), ONE, torch.tensor([[0, 9, 0], [0, 0, 0], [0, 0, 0]]))
    assert tally.summary(NAMES)["iou"] == {"water": 0.1, "field": None, "roof": None}


def test_a_set_has_one_loss_however_it_is_cut_into_batches() -> None:
    images, masks = drawn(6)
    masks[0, 0] = 255
    found = []
    for size in (1, 2, 6):
        task = Task(tiny().segmenter, NAMES, LOSSES["dice"](LossConfig()), recipe(), seed=7).eval()
        for start in range(0, 6, size):
            task.validation_step((images[start : start + size], masks[start : start + size]), 0)
        found.append(task.summary("val")["loss"])
    whole = LOSSES["dice"](LossConfig())(task.segmenter(images), masks.long())
    assert found == pytest.approx([whole.item()] * 3, abs=2e-6)


@pytest.mark.parametrize("name", ["ce", "focal"])
@pytest.mark.parametrize("weights", [None, (0.2, 1.0, 1.8)])
def test_a_batch_in_parts_has_the_gradient_of_the_whole(name: LossName, weights: tuple[float, ...] | None) -> None:
    images, masks = drawn(6)
    masks[0], masks[1, 0], masks[5, :2] = 255, 255, 255  # one part has nothing labelled, another most
    found = []
    for size in (6, 1):
        task = tiny(accumulate=6 // size, batch_size=6)
        task.loss = LOSSES[name](LossConfig(weights=weights))
        for index, start in enumerate(range(0, 6, size)):
            batch = images[start : start + size], masks[start : start + size]
            loss = task.training_step(batch, index)
            (loss / task.recipe.accumulate).backward()  # as Lightning does
        task.on_before_optimizer_step(torch.optim.SGD(task.parameters(), 1.0))
        gradients = [weight.grad for weight in task.segmenter.parameters() if weight.grad is not None]
        found.append((task.summary("train")["loss"], gradients))
    (whole_loss, whole), (parts_loss, parts) = found
    assert parts_loss == pytest.approx(whole_loss, abs=2e-6)
    assert max(float(one.abs().max()) for one in whole) > 1e-3
    for ours, theirs in zip(parts, whole, strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize(
    ("losses", "bad"), [([], None), ([1.0, 2.0], None), ([1.0, float("nan")], 1), ([float("inf"), float("nan")], 0)]
)
def test_the_first_loss_that_is_not_finite_is_found(losses: list[float], bad: int | None) -> None:
    tally = RunningMetrics()
    for loss in losses:
        tally.add(torch.tensor(loss), ONE, torch.eye(3, dtype=torch.int64))
    assert tally.first_bad_step() == bad


@pytest.mark.parametrize(("part", "batch"), [("train", "batch 2"), ("val", "validation batch 2")])
def test_a_loss_that_is_no_number_says_where_and_what_to_try(part: str, batch: str) -> None:
    task = tiny(lr=0.5)
    for loss in (1.0, float("nan")):
        task.tallies[part].add(torch.tensor(loss), ONE, torch.eye(3, dtype=torch.int64))  # type: ignore[index]
    with pytest.raises(PipelineError) as error:
        task.summary(part)  # type: ignore[arg-type]
    assert str(error.value) == (
        f"the ce loss became NaN or infinite in epoch 1, {batch}; "
        "try a smaller train.lr than 0.5, train.clip, or another loss"
    )


def test_training_chips_are_turned_as_seed_epoch_and_batch_say(monkeypatch: pytest.MonkeyPatch) -> None:
    task, images = tiny(), drawn(8)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(task, "_step", lambda part, images, masks: seen.append(masks) or (torch.zeros(()), ONE))
    for index in (0, 0, 1):
        task.training_step(images, index)
    assert torch.equal(seen[0], seen[1])
    assert not torch.equal(seen[0], seen[2])
    assert not torch.equal(seen[0], images[1])


@pytest.mark.parametrize(("size", "accumulate"), [(2, 1), (1, 3), (2, 2)])
def test_the_parts_of_a_batch_are_turned_as_the_whole_would_be(
    monkeypatch: pytest.MonkeyPatch, size: int, accumulate: int
) -> None:
    images, masks = drawn(10)
    seen: list[torch.Tensor] = []

    def turned(ranks: Ranks, parts: int) -> torch.Tensor:
        task = tiny(batch_size=6, accumulate=parts)
        monkeypatch.setattr(task, "_step", lambda part, images, masks: seen.append(masks) or (torch.zeros(()), ONE))
        steps = Steps(SequentialSampler(range(10)), 10, BatchPlan(6, ranks, parts), whole=False)
        for index, chosen in enumerate(steps):
            task.run_on(Device("cpu", "fp32"), steps).training_step((images[chosen], masks[chosen]), index)
        found = torch.cat(seen)
        seen.clear()
        return found

    whole = turned(ALONE, 1)
    pieces = torch.cat([turned(Ranks(size, rank, size), accumulate) for rank in range(size)])
    assert len(whole) == len(pieces) == 10
    assert sorted(map(str, whole.tolist())) == sorted(map(str, pieces.tolist()))


def test_validation_chips_stay_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    task, batch = tiny(), drawn(2, 8)
    seen: list[torch.Tensor] = []
    monkeypatch.setattr(task, "_step", lambda part, images, masks: seen.append(masks))
    task.validation_step(batch, 0)
    assert torch.equal(seen[0], batch[1])


def test_a_step_counts_its_pixels_but_not_the_ignored() -> None:
    task, (images, masks) = tiny(), drawn()
    masks[0] = 255
    loss = task.training_step((images, masks), 0)
    tally = task.tallies["train"]
    assert tally.matrix_KK is not None
    assert (int(tally.matrix_KK.sum()), tally.weights) == (16, [torch.tensor(16)])
    assert tally.losses[0].item() == loss.item()
    assert loss.requires_grad
    assert not tally.losses[0].requires_grad


def test_an_epoch_forgets_the_last() -> None:
    task = tiny()
    task.training_step(drawn(), 0)
    task.on_train_epoch_start()
    assert (task.tallies["train"].losses, task.tallies["val"].losses) == ([], [])


def test_adam_and_sgd_are_what_they_say() -> None:
    adam = tiny(optimizer="adam", lr=0.01).configure_optimizers()["optimizer"]
    sgd = tiny(optimizer="sgd", lr=0.01).configure_optimizers()["optimizer"]
    assert isinstance(adam, torch.optim.Adam)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["lr"], adam.defaults["lr"]) == (0.9, 0.01, 0.01)


def test_the_learning_rate_falls_in_steps() -> None:
    task = tiny(optimizer="sgd", lr=1.0, lr_step=2, lr_gamma=0.5)
    both: Any = task.configure_optimizers()
    rates = []
    for _ in range(5):
        rates.append(both["optimizer"].param_groups[0]["lr"])
        both["optimizer"].step()
        both["lr_scheduler"].step()
    assert rates == [1.0, 1.0, 0.5, 0.5, 0.25]


def test_bf16_lays_the_weights_out_channels_last() -> None:
    task = tiny()
    task.segmenter.net = nn.Conv2d(3, 3, 3)
    task.run_on(Device("cpu", "bf16"))
    assert task.segmenter.net.weight.is_contiguous(memory_format=torch.channels_last)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", 0),
        ("batch_size", 0),
        ("lr", 0),
        ("lr", float("nan")),
        ("optimizer", "adamw"),
        ("lr_step", 0),
        ("lr_gamma", 1.5),
        ("workers", -1),
        ("workers", "many"),
        ("device", "gpu"),
        ("devices", 0),
        ("accumulate", 0),
    ],
)
def test_a_recipe_that_cannot_be_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError) as error:
        recipe(**{key: value})
    assert {details["loc"][0] for details in error.value.errors()} == {key}


def test_numbers_may_be_written_as_text() -> None:
    assert recipe(lr="1e-05").lr == 1e-05
    assert recipe(workers="auto").model_dump().keys() == RECIPE.keys()


@pytest.mark.parametrize(
    ("epochs", "lr_step", "epoch"), [(1, "auto", 1), (5, "auto", 4), (40, "auto", 32), (40, 15, 15)]
)
def test_the_rate_drops_after_so_many_epochs_and_by_itself_before_the_last_fifth(
    epochs: int, lr_step: Any, epoch: int
) -> None:
    assert tiny(epochs=epochs, lr_step=lr_step).configure_optimizers()["lr_scheduler"].step_size == epoch  # type: ignore[union-attr]
