import json
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip, write_tables
from pipeline.learning.data import Chips
from pipeline.learning.device import Device, Hardware
from pipeline.learning.distributed import SINGLE_PROCESS
from pipeline.learning.losses import LOSSES, Loss, LossConfig
from pipeline.learning.weights import IMAGENET_MEAN, IMAGENET_STD
from pipeline.train import (
    LEARNING_CODE,
    Placement,
    TrainingInputs,
    chip_geometry,
    class_pixels,
    training_inputs,
    training_pixels,
)
from tests.learning.world import BRIGHTNESS, IMAGERY, ORIGIN, World, bright_chip, chips_folder, train_params, written

OUTS = ["cost.json", "model", "plots", "train.json"]


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("small"), 32, train=4, val=2)


@pytest.fixture(scope="module")
def first(small: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    out = tmp_path_factory.mktemp("first")
    small.train(out, augment="all")
    return written(out)


def test_training_writes_the_model_its_metrics_its_cost_and_its_curves(trained: World) -> None:
    assert sorted(path.name for path in trained.folder.iterdir()) == sorted([*OUTS, "chips", "split"])
    assert sorted(path.name for path in trained.model.iterdir()) == ["model.json", "model.safetensors"]
    metrics = json.loads((trained.folder / "train.json").read_text())
    assert metrics.keys() == {"best_epoch", "train", "val"}
    assert metrics["val"]["mean_iou"] > 0.8
    assert (trained.folder / "plots/plots/metrics/val/mean_iou.tsv").is_file()


def test_the_metrics_are_those_of_the_best_epoch_of_the_curves(trained: World) -> None:
    metrics = json.loads((trained.folder / "train.json").read_text())
    curve = pd.read_csv(trained.folder / "plots/plots/metrics/val/mean_iou.tsv", sep="\t")
    best = curve.loc[curve["mean_iou"].idxmax()]
    assert (metrics["best_epoch"], metrics["val"]["mean_iou"]) == (best["step"], best["mean_iou"])
    assert len(curve) == 5


def test_the_cost_is_a_file_of_its_own(trained: World) -> None:
    cost = json.loads((trained.folder / "cost.json").read_text())
    assert (cost["device"], cost["revision"]) == ("cpu", None)
    assert cost["chips_per_second"] == pytest.approx(50 / cost["seconds"], rel=0.05)
    weights = (trained.model / "model.safetensors").stat().st_size / 1e6
    assert cost["model_mb"] == pytest.approx(weights, abs=0.06)


def test_with_steps_the_cost_counts_the_chips_that_were_drawn(small: World, tmp_path: Path) -> None:
    line = small.train(tmp_path, epochs=2, steps=6, batch_size=4)
    cost = json.loads((tmp_path / "cost.json").read_text())
    assert cost["chips_per_second"] == pytest.approx(2 * (3 * 4 + 2) / cost["seconds"], rel=0.05)
    assert line.startswith("4 training and 2 validation chips, best epoch ")


def test_the_same_seed_gives_the_same_bytes_with_any_workers(
    small: World, first: dict[str, bytes], tmp_path: Path
) -> None:
    small.train(tmp_path, augment="all", workers=1)
    again = written(tmp_path)
    assert first.keys() == again.keys()
    descriptions = [json.loads(files["model/model.json"]) for files in (first, again)]
    assert [description["params"]["train"].pop("workers") for description in descriptions] == [0, 1]
    assert descriptions[0] == descriptions[1]
    again.pop("model/model.json")
    assert [name for name, content in again.items() if first[name] != content] == []


def test_another_seed_gives_another_model(small: World, first: dict[str, bytes], tmp_path: Path) -> None:
    small.train(tmp_path, augment="all", seed=2)
    other = written(tmp_path)
    for name in ("model/model.safetensors", "train.json", "plots/plots/metrics/val/loss.tsv"):
        assert other[name] != first[name]


def test_a_diverged_training_publishes_nothing(small: World, tmp_path: Path) -> None:
    with pytest.raises(PipelineError) as error:
        small.train(tmp_path, optimizer="sgd", lr=1e30)
    assert str(error.value).startswith(
        "the ce loss became NaN or infinite in epoch 1, batch 2; try a train.lr below 1e+30"
    )
    assert "\n" not in str(error.value)
    assert [path.name for path in tmp_path.iterdir()] == ["plots"]  # the curves show what went wrong


def test_a_failed_training_leaves_the_last_model_in_place(
    small: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "model").mkdir()
    (tmp_path / "model/model.json").write_text("the last good one")
    monkeypatch.setitem(LOSSES, "ce", lambda _: NanLoss(LossConfig()))
    with pytest.raises(PipelineError, match="NaN or infinite in epoch 1, batch 1;"):
        small.train(tmp_path)
    assert (tmp_path / "model/model.json").read_text() == "the last good one"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "plots"]


class NanLoss(Loss):
    name = "ce"

    def sums(self, logits_NKHW: torch.Tensor, targets_NHW: torch.Tensor) -> torch.Tensor:
        return torch.stack([logits_NKHW.sum() * float("nan"), logits_NKHW.sum()])

    def value(self, sums: torch.Tensor) -> torch.Tensor:
        return sums[0]

    def weight(self, sums: torch.Tensor) -> torch.Tensor:
        return sums[1]


def test_an_unknown_network_is_refused_and_no_model_is_written(small: World, tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^architecture is 'unett'; did you mean 'unet'\? allowed: deeplabv3, "):
        small.train(tmp_path, architecture="unett")
    assert {path.name for path in tmp_path.iterdir()} <= {"plots"}


def test_a_split_without_validation_is_refused(tmp_path: Path) -> None:
    world = World.make(tmp_path, train=2)
    with pytest.raises(PipelineError, match=r"val\.txt does not exist; the stage split writes it: run `dvc repro`$"):
        world.train()


@pytest.mark.parametrize("workers", [0, 1])
def test_a_damaged_chip_is_one_line_with_and_without_workers(tmp_path: Path, workers: int) -> None:
    world = World.make(tmp_path, train=2, val=1)
    (tmp_path / "chips/images/c01.png").write_bytes(b"\x89PNG")
    with pytest.raises(PipelineError) as error:
        world.train(workers=workers)
    assert str(error.value).startswith(f"{tmp_path / 'chips/images/c01.png'} cannot be read: ")
    assert "Traceback" not in str(error.value)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["chips", "plots", "split"]


def table_of(folder: Path, *sizes: tuple[int, int]) -> Path:
    chips = [Chip(f"c{number}", "s", 0, 0, *size, pixel_size=0.5) for number, size in enumerate(sizes)]
    write_tables(folder, [vars(chip) for chip in chips], BRIGHTNESS, IMAGERY, ORIGIN)
    return folder


def test_geometry_of_the_chips(tmp_path: Path) -> None:
    assert chip_geometry(table_of(tmp_path, (64, 64), (64, 64))) == {"chip_sizes": [64], "pixel_sizes": [0.5]}


@pytest.mark.parametrize(
    ("sizes", "given"),
    [([(64, 96)], "64 x 96"), ([(100, 100)], "100 x 100"), ([(64, 64), (32, 32)], "32 x 32, 64 x 64")],
)
def test_chips_of_unsuitable_sizes_are_refused(tmp_path: Path, sizes: list[tuple[int, int]], given: str) -> None:
    with pytest.raises(PipelineError, match=rf"has chips of {given} px; train needs squares of one size, a multiple"):
        chip_geometry(table_of(tmp_path, *sizes))


@pytest.mark.parametrize(("key", "value"), [("seed", -1), ("seed", 2**32), ("loss", "dcie"), ("encoder_weights", "")])
def test_invalid_params_are_refused(key: str, value: object) -> None:
    with pytest.raises(ValueError, match=rf"TrainParams\n{key}\n"):
        train_params(**{key: value})


def test_class_pixels_are_those_of_the_named_chips(tmp_path: Path) -> None:
    rows = []
    for number, pixels in enumerate([(30, 10, 0), (50, 0, 10), (0, 0, 1000)]):
        chip = Chip(f"c{number}", f"s{number}", 0, 0, 32, 32)
        rows.append(vars(chip) | dict(zip(("pixels_1", "pixels_4", "pixels_9"), pixels, strict=True)))
    write_tables(tmp_path, [row | {"pixels_ignored": 5} for row in rows], BRIGHTNESS, IMAGERY, ORIGIN)
    assert class_pixels(tmp_path, ["c1", "c0"], BRIGHTNESS) == [80, 10, 10]


def test_parts_without_labels_are_refused(small: World) -> None:
    chips, _ = small.inputs
    parts = {part: Chips(chips, ids, BRIGHTNESS) for part, ids in (("train", ["c00"]), ("val", []))}
    with pytest.raises(PipelineError, match=r"^the chips in val\.txt have no labelled pixel"):
        training_pixels(parts, BRIGHTNESS)


def inputs_of(small: World, on: Device, **config: Any) -> TrainingInputs:
    parts = {part: Chips(small.inputs[0], [name], BRIGHTNESS) for part, name in (("train", "c00"), ("val", "c01"))}
    return training_inputs(parts, train_params(**config), Placement(on, SINGLE_PROCESS))


def test_the_fingerprint_depends_on_the_gpu_alone_or_on_cpu_and_threads(
    small: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fingerprint(device: Device, cpu: str, threads: int, gpu: str) -> str:
        machine = Hardware("x86_64", (cpu,), threads, (gpu,))
        monkeypatch.setattr("pipeline.train.hardware", lambda: machine)
        return inputs_of(small, device).fingerprint

    gpu, cpu = Device("cuda", "bf16"), Device("cpu", "bf16")
    assert fingerprint(gpu, "AVX2", 8, "H100") == fingerprint(gpu, "AVX512", 64, "H100")
    assert fingerprint(gpu, "AVX2", 8, "H100") != fingerprint(gpu, "AVX2", 8, "A100")
    assert fingerprint(cpu, "AVX2", 8, "H100") == fingerprint(cpu, "AVX2", 8, "A100")
    assert len({fingerprint(cpu, *at, "H100") for at in (("AVX2", 8), ("AVX512", 8), ("AVX2", 2))}) == 3
    assert fingerprint(gpu, "AVX2", 8, "H100") != fingerprint(Device("cuda", "fp32"), "AVX2", 8, "H100")


def test_the_fingerprint_depends_on_every_input_but_not_on_workers(small: World) -> None:
    plain = inputs_of(small, Device("cpu", "fp32"))
    changes: list[dict[str, Any]] = [
        {"params": plain.params | {"seed": 5}},
        {"chips": {"train": ["c01"], "val": ["c00"]}},
        {"files": plain.files[::-1]},
        {"code": "other"},
        {"versions": {"torch": "0"}},
        {"rounding": ("cpu",)},
        {"devices": 2},
    ]
    assert {key for change in changes for key in change} == {field.name for field in fields(TrainingInputs)}
    assert len({plain.fingerprint, *(replace(plain, **change).fingerprint for change in changes)}) == 8
    same = {"workers": 3, "device": "cpu", "devices": 1, "precision": "fp32"}
    assert inputs_of(small, Device("cpu", "fp32"), **same) == plain


def test_further_bands_are_in_the_fingerprint(tmp_path: Path) -> None:
    world = World.make(tmp_path, 32, bands=4, train=1, val=1)

    def inputs(bands: int) -> TrainingInputs:
        parts = {
            name: Chips(world.inputs[0], [chip], BRIGHTNESS, bands) for name, chip in (("train", "c00"), ("val", "c01"))
        }
        return training_inputs(parts, train_params(), Placement(Device("cpu", "fp32"), SINGLE_PROCESS))

    before, rgb = inputs(4), inputs(3)
    assert (len(before.files), len(rgb.files)) == (7, 5)
    path = world.folder / "chips/more_bands/c01.png"
    path.write_bytes((world.folder / "chips/more_bands/c00.png").read_bytes())
    assert inputs(4).fingerprint != before.fingerprint
    assert inputs(3).fingerprint == rgb.fingerprint
    path.unlink()
    with pytest.raises(PipelineError, match=r"more_bands/c01.png does not exist; run `dvc checkout` or `dvc repro`"):
        inputs(4)


def test_many_bands_are_normalised_by_the_training_chips_and_three_as_imagenet(tmp_path: Path) -> None:
    folder = chips_folder(tmp_path / "chips", 3, bands=5)
    ids = ["c00", "c02"]
    rgb = train_params().network(Chips(folder, ids, BRIGHTNESS), BRIGHTNESS)
    assert (rgb.mean, rgb.std) == (IMAGENET_MEAN, IMAGENET_STD)
    config = train_params(encoder_weights="imagenet").network(Chips(folder, ids, BRIGHTNESS, 5), BRIGHTNESS)
    pixels_NC = np.concatenate([bright_chip(number, 32, 5)[0].reshape(-1, 5) for number in (0, 2)]) / 255
    assert config.mean == pytest.approx(pixels_NC.mean(axis=0))
    assert config.std == pytest.approx(pixels_NC.std(axis=0))


WITHOUT_EFFECT = {
    *(f"core.{name}" for name in ("cache", "choices", "cli", "errors", "files", "fingerprint", "interrupt", "params")),
    *(
        "formats.datasets",
        "formats.splits",
        "learning.calibration",
        "learning.cost",
        "learning.hub",
        "learning.preemption",
        "learning.progress",
    ),
}
"""Modules that `train` imports and that do not change the weights: paths, messages, curves, the licence, and the
temperature, which is fitted after every training, an interrupted one too."""


def test_learning_code_is_complete() -> None:
    script = "import sys, pipeline.train; print(*(name for name in sys.modules if name.startswith('pipeline.')))"
    run = subprocess.run([sys.executable, "-W", "ignore", "-c", script], capture_output=True, text=True, check=True)
    loaded = {name.removeprefix("pipeline.") for name in run.stdout.split()} - {
        "core",
        "formats",
        "learning",
        "scoring",
    }
    assert loaded == set(LEARNING_CODE) | WITHOUT_EFFECT
