import os
import subprocess
import sys
import time
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
import yaml
from timm.layers.norm_act import BatchNormAct2d, convert_sync_batchnorm
from torch import nn

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json
from pipeline.learning.band_statistics import band_statistics
from pipeline.learning.data import Chips
from pipeline.learning.device import Device
from pipeline.learning.distributed import (
    SINGLE_PROCESS,
    ProcessGroup,
    SharedError,
    all_reduce_min,
    all_reduce_sum,
    average_buffers,
    process_group,
    rank_zero_errors,
    require_same_on_all_ranks,
    sum_with_local_gradient,
)
from tests.learning.world import BRIGHTNESS, World, train_params

ROOT = Path(__file__).parents[2]
CPU = Device("cpu", "fp32")
ALL = [f"c{number:02}" for number in range(16)]
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")


def test_on_a_cpu_auto_is_a_single_process() -> None:
    assert process_group("auto", CPU, 8, 1) == SINGLE_PROCESS
    assert process_group(2, CPU, 8, 1) == ProcessGroup(2, 0, 2)


@pytest.mark.parametrize(
    ("wanted", "batch_size", "accumulate", "size"),
    [("auto", 32, 1, 4), ("auto", 3, 1, 3), ("auto", 1, 1, 1), ("auto", 8, 4, 2), (2, 8, 4, 2)],
)
def test_auto_is_every_gpu_for_which_a_batch_has_chips(
    monkeypatch: pytest.MonkeyPatch, wanted: Any, batch_size: int, accumulate: int, size: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert process_group(wanted, Device("cuda", "bf16"), batch_size, accumulate).world_size == size


def test_too_many_devices_and_too_small_batches_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(PipelineError, match=r"^train\.devices is 3, but this machine has 2 cuda devices; lower it$"):
        process_group(3, Device("cuda", "bf16"), 8, 1)
    with pytest.raises(PipelineError, match=r"^train\.batch_size is 3, too few chips for 2 devices .* at least 4$"):
        process_group(2, Device("cuda", "bf16"), 3, 2)


def test_torchrun_sets_rank_and_world_size(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "RANK": "5", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    processes = process_group("auto", CPU, 8, 1)
    assert (processes, processes.is_rank_zero) == (ProcessGroup(8, 5, 4, by_torchrun=True), False)
    assert processes.environment().world_size() == 8


def test_a_single_process_reduces_nothing() -> None:
    value = torch.tensor([1.5], requires_grad=True)
    assert all_reduce_sum(value) is all_reduce_min(value) is sum_with_local_gradient(value) is value
    require_same_on_all_ranks(value, "nothing")
    norm = nn.BatchNorm2d(1)
    average_buffers(norm)
    assert norm.running_var is not None
    assert norm.running_var.item() == 1


def test_rank_0_reports_shared_errors() -> None:
    with pytest.raises(PipelineError, match="^the loss is lost$"), rank_zero_errors(ProcessGroup(2, 0, 2)):
        raise PipelineError("the loss is lost")
    with pytest.raises(SystemExit) as ended, rank_zero_errors(ProcessGroup(2, 1, 2)):
        raise SharedError("the loss is lost")
    assert ended.value.code == 0
    with (
        pytest.raises(PipelineError, match=r"^rank 1 \(world size 2\): a.png cannot be read$"),
        rank_zero_errors(ProcessGroup(2, 1, 2)),
    ):
        raise PipelineError("a.png cannot be read")


def test_a_lost_connection_is_reported_and_bugs_keep_their_traceback() -> None:
    lost = RuntimeError("[enforce fail] Connection closed by peer [127.0.0.1]:1")
    with (
        pytest.raises(PipelineError, match="another rank of this training ended"),
        rank_zero_errors(ProcessGroup(2, 0, 2)),
    ):
        raise lost
    for processes, error in ((SINGLE_PROCESS, lost), (ProcessGroup(2, 0, 2), RuntimeError("a bug"))):
        with pytest.raises(RuntimeError) as raised, rank_zero_errors(processes):
            raise error
        assert raised.value is error


def test_synchronised_batch_norm_keeps_timms_activation() -> None:
    net = nn.Sequential(BatchNormAct2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval()
    images = torch.randn(2, 3, 4, 4)
    names, before = list(net.state_dict()), net(images)
    synced = convert_sync_batchnorm(net)  # type: ignore[no-untyped-call]
    assert list(synced.state_dict()) == names
    assert sum(isinstance(layer, nn.SyncBatchNorm) for layer in synced.modules()) == 2
    assert torch.equal(synced(images), before)
    assert bool((before[:, 0] != images[:, 0]).any())


@dataclass
class Trial:
    """A training with frozen batch norm in its own process."""

    world: World
    out: Path

    def start(self, launcher: tuple[str, ...] = (), **changes: Any) -> "subprocess.Popen[str]":
        self.out.mkdir(exist_ok=True)
        config = {"epochs": 2, "batch_size": 4, "optimizer": "sgd", "lr": 0.002, "precision": "fp32"} | changes
        (self.out / "params.yaml").write_text(yaml.safe_dump(train_params(**config).model_dump(mode="json")))
        paths = [*self.world.inputs, "model", "train.json", "cost.json", "plots"]
        launched = launcher or ("tests.learning.frozen",)
        command = [sys.executable, "-W", "error", "-m", *launched, *map(str, paths)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DVC_ROOT": str(self.out)}
        return subprocess.Popen(
            command, cwd=self.out, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, launcher: tuple[str, ...] = (), **changes: Any) -> tuple[int, str]:
        """Exit code and output of all ranks."""
        run = self.start(launcher, **changes)
        output, _ = run.communicate(timeout=300)
        return run.returncode, output

    @property
    def curves(self) -> pd.DataFrame:
        files = sorted((self.out / "plots/plots/metrics").rglob("*.tsv"))
        return pd.concat([pd.read_csv(file, sep="\t", index_col="step") for file in files], axis=1)

    @property
    def reads(self) -> list[list[str]]:
        """The chips that each rank read, in all epochs."""
        return [file.read_text().split() for file in sorted(self.out.glob("seen-*.txt"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"), 32, train=11, val=5)


@pytest.fixture(scope="module")
def single(world: World, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    trial = Trial(world, tmp_path_factory.mktemp("single") / "out")
    code, output = trial.run()
    assert code == 0, output
    return trial


@pytest.mark.parametrize("launcher", [(), (*TORCHRUN, "tests.learning.frozen")], ids=["lightning", "torchrun"])
def test_two_processes_give_the_result_of_one(
    world: World, single: Trial, tmp_path: Path, launcher: tuple[str, ...]
) -> None:
    both = Trial(world, tmp_path / "out")
    code, output = both.run(launcher, devices=2)
    assert code == 0, output
    difference = float((both.curves - single.curves).abs().max().max())
    print(f"largest difference of a curve: {difference:.1e}")
    assert difference < 1e-4
    assert read_json(both.out / "train.json")["val"]["iou"] == pytest.approx(
        read_json(single.out / "train.json")["val"]["iou"], abs=1e-3
    )
    fitted = [read_json(trial.out / "model/model.json")["calibration"] for trial in (both, single)]
    assert fitted[0] == pytest.approx(fitted[1], rel=1e-3)
    (read_by_one,), read_by_two = single.reads, both.reads
    assert len(read_by_two) == 2
    once_more = dict.fromkeys(ALL[11:], 3)  # the validation chips, for the temperature
    assert Counter(read_by_two[0] + read_by_two[1]) == Counter(read_by_one) == dict.fromkeys(ALL, 2) | once_more
    lines = [text.split(":")[0] for text in output.splitlines() if text.startswith(("epoch", "train:"))]
    assert lines == ["epoch 1/2", "epoch 2/2", "train"]
    assert read_json(both.out / "cost.json")["devices"] == 2


@pytest.mark.soak
def test_two_processes_normalise_many_bands_by_all_training_chips(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world", 32, bands=4, train=4, val=2)
    both = Trial(world, tmp_path / "out")
    code, output = both.run(devices=2, epochs=1)
    assert code == 0, output
    description = read_json(both.out / "model/model.json")
    mean, std = band_statistics(Chips(world.inputs[0], ALL[:4], BRIGHTNESS, 4))
    assert (description["mean"], description["std"]) == (list(mean), list(std))


def test_gradient_accumulation_gives_the_result_of_the_whole_batch(world: World, single: Trial, tmp_path: Path) -> None:
    parts = Trial(world, tmp_path / "out")
    assert parts.run(accumulate=2)[0] == 0
    assert float((parts.curves - single.curves).abs().max().max()) < 1e-4


def test_shared_errors_are_reported_once(world: World, tmp_path: Path) -> None:
    code, output = Trial(world, tmp_path / "lost").run(devices=2, lr=1e30)
    assert code != 0
    assert output.count("NaN or infinite in epoch 1, batch 2") == 1
    assert "Traceback" not in output
    damaged = World.make(tmp_path / "damaged", 32, train=4, val=2)
    for number in range(4):
        (damaged.folder / f"chips/images/c0{number}.png").write_bytes(b"\x89PNG")
    code, output = Trial(damaged, tmp_path / "refused").run(devices=2)
    assert code != 0
    assert "cannot be read" in output
    assert "Traceback" not in output


def test_two_processes_resume_after_rank_0_was_killed(
    world: World, single: Trial, tmp_path: Path, own_cache: Path
) -> None:
    killed = Trial(world, tmp_path / "out")
    run = killed.start(devices=2)
    while not list(own_cache.glob("training/*/epoch.ckpt")):
        assert run.poll() is None
        time.sleep(0.01)
    run.kill()
    run.communicate(timeout=60)  # until the second process has ended too
    code, output = killed.run(devices=2)
    assert (code, "resuming after epoch 1 of" in output) == (0, True), output
    assert float((killed.curves - single.curves).abs().max().max()) < 1e-4


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two NVIDIA GPUs")
def test_two_gpus_give_the_result_of_one(world: World, tmp_path: Path) -> None:
    one, two = Trial(world, tmp_path / "one"), Trial(world, tmp_path / "two")
    for trial, devices in ((one, 1), (two, 2)):
        code, output = trial.run(("pipeline.train",), device="cuda", devices=devices)
        assert code == 0, output
    assert float((one.curves - two.curves)["loss"].abs().max().max()) < 0.02
    assert read_json(two.out / "cost.json")["devices"] == 2
