"""A training that is killed or stopped at any moment resumes with the same bytes; two never run at once."""

import os
import random
import re
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch

from pipeline.core.errors import PipelineError
from pipeline.core.interrupt import INTERRUPTED
from pipeline.learning import checkpoint
from pipeline.learning.checkpoint import AtomicCheckpointIO, locked_checkpoint
from pipeline.learning.preemption import PREEMPTED
from tests.learning.world import Run, World, written

EPOCHS = 6
PARAMS: dict[str, Any] = {"epochs": EPOCHS, "augment": "all"}
RESUMING = "resuming after epoch"


def finish(run: Run, **changes: Any) -> str:
    code, output = run.finish(**PARAMS | changes)
    assert code == 0, output
    return output


def stop(run: Run, epoch: int, number: int = signal.SIGKILL, wait: float = 0.0, **changes: Any) -> tuple[int, str]:
    """Send a signal `wait` seconds after an epoch's line, as Ctrl-C to all processes; exit code and output."""
    process = run.start(**PARAMS | changes)
    assert process.stdout is not None
    output = ""
    for line in process.stdout:
        output += line
        if line.startswith(f"epoch {epoch}/"):
            time.sleep(wait)
            os.killpg(process.pid, number)
            break
    rest, _ = process.communicate()
    return process.returncode, output + rest


def results(run: Run) -> dict[str, bytes]:
    """Everything that should be reproducible."""
    return {name: body for name, body in written(run.out).items() if name != "params.yaml"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World.make(tmp_path_factory.mktemp("world"), 32, train=4, val=2)


@pytest.fixture(scope="module")
def uninterrupted(world: World, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    run = Run(world, tmp_path_factory.mktemp("run"))
    assert RESUMING not in finish(run)
    return results(run)


@pytest.fixture
def interrupted(world: World, tmp_path: Path) -> Run:
    return Run(world, tmp_path)


def test_two_kills_change_no_byte_and_success_removes_the_checkpoint(
    interrupted: Run, uninterrupted: dict[str, bytes], own_cache: Path
) -> None:
    code, output = stop(interrupted, 2)
    assert (code, RESUMING in output) == (-signal.SIGKILL, False)
    (saved,) = own_cache.glob("training/*/epoch.ckpt")
    kept = torch.load(saved, weights_only=True)["epoch"] + 1  # loads without running code
    assert kept in (1, 2)  # the line is printed before the checkpoint is saved
    code, output = stop(interrupted, 4, wait=0.1)
    assert code == -signal.SIGKILL
    assert f"{RESUMING} {kept} of" in output
    assert RESUMING in finish(interrupted)
    assert results(interrupted) == uninterrupted
    assert list(own_cache.glob("training/*")) == []


@pytest.mark.soak
@pytest.mark.short
def test_a_kill_changes_no_byte_with_steps_either(world: World, tmp_path: Path) -> None:
    steps = {"steps": 3 * EPOCHS}  # 6 chips an epoch, of 4: passes straddle epochs
    whole, interrupted = (Run(world, tmp_path / name) for name in ("whole", "interrupted"))
    finish(whole, **steps)
    stop(interrupted, 4, **steps)
    assert RESUMING in finish(interrupted, **steps)
    assert results(interrupted) == results(whole)


@pytest.mark.parametrize(
    ("number", "name", "exit_code"), [(signal.SIGTERM, "SIGTERM", PREEMPTED), (signal.SIGINT, "Ctrl-C", INTERRUPTED)]
)
def test_a_signal_prints_one_line_and_the_next_run_resumes(
    interrupted: Run, uninterrupted: dict[str, bytes], number: int, name: str, exit_code: int
) -> None:
    code, output = stop(interrupted, 3, number, workers=2)  # loader workers get it too
    assert code == exit_code
    *epochs, last = output.splitlines()
    assert last == f"train: error: stopped by {name}; run the same command to resume after the last finished epoch"
    assert all(line.startswith("epoch ") for line in epochs), output
    assert RESUMING in finish(interrupted)  # the result does not depend on the workers
    assert results(interrupted) == uninterrupted


@pytest.mark.soak
def test_twenty_kills_at_random_moments_change_no_byte(interrupted: Run, uninterrupted: dict[str, bytes]) -> None:
    rng, kills, saved, began = random.Random(20), 0, 0, time.monotonic()
    while kills < 20:
        run = interrupted.start(**PARAMS)
        time.sleep(rng.uniform(0, 20))
        run.kill()
        output, _ = run.communicate()
        kills += run.returncode == -signal.SIGKILL
        saved += int(found.group(1)) if (found := re.search(rf"{RESUMING} (\d+) of", output)) else 0
        if run.returncode == 0:
            assert results(interrupted) == uninterrupted
    finish(interrupted)
    assert results(interrupted) == uninterrupted
    print(f"{kills} kills in {time.monotonic() - began:.0f} s: {saved} epochs of {EPOCHS} a training not trained again")


def test_a_failed_write_is_refused_and_leaves_no_partial_file(tmp_path: Path) -> None:
    (tmp_path / "epoch.ckpt").mkdir()
    with pytest.raises(PipelineError, match=r"^cannot write the checkpoint .*epoch\.ckpt .*free disk space"):
        AtomicCheckpointIO().save_checkpoint({"epoch": 1}, tmp_path / "epoch.ckpt")
    assert list(tmp_path.iterdir()) == [tmp_path / "epoch.ckpt"]


def test_a_process_that_waited_for_a_successful_one_gets_a_lock_of_its_own(own_cache: Path) -> None:
    begun, held = threading.Event(), set()

    def wait() -> None:
        begun.set()
        with locked_checkpoint("abc") as saved:
            held.update(path.name for path in own_cache.glob("training/*"))
            assert saved.resumable() is None

    second = threading.Thread(target=wait)
    with locked_checkpoint("abc"):
        second.start()
        begun.wait()
        time.sleep(1)  # it waits for the lock now, which is then removed
    second.join(20)
    assert held == {"abc.lock"}
    assert list(own_cache.glob("training/*")) == []


def test_a_damaged_checkpoint_starts_from_scratch(own_cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with locked_checkpoint("abc") as saved:
        saved.folder.mkdir()
        saved.file.write_bytes(b"half of a sta")
        assert saved.resumable() is None
    assert re.search(r"cannot read the checkpoint .* \(\w+\); starting from scratch", capsys.readouterr().out)


def test_a_failed_training_keeps_its_checkpoint_and_another_one_starts_from_scratch(
    own_cache: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match="later"), locked_checkpoint("abc") as saved:
        saved.folder.mkdir()
        saved.file.write_bytes(b"state")
        raise ValueError("later")
    with locked_checkpoint("def") as other:
        assert other.resumable() is None
    assert "starting from scratch; 1 interrupted or running trainings in " in capsys.readouterr().out
    assert (own_cache / "training/abc/epoch.ckpt").read_bytes() == b"state"


def test_a_second_process_waits_for_the_lock_and_then_gives_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "LOCK_TIMEOUT", 0.1)
    with locked_checkpoint("abc"), ThreadPoolExecutor() as pool:
        second = pool.submit(locked_checkpoint("abc").__enter__)
        with pytest.raises(PipelineError, match=r"another process runs the same training and holds .*/abc\.lock; wait"):
            second.result()
