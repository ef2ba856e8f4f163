"""The benchmark for GPUs measures everything that a CPU can try, and goes on after a failure."""

import json
import math
import re
import sys
from pathlib import Path

import pytest
import torch

from benchmarks import _gpu_readers, gpu
from benchmarks._gpu_floor import network_floor
from benchmarks._gpu_parts import check_synchronisation
from benchmarks._gpu_report import (
    ARITHMETIC,
    BARE,
    BYTES,
    EPOCH,
    FORWARD,
    MEMORY,
    OF_BARE,
    OF_FLOOR,
    OF_STEPS,
    OVERHEAD,
    STEP,
    STUDY,
    VALIDATION,
    Report,
)
from benchmarks._gpu_setup import FULL, ChipCount, Network, Setup
from benchmarks._gpu_train import StageTimes, later_runs
from benchmarks._train_stage import EpochTime, StageError, StageRun, run_stage, stage_params
from tests.learning.world import chips_folder

STEPS = {BARE, FORWARD, STEP, VALIDATION, OVERHEAD, MEMORY}
FLOOR = {ARITHMETIC, BYTES, OF_FLOOR, "parameters"}
STAGE = {EPOCH, OF_BARE, OF_STEPS, "train: peak memory", "train: from its start to the end of the first epoch"}
PARTS = {
    *(f"loss {name}, forward and backward" for name in ("focal", "dice", "ce")),
    *("argmax", "confusion matrix", "random_flip_rotate", "distort, all kinds"),
    *("training step, deterministic", "compiling", "training step, compiled"),
}
READERS = {"reading with 1 loader workers", "decoding into memory, in threads"}


@pytest.fixture(scope="module")
def chips(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return chips_folder(tmp_path_factory.mktemp("gpu") / "chips", 3, side=32)


def test_every_figure_is_measured(chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = torch.backends.cudnn.benchmark
    assert gpu.main([str(chips), "small", "--json", str(tmp_path / "gpu.json")]) == 0
    found = json.loads((tmp_path / "gpu.json").read_text())
    names: dict[str, set[str]] = {}
    for figure in found["figures"]:
        names.setdefault(figure["subject"], set()).add(figure["name"])
        assert math.isfinite(figure["value"]), figure
        assert figure["value"] > 0, figure
        assert figure["chips_per_second"] is None or figure["chips_per_second"] > 0
    assert names["unet resnet18"] >= STEPS | STAGE | {STUDY} | PARTS | FLOOR
    assert names["unet resnet18, deterministic"] >= STAGE
    assert names["unetplusplus resnet18"] >= STEPS | FLOOR
    assert names[""] == READERS
    assert found["failures"] == []
    assert "a training step synchronises" in " ".join(found["remarks"])
    assert torch.__version__.startswith(found["machine"]["torch"])
    printed = capsys.readouterr().out
    assert all(f"== {title} (at " in printed for title in ("train, unet resnet18", "readers", "a compiled step"))
    assert "| unet resnet18 | " in printed
    assert "counted: 8 training and 2 validation chips" in printed
    assert (torch.backends.cudnn.benchmark, torch.are_deterministic_algorithms_enabled()) == (before, False)


def test_a_failure_does_not_stop_the_others(
    chips: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> float:
        raise RuntimeError("no reader\nat all")

    monkeypatch.setattr(_gpu_readers, "rate", fail)
    monkeypatch.setattr(gpu, "report_floor", fail)
    arguments = [str(chips), "small", "--json", str(tmp_path / "gpu.json"), "--only", "readers", "floor"]
    assert gpu.main(arguments) == 1
    lines = [" ".join(line.split()) for line in capsys.readouterr().out.splitlines()]
    assert "reading with 1 loader workers FAILED: no reader" in lines
    assert "the floor of unet resnet18 FAILED: no reader" in lines
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert len(found["failures"]) == 3
    assert {"decoding into memory, in threads", "floor by eager bytes, loss focal"} <= {
        figure["name"] for figure in found["figures"]
    }


class Learner:
    """Steps of which the second one waits for the GPU."""

    def __init__(self, error: Exception | None) -> None:
        self.errors = [None, error]

    def learn(self) -> None:
        if error := self.errors.pop(0):
            raise error


@pytest.mark.parametrize(
    ("error", "remark"),
    [
        (None, "no"),
        (
            RuntimeError("called a synchronizing CUDA operation"),
            r"yes, at tests/benchmarks/test_gpu\.py:\d+: called .*",
        ),
    ],
)
def test_a_synchronisation_is_located(monkeypatch: pytest.MonkeyPatch, error: Exception | None, remark: str) -> None:
    modes: list[str] = []
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    report = Report()
    check_synchronisation(report, Learner(error), on_cuda=True)
    assert re.fullmatch(remark, report.remarks[0][1])
    assert modes == ["error", "default"]


def test_other_errors_are_no_synchronisation(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "synchronize", lambda: None)
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", lambda mode: None)
    with pytest.raises(RuntimeError, match="out of memory"):
        check_synchronisation(Report(), Learner(RuntimeError("out of memory")), on_cuda=True)


@pytest.mark.parametrize(
    ("script", "error"),
    [
        ("echo starting; echo 'train: error: no GPU' >&2; echo bye; exit 1", "train: error: no GPU"),
        ("echo Traceback; echo torch.OutOfMemoryError: too big; exit 1", "torch.OutOfMemoryError: too big"),
        ("exit 3", "no output, exit code 3"),
        ("echo 'epoch 1/3: loss 1, 9.0 chips/s, about 1 s left'; sleep 60", "not finished after 1 s, 1 epochs"),
    ],
)
def test_a_failed_stage_is_named_by_its_own_error(
    chips: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, error: str
) -> None:
    python = tmp_path / "python"
    python.write_text(f"#!/bin/sh\n{script}\n")
    python.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(python))
    with pytest.raises(StageError, match=f"^{error}$"):
        run_stage(chips, {"train": ["c00", "c01"], "val": ["c02"]}, stage_params({"epochs": 3}), limit=1)


def test_more_networks_and_settings_follow_the_first_one(tmp_path: Path) -> None:
    report = Report()
    runs = [*map(str, later_runs(Setup(tmp_path, tmp_path, FULL, report)))]
    networks = ["unet resnet18", "unet resnet101", "unetplusplus resnet34"]
    assert runs == ["unet resnet34, deterministic", *networks, "unet resnet34, cache none", "unet resnet34, compile"]


def test_an_epoch_is_extrapolated_without_its_checkpoint() -> None:
    epochs = [
        EpochTime(10, 1.0),
        EpochTime(16, 2.0),
        EpochTime(22, 2.0),
    ]  # 10 chips in 5 s, then 1 s for the checkpoint
    times = StageTimes.of(StageRun(epochs, seconds=25), ChipCount(8, 2))
    assert times == StageTimes(first=10, work=5, between=1, last=3)
    assert times.epoch(4) == 21


def test_the_floor_is_that_of_known_networks() -> None:
    floor = network_floor(Network("unet", "resnet34"), classes=5, batch=2)
    assert floor.parameters == 24_436_949
    assert floor.flop == pytest.approx(187.2e9, rel=1e-3)
    assert floor.forward_flop < floor.flop / 2
    assert floor.forward_bytes < floor.bytes / 2
