"""Training and scoring on an NVIDIA GPU; see test_distributed.py for two."""

import gc
import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json
from pipeline.learning.confusion import argmax, confusion_matrices, confusion_matrix
from pipeline.learning.device import Device
from pipeline.learning.model import load_model
from tests.learning.cuda import MARKS, make_world, no_waiting
from tests.learning.world import World, bright_chip, written

pytestmark = MARKS
SAME = 0.999
"""Share of the pixels of a map that are of the same class on a GPU and on a CPU, which round differently."""


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return make_world(tmp_path_factory.mktemp("world"))


@pytest.fixture(scope="module")
def learnt(tmp_path_factory: pytest.TempPathFactory) -> World:
    """A world with a model that was trained in fp32 on the GPU; read-only."""
    world = make_world(tmp_path_factory.mktemp("learnt"))
    world.train(epochs=2, steps=60, lr=0.003, lr_step=1, device="cuda", precision="fp32")
    return world


def bytes_of(world: World, out: Path, **changes: Any) -> dict[str, bytes]:
    """Train under `deterministic`; what was written."""
    out.mkdir()
    world.train(out, **{"epochs": 2, "device": "cuda", "deterministic": True} | changes)
    return written(out)


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


def test_a_model_trained_on_a_gpu_scores_the_same_on_a_cpu(learnt: World, tmp_path: Path) -> None:
    on_cpu, on_cuda = (learnt.evaluate(name, tmp_path, device=name, batch_size=2) for name in ("cpu", "cuda"))
    assert on_cpu["mean_iou"] > 0.7
    assert on_cuda["arithmetic"] == {"trained": "fp32", "scored": "fp32"}
    for score in ("mean_iou", "pixel_accuracy"):  # of three batches of test chips, and one of validation chips
        assert on_cuda[score] == pytest.approx(on_cpu[score], abs=0.002)
        assert on_cuda["validation"][score] == pytest.approx(on_cpu["validation"][score], abs=0.002)
    assert on_cuda["calibration"]["error_after"] == pytest.approx(on_cpu["calibration"]["error_after"], abs=0.002)


def test_a_model_trained_in_half_precision_scores_the_same_on_a_cpu(tmp_path: Path) -> None:
    world = make_world(tmp_path)
    world.train(epochs=5, lr=0.003, lr_step=3, device="cuda")
    on_cpu, on_cuda = (world.evaluate(device, device=device)["mean_iou"] for device in ("cpu", "cuda"))
    assert on_cuda == pytest.approx(on_cpu, abs=0.02)


def scene() -> np.ndarray:
    """Blocks as in the chips, image_HWC of 512 px."""
    return bright_chip(99, 512)[0]


def test_classes_on_a_gpu_are_those_on_a_cpu(learnt: World) -> None:
    segmenter = load_model(learnt.model).segmenter.eval()
    images_NCHW = torch.from_numpy(scene())[None].permute(0, 3, 1, 2)
    devices = Device("cpu", "fp32"), Device("cuda", "fp32")
    on_cpu, on_cuda = (
        argmax(segmenter.to(device.name).predict_logits(images_NCHW, device)).cpu() for device in devices
    )
    assert len(on_cpu.unique()) == 3
    same = float((on_cpu == on_cuda).double().mean())
    print(f"{same:.3%} of the pixels are of the same class")
    assert same >= SAME


def test_a_map_made_on_a_gpu_is_that_of_a_cpu(
    learnt: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("rasterio", reason="without rasterio there are no maps")
    from pipeline.raster.geotiff import write_geotiff
    from tests.maps import Command
    from tests.world import at

    # what becomes these 8 bits: the model's imagery has steps of 0.0001 above -0.1, and is stretched from 0 to 0.3
    steps_HWC = (1000 + scene().astype(int) * 3000 // 255).astype(np.uint16)
    write_geotiff(tmp_path / "scene.tif", steps_HWC.transpose(2, 0, 1), at())
    predict = Command(monkeypatch, capsys, learnt.model)
    on_cpu, on_cuda = (
        predict.ids(tmp_path / f"{device}.tif", tmp_path / "scene.tif", "--device", device)
        for device in ("cpu", "cuda")
    )
    assert set(np.unique(on_cpu)) == {1, 4, 9}
    assert (on_cpu == on_cuda).mean() >= SAME


@pytest.mark.parametrize("deterministic", [False, True])
@pytest.mark.parametrize("classes", [2, 5, 7, 21])
def test_pixels_are_counted_as_on_a_cpu_and_without_waiting(classes: int, deterministic: bool) -> None:
    random = torch.Generator().manual_seed(classes)
    target_NHW = torch.randint(classes + 1, (9, 40, 30), generator=random, dtype=torch.uint8)
    target_NHW[target_NHW == classes] = 255
    target_NHW[3] = 255
    predicted_NHW = torch.randint(classes, (9, 40, 30), generator=random)
    expected_NKK = confusion_matrices(predicted_NHW, target_NHW, classes)
    on_cuda = predicted_NHW.to("cuda"), target_NHW.to("cuda")
    torch.use_deterministic_algorithms(deterministic)
    with no_waiting():
        found_NKK, found_KK = confusion_matrices(*on_cuda, classes), confusion_matrix(*on_cuda, classes)
    assert found_NKK.dtype == found_KK.dtype == torch.int64
    assert torch.equal(found_NKK.cpu(), expected_NKK)
    assert torch.equal(found_KK.cpu(), expected_NKK.sum(dim=0))


@pytest.mark.parametrize("loss", ["focal", "dice", "ce"])
def test_deterministic_training_on_a_gpu_is_reproducible(world: World, tmp_path: Path, loss: str) -> None:
    first, second = (bytes_of(world, tmp_path / name, loss=loss, augment="all") for name in ("first", "second"))
    assert first == second


def test_pooling_without_a_deterministic_form_is_refused_in_one_line(world: World, tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match=r"^train\.deterministic is true, but adaptive_avg_pool2d_backward_cuda of"
    ) as error:
        bytes_of(world, tmp_path / "out", architecture="pspnet", precision="fp32")
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("architecture", ["fpn", "deeplabv3plus"])
def test_other_networks_are_reproducible_or_refused_in_one_line(
    world: World, tmp_path: Path, architecture: str
) -> None:
    try:
        first, second = (
            bytes_of(world, tmp_path / name, architecture=architecture, precision="fp32")  # bf16 is refused
            for name in ("first", "second")
        )
    except PipelineError as error:
        # cuDNN may have no deterministic algorithm for dilated convolutions of single channels; FPN has none of these
        assert architecture == "deeplabv3plus", error
        assert "no deterministic form" in str(error)
        assert "\n" not in str(error)
    else:
        assert first == second


def test_chips_in_memory_give_the_bytes_of_files(world: World, tmp_path: Path) -> None:
    found = {}
    for cache in ("none", "ram", "gpu", "auto"):
        files = bytes_of(world, tmp_path / cache, cache=cache, batch_size=3, augment="all")
        described = json.loads(files.pop("model/model.json"))
        assert described["params"]["train"].pop("cache") == cache
        found[cache] = files, described
    assert found["ram"] == found["gpu"] == found["auto"] == found["none"]
    places = [read_json(tmp_path / cache / "cost.json")["cache"] for cache in found]
    assert places == ["none", "ram", "gpu", "gpu"]


def test_out_of_memory_is_one_line_with_a_remedy(world: World, tmp_path: Path) -> None:
    gc.collect()  # a trainer and its task refer to each other
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction(0.001)
    try:
        # cuDNN may find no algorithm that fits rather than run out of memory
        full = r"^(out of memory|CUDA's libraries failed.*) in epoch 1 .*larger train\.accumulate"
        with pytest.raises(PipelineError, match=full) as error:
            world.train(tmp_path, device="cuda", batch_size=8)
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert "\n" not in str(error.value)
