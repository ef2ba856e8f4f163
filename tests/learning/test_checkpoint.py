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
from pipeline.learning.checkpoint import WholeFiles, resumable
from pipeline.learning.preemption import PREEMPTED
from tests.learning.world import World, train_params, written

ROOT = Path(__file__).parents[2]
EPOCHS = 6
GOES_ON = "goes on after epoch"


@dataclass
class Killable:
    """A training as DVC starts it, in a folder of its own."""

    world: World
    out: Path

    def start(self, **changes: Any) -> "subprocess.Popen[str]":
        values = train_params(epochs=EPOCHS, batch_size=2, **changes).model_dump(mode="json")
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
        said, _ = run.communicate()
        assert run.returncode == 0, said
        return said

    def stop(
        self, epoch: int, number: int = signal.SIGKILL, wait: float = 0.0, group: bool = False, **changes: Any
    ) -> tuple[int, str]:
        """Send a signal some seconds after an epoch's line, to all its processes too; exit code and what was said."""
        run = self.start(**changes)
        assert run.stdout is not None
        said = ""
        for line in run.stdout:
            said += line
            if line.startswith(f"epoch {epoch}/"):
                time.sleep(wait)
                if group:
                    os.killpg(run.pid, number)
                else:
                    run.send_signal(number)
                break
        rest, _ = run.communicate()
        return run.returncode, said + rest

    @property
    def outcome(self) -> dict[str, bytes]:
        """All that should repeat."""
        return {name: body for name, body in written(self.out).items() if not name.startswith(("cost", "params", "."))}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"), 32, train=4, val=2)


@pytest.fixture(scope="module")
def undisturbed(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    calm = Killable(world, tmp_path_factory.mktemp("calm"))
    assert GOES_ON not in calm.finish()
    return calm.outcome


@pytest.fixture
def harried(world: World, tmp_path: Path) -> Killable:
    return Killable(world, tmp_path)


def test_two_kills_change_no_byte_and_success_removes_the_state(
    harried: Killable, undisturbed: dict[str, bytes], own_cache: Path
) -> None:
    code, said = harried.stop(2)
    assert (code, GOES_ON in said) == (-signal.SIGKILL, False)
    (state,) = own_cache.glob("training/*/epoch.ckpt")
    kept = torch.load(state, weights_only=True)["epoch"] + 1  # loads without running code
    assert kept in (1, 2)  # the line comes before the state is saved
    code, said = harried.stop(4, wait=0.1)
    assert code == -signal.SIGKILL
    assert f"{GOES_ON} {kept}, where" in said
    assert GOES_ON in harried.finish()
    assert harried.outcome == undisturbed
    assert list(own_cache.glob("training/*")) == []


def test_another_learning_rate_starts_afresh_and_says_so(harried: Killable) -> None:
    harried.stop(2, lr=0.01)
    said = harried.finish()
    assert "starts afresh; 1 interrupted or running trainings in " in said
    assert GOES_ON not in said


def test_sigterm_ends_with_a_code_of_its_own_and_the_next_run_goes_on(
    harried: Killable, undisturbed: dict[str, bytes]
) -> None:
    code, said = harried.stop(3, signal.SIGTERM)
    assert code == PREEMPTED
    assert said.splitlines()[-1] == (
        "train: error: stopped by SIGTERM; run the same again, and it goes on after the last finished epoch"
    )
    assert "Traceback" not in said
    assert GOES_ON in harried.finish()
    assert harried.outcome == undisturbed


@pytest.mark.parametrize("workers", [0, 2])
def test_ctrl_c_ends_in_one_line_and_the_next_run_goes_on(
    harried: Killable, undisturbed: dict[str, bytes], workers: int
) -> None:
    code, said = harried.stop(3, signal.SIGINT, group=True, workers=workers)
    assert code == INTERRUPTED
    *epochs, last = said.splitlines()
    assert last == "train: error: stopped by Ctrl-C; run the same again, and it goes on after the last finished epoch"
    assert all(line.startswith("epoch ") for line in epochs), said
    assert GOES_ON in harried.finish()
    assert harried.outcome == undisturbed


@pytest.mark.soak
def test_twenty_kills_at_random_moments_change_no_byte(harried: Killable, undisturbed: dict[str, bytes]) -> None:
    dice, kills, saved, began = random.Random(20), 0, 0, time.monotonic()
    while kills < 20:
        run = harried.start()
        time.sleep(dice.uniform(0, 20))
        run.kill()
        said, _ = run.communicate()
        kills += run.returncode == -signal.SIGKILL
        saved += int(found.group(1)) if (found := re.search(rf"{GOES_ON} (\d+), where", said)) else 0
        if run.returncode == 0:
            assert harried.outcome == undisturbed
    harried.finish()
    assert harried.outcome == undisturbed
    print(f"{kills} kills in {time.monotonic() - began:.0f} s: {saved} epochs of {EPOCHS} a training not trained again")


def test_a_node_that_is_taken_away_tells_reading_processes_too(
    harried: Killable, undisturbed: dict[str, bytes]
) -> None:
    code, said = harried.stop(2, signal.SIGTERM, group=True, workers=2)
    assert (code, "Traceback" in said) == (PREEMPTED, False), said
    assert GOES_ON in harried.finish()  # what is read does not depend on who reads
    assert harried.outcome == undisturbed


def test_a_state_that_cannot_be_written_is_said_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "epoch.ckpt").mkdir()
    with pytest.raises(PipelineError, match=r"^the training's state cannot be written to .*epoch\.ckpt .*make room"):
        WholeFiles().save_checkpoint({"epoch": 1}, tmp_path / "epoch.ckpt")
    assert list(tmp_path.iterdir()) == [tmp_path / "epoch.ckpt"]


def test_one_that_waited_for_another_to_succeed_holds_the_state_too(own_cache: Path) -> None:
    begun, held = threading.Event(), []

    def wait() -> None:
        begun.set()
        with resumable("abc") as state:
            held.append((state.folder / "lock").stat().st_ino)
            state.file.write_bytes(b"state")

    second = threading.Thread(target=wait)
    with resumable("abc"):
        second.start()
        begun.wait()
        time.sleep(0.5)  # it waits for the lock now, and the file goes
    second.join(20)
    assert len(held) == 1
    assert list(own_cache.glob("training/*")) == []


def test_a_state_that_cannot_be_read_is_said_and_left(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with resumable("abc") as state:
        state.file.write_bytes(b"half of a sta")
        assert state.found() is None
    assert re.search(r"cannot be read \(\w+\): starts afresh", capsys.readouterr().out)


def test_a_block_that_fails_keeps_the_state(own_cache: Path) -> None:
    with pytest.raises(ValueError, match="later"), resumable("abc") as state:
        state.file.write_bytes(b"state")
        raise ValueError("later")
    assert (own_cache / "training/abc/epoch.ckpt").read_bytes() == b"state"


def _hold(seconds: float) -> None:
    with resumable("abc"):
        time.sleep(seconds)


@pytest.mark.parametrize(("patience", "seconds"), [(0.1, 30.0), (30.0, 1.0)])
def test_a_second_process_at_the_same_state_waits_and_then_refuses(
    patience: float, seconds: float, monkeypatch: pytest.MonkeyPatch, own_cache: Path
) -> None:
    monkeypatch.setattr(checkpoint, "PATIENCE", patience)
    other = multiprocessing.get_context("fork").Process(target=_hold, args=(seconds,))
    other.start()
    while not (own_cache / "training/abc/lock").exists():
        time.sleep(0.01)
    time.sleep(0.2)
    if patience < 1:
        with pytest.raises(PipelineError, match="another process is at the very same training, and holds .*abc/lock"):
            _hold(0)
    else:
        with resumable("abc") as state:
            assert state.found() is None
    other.kill()
    other.join()
