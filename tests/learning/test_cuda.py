"""Training on an NVIDIA GPU; see test_distributed.py for two."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.errors import PipelineError
from tests.learning.world import World, written

pytestmark = [
    pytest.mark.cuda,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no NVIDIA GPU"),
]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"), 64, train=8, val=2, test=3)


@pytest.mark.parametrize(
    ("precision", "lightning"), [("auto", None), ("fp32", "32-true"), ("bf16", "bf16-mixed"), ("fp16", "16-mixed")]
)
def test_a_gpu_trains_in_every_precision(world: World, tmp_path: Path, precision: str, lightning: str | None) -> None:
    world.train(tmp_path, epochs=5, lr=0.003, lr_step=3, device="cuda", precision=precision)
    losses = pd.read_csv(tmp_path / "plots/plots/metrics/train/loss.tsv", sep="\t")["loss"]
    assert losses.iloc[-1] < 0.7 * losses.iloc[0]
    assert np.isfinite(losses).all()
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["precision"] == (lightning or ("bf16-mixed" if torch.cuda.is_bf16_supported(False) else "16-mixed"))
    assert cost["device"] == torch.cuda.get_device_name()
    assert cost["peak_memory_mb"] > 100


def test_a_model_trained_on_a_gpu_scores_the_same_on_a_cpu(tmp_path: Path) -> None:
    world = World.make(tmp_path, 64, train=8, val=2, test=3)
    world.train(epochs=5, lr=0.003, lr_step=3, device="cuda")
    on_cpu, on_cuda = (world.evaluate(device, device=device)["mean_iou"] for device in ("cpu", "cuda"))
    assert on_cuda == pytest.approx(on_cpu, abs=0.02)


@pytest.mark.parametrize("loss", ["focal", "dice", "ce"])
def test_deterministic_training_on_a_gpu_is_reproducible(world: World, tmp_path: Path, loss: str) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        world.train(tmp_path / name, epochs=2, device="cuda", deterministic=True, loss=loss)
    assert written(tmp_path / "first") == written(tmp_path / "second")


def test_out_of_memory_is_one_line_with_a_remedy(world: World, tmp_path: Path) -> None:
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.001)
    try:
        with pytest.raises(PipelineError, match=r"^out of memory in epoch 1 .*larger train\.accumulate"):
            world.train(tmp_path, device="cuda", batch_size=8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_compiled_network_is_saved_like_an_uncompiled_one(world: World, tmp_path: Path) -> None:
    for name, compiled in (("plain", False), ("compiled", True)):
        (tmp_path / name).mkdir()
        world.train(tmp_path / name, device="cuda", compile=compiled)
    sizes = [(tmp_path / name / "model/model.safetensors").stat().st_size for name in ("plain", "compiled")]
    assert sizes[0] == sizes[1]
