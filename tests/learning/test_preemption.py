"""A signal, or the death of the dvc that started it, ends a training with its own exit code."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import psutil
import pytest

from pipeline.learning import preemption
from pipeline.learning.preemption import PreemptedError, ancestors, preemptible
from tests.learning.test_fit import fitted
from tests.learning.world import tiny_task

ROOT = Path(__file__).parents[2]
SLEEPING_STAGE = """if True:
    import time
    from pipeline.learning.preemption import PreemptedError, preemptible
    try:
        with preemptible():
            print("ready", flush=True)
            time.sleep(60)
    except PreemptedError:
        open("stopped", "w").close()
"""


def send(number: int) -> None:
    os.kill(os.getpid(), number)
    time.sleep(5)  # the handler interrupts it


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with preemptible():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_errors_after_a_signal_count_as_preemption() -> None:
    with pytest.raises(PreemptedError), preemptible():
        with pytest.raises(PreemptedError):
            send(signal.SIGTERM)
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated")
    with pytest.raises(RuntimeError, match="a bug"), preemptible():
        raise RuntimeError("a bug")


def test_a_stage_whose_dvc_has_ended_does_not_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", "/")
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(PreemptedError, match="the dvc process that started the stage has ended"), preemptible():
        raise AssertionError("it started")


def test_a_parent_of_another_user_counts_as_alive_where_its_state_is_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    def deny(process: psutil.Process) -> str:
        raise psutil.AccessDenied(process.pid)

    monkeypatch.setattr(psutil.Process, "status", deny)
    assert preemption._is_alive(psutil.Process())


def test_without_dvc_only_the_parent_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert [parent.pid for parent in ancestors()] == [os.getppid()]


@pytest.mark.parametrize("shell", [False, True])
def test_a_stage_whose_dvc_was_killed_stops(tmp_path: Path, shell: bool) -> None:
    """A script named dvc starts the stage, directly or through a shell, as DVC does, and is then killed."""
    (tmp_path / "stage.py").write_text(SLEEPING_STAGE)
    command = f"{sys.executable} stage.py; true" if shell else f"exec {sys.executable} stage.py"
    (tmp_path / "dvc").write_text(f"import subprocess\nsubprocess.run({command!r}, shell=True)\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "dvc"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as dvc:
        assert dvc.stdout is not None
        assert dvc.stdout.readline() == "ready\n"
        dvc.kill()
    deadline = time.monotonic() + 20
    while not (tmp_path / "stopped").exists():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_lightnings_sigterm_handler_is_replaced() -> None:
    handlers: list[Any] = []

    class Record(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            handlers.append(signal.getsignal(signal.SIGTERM))

    with preemptible():
        own = signal.getsignal(signal.SIGTERM)
        fitted(tiny_task(), Record())
    assert handlers
    assert set(handlers) == {own}
