import multiprocessing
import os
import random
import re
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.interrupt import INTERRUPTED
from pipeline.learning import checkpoint
from pipeline.learning.checkpoint import AtomicCheckpointIO, locked_checkpoint
from pipeline.learning.preemption import PREEMPTED
from tests.learning.world import World, train_params, written

ROOT = Path(__file__).parents[2]
EPOCHS = 6
RESUMING = "resuming after epoch"


@dataclass
class TrainProcess:
    """A training in its own folder, started as DVC does."""

    world: World
    out: Path

    def start(self, **changes: Any) -> "subprocess.Popen[str]":
        values = train_params(epochs=EPOCHS, batch_size=2, augment="all", **changes).model_dump(mode="json")
        (self.out / "params.yaml").write_text(yaml.safe_dump(values))
        paths = [*self.world.inputs, "model", "train.json", "cost.json", "plots"]
        command = [sys.executable, "-m", "pipeline.train", *map(str, paths)]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "DVC_ROOT": str(self.out)}
        return subprocess.Popen(
            command,
            cwd=self.out,
            env=environment,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )

    def finish(self, **changes: Any) -> str:
        run = self.start(**changes)
        output, _ = run.communicate()
        assert run.returncode == 0, output
        return output

    def stop(
        self, epoch: int, number: int = signal.SIGKILL, wait: float = 0.0, group: bool = False, **changes: Any
    ) -> tuple[int, str]:
        """Send a signal `wait` seconds after an epoch's line, with `group` to all processes; exit code and output."""
        run = self.start(**changes)
        assert run.stdout is not None
        output = ""
        for line in run.stdout:
            output += line
            if line.startswith(f"epoch {epoch}/"):
                time.sleep(wait)
                if group:
                    os.killpg(run.pid, number)
                else:
                    run.send_signal(number)
                break
        rest, _ = run.communicate()
        return run.returncode, output + rest

    @property
    def results(self) -> dict[str, bytes]:
        """Everything that should be reproducible."""
        return {name: body for name, body in written(self.out).items() if not name.startswith(("cost", "params", "."))}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"), 32, train=4, val=2)


@pytest.fixture(scope="module")
def uninterrupted(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    run = TrainProcess(world, tmp_path_factory.mktemp("run"))
    assert RESUMING not in run.finish()
    return run.results


@pytest.fixture
def interrupted(world: World, tmp_path: Path) -> TrainProcess:
    return TrainProcess(world, tmp_path)


def test_two_kills_change_no_byte_and_success_removes_the_checkpoint(
    interrupted: TrainProcess, uninterrupted: dict[str, bytes], own_cache: Path
) -> None:
    code, output = interrupted.stop(2)
    assert (code, RESUMING in output) == (-signal.SIGKILL, False)
    (saved,) = own_cache.glob("training/*/epoch.ckpt")
    kept = torch.load(saved, weights_only=True)["epoch"] + 1  # loads without running code
    assert kept in (1, 2)  # the line is printed before the checkpoint is saved
    code, output = interrupted.stop(4, wait=0.1)
    assert code == -signal.SIGKILL
    assert f"{RESUMING} {kept} of" in output
    assert RESUMING in interrupted.finish()
    assert interrupted.results == uninterrupted
    assert list(own_cache.glob("training/*")) == []


@pytest.mark.soak
@pytest.mark.short
def test_a_kill_changes_no_byte_with_steps_either(world: World, tmp_path: Path) -> None:
    steps = {"steps": 3 * EPOCHS}  # 6 chips an epoch, of 4: passes straddle epochs
    whole, interrupted = (TrainProcess(world, tmp_path / name) for name in ("whole", "interrupted"))
    for run in (whole, interrupted):
        run.out.mkdir()
    whole.finish(**steps)
    interrupted.stop(4, **steps)
    assert RESUMING in interrupted.finish(**steps)
    assert interrupted.results == whole.results


def test_another_learning_rate_starts_from_scratch(interrupted: TrainProcess) -> None:
    interrupted.stop(2, lr=0.01)
    output = interrupted.finish()
    assert "starting from scratch; 1 interrupted or running trainings in " in output
    assert RESUMING not in output


def test_sigterm_has_its_own_exit_code_and_the_next_run_resumes(
    interrupted: TrainProcess, uninterrupted: dict[str, bytes]
) -> None:
    code, output = interrupted.stop(3, signal.SIGTERM)
    assert code == PREEMPTED
    assert output.splitlines()[-1] == (
        "train: error: stopped by SIGTERM; run the same command to resume after the last finished epoch"
    )
    assert "Traceback" not in output
    assert RESUMING in interrupted.finish()
    assert interrupted.results == uninterrupted


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_prints_one_line_and_the_next_run_resumes(
    interrupted: TrainProcess, uninterrupted: dict[str, bytes], workers: int
) -> None:
    code, output = interrupted.stop(3, signal.SIGINT, group=True, workers=workers)
    assert code == INTERRUPTED
    *epochs, last = output.splitlines()
    assert last == "train: error: stopped by Ctrl-C; run the same command to resume after the last finished epoch"
    assert all(line.startswith("epoch ") for line in epochs), output
    assert RESUMING in interrupted.finish()
    assert interrupted.results == uninterrupted


@pytest.mark.soak
def test_twenty_kills_at_random_moments_change_no_byte(
    interrupted: TrainProcess, uninterrupted: dict[str, bytes]
) -> None:
    rng, kills, saved, began = random.Random(20), 0, 0, time.monotonic()
    while kills < 20:
        run = interrupted.start()
        time.sleep(rng.uniform(0, 20))
        run.kill()
        output, _ = run.communicate()
        kills += run.returncode == -signal.SIGKILL
        saved += int(found.group(1)) if (found := re.search(rf"{RESUMING} (\d+) of", output)) else 0
        if run.returncode == 0:
            assert interrupted.results == uninterrupted
    interrupted.finish()
    assert interrupted.results == uninterrupted
    print(f"{kills} kills in {time.monotonic() - began:.0f} s: {saved} epochs of {EPOCHS} a training not trained again")


def test_on_preemption_loader_workers_exit_quietly(interrupted: TrainProcess, uninterrupted: dict[str, bytes]) -> None:
    code, output = interrupted.stop(2, signal.SIGTERM, group=True, workers=2)
    assert (code, "Traceback" in output) == (PREEMPTED, False), output
    assert RESUMING in interrupted.finish()  # the result does not depend on the workers
    assert interrupted.results == uninterrupted


def test_a_failed_write_is_refused_and_leaves_no_partial_file(tmp_path: Path) -> None:
    (tmp_path / "epoch.ckpt").mkdir()
    with pytest.raises(PipelineError, match=r"^cannot write the checkpoint .*epoch\.ckpt .*free disk space"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / "epoch.ckpt")
    assert list(tmp_path.iterdir()) == [tmp_path / "epoch.ckpt"]


def test_a_process_that_waited_for_a_successful_one_gets_a_lock_of_its_own(own_cache: Path) -> None:
    begun, held = threading.Event(), []

    def wait() -> None:
        begun.set()
        with locked_checkpoint("abc") as saved:
            held.append((saved.folder / "lock").stat().st_ino)
            saved.file.write_bytes(b"state")

    second = threading.Thread(target=wait)
    with locked_checkpoint("abc"):
        second.start()
        begun.wait()
        time.sleep(0.5)  # it waits for the lock now, which is then removed
    second.join(20)
    assert len(held) == 1
    assert list(own_cache.glob("training/*")) == []


def test_a_damaged_checkpoint_starts_from_scratch(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked_checkpoint("abc") as saved:
        saved.file.write_bytes(b"half of a sta")
        assert saved.resumable() is None
    assert re.search(r"cannot read the checkpoint .* \(\w+\); starting from scratch", capsys.readouterr().out)


def test_a_failed_training_keeps_its_checkpoint(own_cache: Path) -> None:
    with pytest.raises(ValueError, match="later"), locked_checkpoint("abc") as saved:
        saved.file.write_bytes(b"state")
        raise ValueError("later")
    assert (own_cache / "training/abc/epoch.ckpt").read_bytes() == b"state"


def _hold(seconds: float) -> None:
    with locked_checkpoint("abc"):
        time.sleep(seconds)


@pytest.mark.parametrize(("patience", "seconds"), [(0.1, 30.0), (30.0, 1.0)])
def test_a_second_process_waits_for_the_lock_and_then_gives_up(
    patience: float, seconds: float, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setattr(checkpoint, "LOCK_TIMEOUT", patience)
    other = multiprocessing.get_context("fork").Process(target=_hold, args=(seconds,))
    other.start()
    while not (own_cache / "training/abc/lock").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    if patience < 1:
        with pytest.raises(PipelineError, match="another process runs the same training and holds .*abc/lock"):
            _hold(0)
    else:
        with locked_checkpoint("abc") as saved:
            assert saved.resumable() is None
    other.kill()
    other.join()
