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
from pipeline.learning.device import Device
from pipeline.learning.distributed import (
    ALONE,
    EchoedError,
    Ranks,
    agree,
    average_buffers,
    rank_zero_errors,
    ranks,
    shared_total,
    smallest,
    total,
)
from tests.learning.world import World, train_params

ROOT = Path(__file__).parents[2]
CPU = Device("cpu", "fp32")
ALL = [f"c{number:02}" for number in range(16)]
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")


def test_a_processor_trains_alone_unless_told_otherwise() -> None:
    assert ranks("auto", CPU, 8, 1) == ALONE
    assert ranks(2, CPU, 8, 1) == Ranks(2, 0, 2)


@pytest.mark.parametrize(
    ("wanted", "batch_size", "accumulate", "size"),
    [("auto", 32, 1, 4), ("auto", 3, 1, 3), ("auto", 1, 1, 1), ("auto", 8, 4, 2), (2, 8, 4, 2)],
)
def test_all_four_gpus_train_if_a_batch_has_a_chip_for_each(
    monkeypatch: pytest.MonkeyPatch, wanted: Any, batch_size: int, accumulate: int, size: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert ranks(wanted, Device("cuda", "bf16"), batch_size, accumulate).size == size


def test_more_devices_than_there_are_and_batches_too_small_for_them_are_refused(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(PipelineError, match=r"^train\.devices is 3; this machine has 2 of cuda$"):
        ranks(3, Device("cuda", "bf16"), 8, 1)
    with pytest.raises(PipelineError, match=r"^train\.batch_size is 3, too few chips for 2 devices .* at least 4$"):
        ranks(2, Device("cuda", "bf16"), 3, 2)


def test_torchrun_says_how_many_there_are(monkeypatch: pytest.MonkeyPatch) -> None:
    said = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "RANK": "5", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    for name, value in said.items():
        monkeypatch.setenv(name, value)
    found = ranks("auto", CPU, 8, 1)
    assert (found, found.first) == (Ranks(8, 5, 4, by_torchrun=True), False)
    assert found.environment().world_size() == 8


def test_alone_a_sum_is_the_value_itself_with_its_gradient() -> None:
    value = torch.tensor([1.5], requires_grad=True)
    assert total(value) is smallest(value) is shared_total(value) is value
    agree(value, "nothing")
    norm = nn.BatchNorm2d(1)
    average_buffers(norm)
    assert norm.running_var is not None
    assert norm.running_var.item() == 1


def test_of_several_processes_the_first_speaks_for_all() -> None:
    with pytest.raises(PipelineError, match="^the loss is lost$"), rank_zero_errors(Ranks(2, 0, 2)):
        raise PipelineError("the loss is lost")
    with pytest.raises(SystemExit) as ended, rank_zero_errors(Ranks(2, 1, 2)):
        raise EchoedError("the loss is lost")
    assert ended.value.code == 0
    with (
        pytest.raises(PipelineError, match="^in process 2 of 2, a.png cannot be read$"),
        rank_zero_errors(Ranks(2, 1, 2)),
    ):
        raise PipelineError("a.png cannot be read")


def test_a_process_that_loses_another_says_so_and_bugs_keep_their_traceback() -> None:
    lost = RuntimeError("[enforce fail] Connection closed by peer [127.0.0.1]:1")
    with pytest.raises(PipelineError, match="another process of this training ended"), rank_zero_errors(Ranks(2, 0, 2)):
        raise lost
    for here, error in ((ALONE, lost), (Ranks(2, 0, 2), RuntimeError("a bug"))):
        with pytest.raises(RuntimeError) as raised, rank_zero_errors(here):
            raise error
        assert raised.value is error


def test_batch_norm_that_sees_all_devices_keeps_the_activation_that_timm_puts_into_it() -> None:
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
    """A training in a process of its own, whose batch norm is frozen."""

    world: World
    out: Path

    def start(self, launcher: tuple[str, ...] = (), **changes: Any) -> "subprocess.Popen[str]":
        self.out.mkdir(exist_ok=True)
        recipe = {"epochs": 2, "batch_size": 4, "optimizer": "sgd", "lr": 0.002, "precision": "fp32"} | changes
        (self.out / "params.yaml").write_text(yaml.safe_dump(train_params(**recipe).model_dump(mode="json")))
        paths = [*self.world.inputs, "model", "train.json", "cost.json", "plots"]
        launched = launcher or ("tests.learning.frozen",)
        command = [sys.executable, "-W", "error", "-m", *launched, *map(str, paths)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DVC_ROOT": str(self.out)}
        return subprocess.Popen(
            command, cwd=self.out, env=environment, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )

    def run(self, launcher: tuple[str, ...] = (), **changes: Any) -> tuple[int, str]:
        """The exit code, and what all processes said."""
        run = self.start(launcher, **changes)
        said, _ = run.communicate(timeout=300)
        return run.returncode, said

    @property
    def curves(self) -> pd.DataFrame:
        files = sorted((self.out / "plots/plots/metrics").rglob("*.tsv"))
        return pd.concat([pd.read_csv(file, sep="\t", index_col="step") for file in files], axis=1)

    @property
    def seen(self) -> list[list[str]]:
        """What each process read, in all epochs."""
        return [file.read_text().split() for file in sorted(self.out.glob("seen-*.txt"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"), 32, train=11, val=5)


@pytest.fixture(scope="module")
def alone(world: World, tmp_path_factory: pytest.TempPathFactory) -> Trial:
    trial = Trial(world, tmp_path_factory.mktemp("alone") / "out")
    code, said = trial.run()
    assert code == 0, said
    return trial


@pytest.mark.parametrize("launcher", [(), (*TORCHRUN, "tests.learning.frozen")], ids=["lightning", "torchrun"])
def test_two_processes_are_as_one(world: World, alone: Trial, tmp_path: Path, launcher: tuple[str, ...]) -> None:
    both = Trial(world, tmp_path / "out")
    code, said = both.run(launcher, devices=2)
    assert code == 0, said
    difference = float((both.curves - alone.curves).abs().max().max())
    print(f"largest difference of a curve: {difference:.1e}")
    assert difference < 1e-4
    assert read_json(both.out / "train.json")["val"]["iou"] == pytest.approx(
        read_json(alone.out / "train.json")["val"]["iou"], abs=1e-3
    )
    (read_alone,), read_together = alone.seen, both.seen
    assert len(read_together) == 2
    assert Counter(read_together[0] + read_together[1]) == Counter(read_alone) == dict.fromkeys(ALL, 2)
    lines = [text.split(":")[0] for text in said.splitlines() if text.startswith(("epoch", "train:"))]
    assert lines == ["epoch 1/2", "epoch 2/2", "train"]
    assert read_json(both.out / "cost.json")["devices"] == 2


def test_a_batch_in_parts_that_follow_each_other_is_the_whole_one(world: World, alone: Trial, tmp_path: Path) -> None:
    parts = Trial(world, tmp_path / "out")
    assert parts.run(accumulate=2)[0] == 0
    assert float((parts.curves - alone.curves).abs().max().max()) < 1e-4


def test_an_error_of_all_is_said_once_and_one_of_a_single_process_with_its_number(world: World, tmp_path: Path) -> None:
    code, said = Trial(world, tmp_path / "lost").run(devices=2, lr=1e30)
    assert code != 0
    assert said.count("NaN or infinite in epoch 1, batch 2") == 1
    assert "Traceback" not in said
    damaged = World.make(tmp_path / "damaged", 32, train=4, val=2)
    for number in range(4):
        (damaged.folder / f"chips/images/c0{number}.png").write_bytes(b"\x89PNG")
    code, said = Trial(damaged, tmp_path / "refused").run(devices=2)
    assert code != 0
    assert "cannot be read" in said
    assert "Traceback" not in said


def test_two_processes_of_which_the_first_was_killed_stop_and_go_on_as_if_nothing_had_happened(
    world: World, alone: Trial, tmp_path: Path, own_cache: Path
) -> None:
    killed = Trial(world, tmp_path / "out")
    run = killed.start(devices=2)
    while not list(own_cache.glob("training/*/epoch.ckpt")):
        assert run.poll() is None
        time.sleep(0.01)
    run.kill()
    run.communicate(timeout=60)  # until the second process has ended too
    code, said = killed.run(devices=2)
    assert (code, "goes on after epoch 1, where" in said) == (0, True), said
    assert float((killed.curves - alone.curves).abs().max().max()) < 1e-4


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="no two NVIDIA GPUs are here")
def test_two_gpus_train_as_one(world: World, tmp_path: Path) -> None:
    one, two = Trial(world, tmp_path / "one"), Trial(world, tmp_path / "two")
    for trial, devices in ((one, 1), (two, 2)):
        code, said = trial.run(("pipeline.train",), device="cuda", devices=devices)
        assert code == 0, said
    assert float((one.curves - two.curves)["loss"].abs().max().max()) < 0.02
    assert read_json(two.out / "cost.json")["devices"] == 2
