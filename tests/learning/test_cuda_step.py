"""On an NVIDIA GPU no training step waits for it, and only steps of full batches are compiled."""

from pathlib import Path
from typing import Any

import lightning as L
import pandas as pd
import pytest
import torch
from torch._dynamo.utils import counters

from pipeline.learning.device import Device
from pipeline.learning.losses import LOSSES, LossConfig, LossName
from pipeline.learning.model import NetworkConfig, Segmenter, build
from pipeline.learning.progress import TrainingProgress
from tests.learning.cuda import MARKS, make_world, no_waiting, set_sync_debug_mode
from tests.learning.world import World, tiny_task

pytestmark = MARKS
STEPS = 4


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def segmenter() -> Segmenter:
    return build(NetworkConfig("unet", "resnet18", 3))


def test_what_waits_for_the_gpu_is_noticed() -> None:
    values = torch.ones(3, device="cuda")
    for wait in (values[0].item, values.nonzero, lambda: values[values > 0], lambda: torch.ones(3).to("cuda")):
        with no_waiting(), pytest.raises(RuntimeError, match="called a synchronizing CUDA operation"):
            wait()


@pytest.mark.parametrize("accumulate", [1, 2])
@pytest.mark.parametrize("augment", ["flips", "all"])
@pytest.mark.parametrize("loss", ["focal", "dice", "ce"])
def test_a_step_does_not_wait(segmenter: Segmenter, loss: LossName, augment: str, accumulate: int) -> None:
    device = Device("cuda", "bf16")
    task = tiny_task(batch_size=8, accumulate=accumulate, augment=augment)
    task.segmenter, task.loss = segmenter, LOSSES[loss](LossConfig(alpha=0.25, weights=(0.5, 1.0, 1.5)))
    task.prepare(device, task.sampler).to("cuda").train()
    optimizer: Any = task.configure_optimizers()["optimizer"]
    images_NCHW = torch.randint(256, (8 // accumulate, 3, 64, 64), dtype=torch.uint8, device="cuda")
    masks_NHW = torch.randint(4, (8 // accumulate, 64, 64), dtype=torch.uint8, device="cuda")
    masks_NHW[masks_NHW == 3] = 255

    def step(number: int) -> None:
        for part in range(accumulate):
            with device.autocast():
                value = task.training_step((images_NCHW, masks_NHW), number * accumulate + part)
            (value / accumulate).backward()  # as Lightning does
        task.on_before_optimizer_step(optimizer)
        optimizer.step()
        optimizer.zero_grad()

    step(0)  # the state of the optimizer, and what libraries do once
    with no_waiting():
        for number in range(1, STEPS):
            step(number)
    assert task.metrics["train"].first_bad_step() is None
    assert len(task.metrics["train"].losses) == STEPS * accumulate


def forbid_waiting(patch: pytest.MonkeyPatch) -> list[int]:
    """Let no training wait from the end of an epoch's first step to that of its last; the steps appear in a list."""
    advance, steps = TrainingProgress.on_train_batch_end, []

    def batch_end(progress: TrainingProgress, trainer: L.Trainer, task: Any, outputs: Any, *batch: Any) -> None:
        advance(progress, trainer, task, outputs, *batch)
        steps.append(batch[1])
        is_last = batch[1] == trainer.num_training_batches - 1
        set_sync_debug_mode("default" if is_last else "error")

    def on_exception(*_: Any) -> None:
        set_sync_debug_mode("default")  # Lightning now moves the network to the CPU

    patch.setattr(TrainingProgress, "on_train_batch_end", batch_end)
    patch.setattr(TrainingProgress, "on_exception", on_exception)
    return steps


@pytest.mark.parametrize(
    "changes",
    [
        {"loss": "focal"},
        {"loss": "focal", "accumulate": 2, "augment": "all", "workers": 1},
        {"loss": "dice", "augment": "all", "cache": "ram"},
        {"loss": "dice", "accumulate": 2},
        {"loss": "ce", "augment": "all", "cache": "gpu", "class_weights": "inverse"},
        {"loss": "ce", "accumulate": 2, "cache": "gpu"},
        {"loss": "ce", "accumulate": 2, "precision": "fp16", "optimizer": "sgd", "schedule": "one_cycle"},
    ],
    ids=lambda changes: " ".join(map(str, changes.values())),
)
def test_lightnings_loop_does_not_wait(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, changes: dict[str, Any]
) -> None:
    steps = forbid_waiting(monkeypatch)
    world.train(tmp_path, **{"device": "cuda", "precision": "bf16", "batch_size": 3, "epochs": 2} | changes)
    assert steps == 2 * list(range(3 * changes.get("accumulate", 1)))


def test_only_full_batches_are_compiled_and_the_model_is_as_large_as_an_uncompiled_one(
    world: World, tmp_path: Path
) -> None:
    torch._dynamo.reset()
    counters.clear()
    sizes, losses = [], []
    for name, compiled in (("plain", False), ("compiled", True)):
        out = tmp_path / name
        out.mkdir()
        with torch._dynamo.config.patch(error_on_recompile=True):
            world.train(out, device="cuda", compile=compiled, batch_size=3, epochs=2)
        sizes.append((out / "model/model.safetensors").stat().st_size)
        losses.append(pd.read_csv(out / "plots/plots/metrics/train/loss.tsv", sep="\t")["loss"][0])
    assert counters["stats"]["unique_graphs"] == 1
    assert sizes[0] == sizes[1]
    assert losses[0] == pytest.approx(losses[1], rel=0.1)
