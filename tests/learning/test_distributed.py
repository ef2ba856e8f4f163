"""Several processes train as one does, each chip read once, and report an error once."""

import time
from collections import Counter
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch
from timm.layers.norm_act import BatchNormAct2d
from torch import nn

from pipeline.core.errors import PipelineError
from pipeline.core.files import read_json
from pipeline.learning.band_statistics import band_statistics
from pipeline.learning.batches import BatchPlan, MicroBatchSampler, Shuffle
from pipeline.learning.data import Chips
from pipeline.learning.device import Device
from pipeline.learning.distributed import SINGLE_PROCESS, ProcessGroup, SharedError, process_group, rank_zero_errors
from tests.learning.world import BRIGHTNESS, Run, World, tiny_task

CPU, CUDA = Device("cpu", "fp32"), Device("cuda", "bf16")
ALL = [f"c{number:02}" for number in range(16)]
FROZEN = "tests.learning.frozen"
TORCHRUN = ("torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m")
PARAMS: dict[str, Any] = {"epochs": 2, "batch_size": 4, "optimizer": "sgd", "lr": 0.002, "precision": "fp32"}


@pytest.mark.parametrize(
    ("wanted", "batch_size", "accumulate", "size"),
    [("auto", 32, 1, 4), ("auto", 3, 1, 3), ("auto", 1, 1, 1), ("auto", 8, 4, 2), (2, 8, 4, 2)],
)
def test_auto_is_every_gpu_for_which_a_batch_has_chips_and_one_process_on_a_cpu(
    monkeypatch: pytest.MonkeyPatch, wanted: Any, batch_size: int, accumulate: int, size: int
) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 4)
    assert process_group(wanted, CUDA, batch_size, accumulate).world_size == size
    on_cpu = SINGLE_PROCESS if wanted == "auto" else ProcessGroup(2, 0, 2)
    assert process_group(wanted, CPU, batch_size, accumulate) == on_cpu


def test_too_many_devices_and_too_small_batches_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    with pytest.raises(PipelineError, match=r"^train\.devices is 3, but this machine has 2 cuda devices; lower it$"):
        process_group(3, CUDA, 8, 1)
    with pytest.raises(PipelineError, match=r"^train\.batch_size is 3, too few chips for 2 devices .* at least 4$"):
        process_group(2, CUDA, 3, 2)


def test_torchrun_sets_rank_and_world_size(monkeypatch: pytest.MonkeyPatch) -> None:
    variables = {"TORCHELASTIC_RUN_ID": "x", "WORLD_SIZE": "8", "RANK": "5", "LOCAL_WORLD_SIZE": "4", "LOCAL_RANK": "1"}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    processes = process_group("auto", CPU, 8, 1)
    assert (processes, processes.is_rank_zero) == (ProcessGroup(8, 5, 4, by_torchrun=True), False)
    assert processes.environment().world_size() == 8


@pytest.mark.parametrize(
    ("rank", "error", "message"),
    [
        (0, PipelineError("the loss is lost"), "^the loss is lost$"),
        (1, PipelineError("a.png cannot be read"), r"^rank 1 \(world size 2\): a.png cannot be read$"),
        (0, RuntimeError("[enforce fail] Connection closed by peer [127.0.0.1]:1"), "^another rank of this training"),
    ],
)
def test_errors_name_their_rank_and_a_lost_connection_is_explained(rank: int, error: Exception, message: str) -> None:
    with pytest.raises(PipelineError, match=message), rank_zero_errors(ProcessGroup(2, rank, 2)):
        raise error


def test_rank_0_reports_shared_errors_and_bugs_keep_their_traceback() -> None:
    with pytest.raises(SystemExit) as ended, rank_zero_errors(ProcessGroup(2, 1, 2)):
        raise SharedError("the loss is lost")
    assert ended.value.code == 0
    lost = RuntimeError("[enforce fail] Connection closed by peer [127.0.0.1]:1")
    for processes, error in ((SINGLE_PROCESS, lost), (ProcessGroup(2, 0, 2), RuntimeError("a bug"))):
        with pytest.raises(RuntimeError) as raised, rank_zero_errors(processes):
            raise error
        assert raised.value is error


def test_batch_norm_is_synchronised_on_gpus_and_keeps_timms_activation() -> None:
    task = tiny_task()
    task.segmenter.net = nn.Sequential(BatchNormAct2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval()
    images = torch.randn(2, 3, 4, 4)
    before = task.segmenter.net(images)
    task.prepare(CUDA, MicroBatchSampler(Shuffle(4, 1), 4, BatchPlan(2, ProcessGroup(2, 0, 2))))
    assert sum(isinstance(layer, nn.SyncBatchNorm) for layer in task.segmenter.net.modules()) == 2
    torch.testing.assert_close(task.segmenter.net(images), before)
    assert bool((before[:, 0] != images[:, 0]).any())


def trained(world: World, out: Path, *launcher: str, **changes: Any) -> tuple[Run, str]:
    """Train with frozen batch norm; the run and the output of all ranks."""
    run = Run(world, out)
    code, output = run.finish(*(launcher or (FROZEN,)), **PARAMS | changes)
    assert code == 0, output
    return run, output


def curves(run: Run) -> pd.DataFrame:
    files = sorted((run.out / "plots/plots/metrics").rglob("*.tsv"))
    return pd.concat([pd.read_csv(file, sep="\t", index_col="step") for file in files], axis=1)


def difference(one: Run, other: Run) -> float:
    """Return the largest difference of a curve."""
    return float((curves(one) - curves(other)).abs().max().max())


def chips_read(run: Run) -> list[list[str]]:
    """Return the chips that each rank read, in all epochs."""
    return [file.read_text().split() for file in sorted(run.out.glob("seen-*.txt"))]


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"), 32, train=11, val=5)


@pytest.fixture(scope="module")
def single(world: World, tmp_path_factory: pytest.TempPathFactory) -> Run:
    return trained(world, tmp_path_factory.mktemp("single") / "out")[0]


@pytest.mark.parametrize("launcher", [(), (*TORCHRUN, FROZEN)], ids=["lightning", "torchrun"])
def test_two_processes_give_the_result_of_one(
    world: World, single: Run, tmp_path: Path, launcher: tuple[str, ...]
) -> None:
    both, output = trained(world, tmp_path / "out", *launcher, devices=2)
    print(f"largest difference of a curve: {difference(both, single):.1e}")
    assert difference(both, single) < 1e-4
    scores = [read_json(run.out / "train.json")["val"]["iou"] for run in (both, single)]
    assert scores[0] == pytest.approx(scores[1], abs=1e-3)
    fitted = [read_json(run.out / "model/model.json")["calibration"] for run in (both, single)]
    assert fitted[0] == pytest.approx(fitted[1], rel=1e-3)
    (read_by_one,), read_by_two = chips_read(single), chips_read(both)
    assert len(read_by_two) == 2
    once_more = dict.fromkeys(ALL[11:], 3)  # the validation chips, for the temperature
    assert Counter(read_by_two[0] + read_by_two[1]) == Counter(read_by_one) == dict.fromkeys(ALL, 2) | once_more
    lines = [text.split(":")[0] for text in output.splitlines() if text.startswith(("epoch", "train:"))]
    assert lines == ["epoch 1/2", "epoch 2/2", "train"]
    assert read_json(both.out / "cost.json")["devices"] == 2


@pytest.mark.soak
def test_two_processes_normalise_many_bands_by_all_training_chips(tmp_path: Path) -> None:
    world = World.make(tmp_path / "world", 32, bands=4, train=4, val=2)
    both, _ = trained(world, tmp_path / "out", devices=2, epochs=1)
    description = read_json(both.out / "model/model.json")
    mean, std = band_statistics(Chips(world.inputs[0], ALL[:4], BRIGHTNESS, 4))
    assert (description["mean"], description["std"]) == (list(mean), list(std))


def test_shared_errors_are_reported_once(world: World, tmp_path: Path) -> None:
    code, output = Run(world, tmp_path / "lost").finish(FROZEN, **PARAMS | {"devices": 2, "lr": 1e30})
    assert code != 0
    assert output.count("NaN or infinite in epoch 1, batch 2") == 1
    assert "Traceback" not in output
    damaged = World.make(tmp_path / "damaged", 32, train=4, val=2)
    for number in range(4):
        (damaged.folder / f"chips/images/c0{number}.png").write_bytes(b"\x89PNG")
    code, output = Run(damaged, tmp_path / "refused").finish(FROZEN, **PARAMS | {"devices": 2})
    assert code != 0
    assert "cannot be read" in output
    assert "Traceback" not in output


def test_two_processes_resume_after_rank_0_was_killed(
    world: World, single: Run, tmp_path: Path, own_cache: Path
) -> None:
    process = Run(world, tmp_path / "out").start(FROZEN, **PARAMS | {"devices": 2})
    while not list(own_cache.glob("training/*/epoch.ckpt")):
        assert process.poll() is None
        time.sleep(0.01)
    process.kill()
    process.communicate(timeout=60)  # until the second process has ended too
    killed, output = trained(world, tmp_path / "out", devices=2)
    assert "resuming after epoch 1 of" in output
    assert difference(killed, single) < 1e-4


@pytest.mark.cuda
@pytest.mark.skipif(torch.cuda.device_count() < 2, reason="fewer than two NVIDIA GPUs")
def test_two_gpus_give_the_result_of_one(world: World, tmp_path: Path) -> None:
    one, two = (
        trained(world, tmp_path / str(devices), "pipeline.train", device="cuda", devices=devices)[0]
        for devices in (1, 2)
    )
    assert float((curves(one) - curves(two))["loss"].abs().max().max()) < 0.02
    assert read_json(two.out / "cost.json")["devices"] == 2
