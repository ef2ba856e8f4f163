import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import lightning as L
import pytest

from pipeline.learning.preemption import PreemptedError, ancestors, listen_again, stoppable
from tests.learning.test_fit import fitted, tiny

ROOT = Path(__file__).parents[2]
WAITS = """if True:
    import time
    from pipeline.learning.preemption import PreemptedError, stoppable
    try:
        with stoppable():
            print("ready", flush=True)
            time.sleep(60)
    except PreemptedError:
        open("stopped", "w").close()
"""


@pytest.mark.parametrize(("number", "name", "code"), [(signal.SIGTERM, "SIGTERM", 75), (signal.SIGINT, "Ctrl-C", 130)])
def test_a_signal_becomes_an_error_and_the_handler_goes_with_the_block(number: int, name: str, code: int) -> None:
    before = signal.getsignal(number)
    said = f"^stopped by {name}; run the same again, and it goes on after the last finished epoch$"
    with pytest.raises(PreemptedError, match=said) as error, stoppable():
        os.kill(os.getpid(), number)
        time.sleep(5)
    assert error.value.code == code
    assert signal.getsignal(number) == before


def test_a_signal_that_the_caller_ignores_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with stoppable():
            os.kill(os.getpid(), signal.SIGINT)
    finally:
        signal.signal(signal.SIGINT, before)


def test_what_fails_because_others_were_told_to_stop_too_is_no_failure() -> None:
    with pytest.raises(PreemptedError), stoppable():
        with pytest.raises(PreemptedError):
            os.kill(os.getpid(), signal.SIGTERM)
            time.sleep(5)
        raise RuntimeError("DataLoader worker (pid 1) is killed by signal: Terminated")
    with pytest.raises(RuntimeError, match="a bug"), stoppable():
        raise RuntimeError("a bug")


def test_another_handler_gives_way() -> None:
    with pytest.raises(PreemptedError), stoppable():
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        listen_again()
        os.kill(os.getpid(), signal.SIGTERM)
        time.sleep(5)
    before = signal.getsignal(signal.SIGTERM)
    listen_again()
    assert signal.getsignal(signal.SIGTERM) == before


def test_a_stage_that_starts_when_its_dvc_is_gone_does_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", "/")
    monkeypatch.setattr(os, "getppid", lambda: 1)
    with pytest.raises(PreemptedError, match="the process that started it is gone"), stoppable():
        raise AssertionError("it started")


def test_without_dvc_the_parent_alone_is_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DVC_ROOT", raising=False)
    assert ancestors() == [os.getppid()]


@pytest.mark.parametrize("shell", [False, True])
def test_a_stage_whose_dvc_was_killed_stops(tmp_path: Path, shell: bool) -> None:
    """A script called dvc starts the stage, by itself or through a shell, as DVC does; then it is killed."""
    (tmp_path / "stage.py").write_text(WAITS)
    command = f"{sys.executable} stage.py; true" if shell else f"exec {sys.executable} stage.py"
    (tmp_path / "dvc").write_text(f"import subprocess\nsubprocess.run({command!r}, shell=True)\n")
    environment = os.environ | {"PYTHONPATH": str(ROOT), "DVC_ROOT": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "dvc"], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True
    ) as dvc:
        assert dvc.stdout is not None
        assert dvc.stdout.readline() == "ready\n"
        dvc.kill()
    until = time.monotonic() + 20
    while not (tmp_path / "stopped").exists():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_lightnings_own_handler_of_sigterm_gives_way() -> None:
    heard: list[Any] = []

    class Look(L.Callback):
        def on_train_batch_start(self, *_: Any) -> None:
            heard.append(signal.getsignal(signal.SIGTERM))

    with stoppable():
        own = signal.getsignal(signal.SIGTERM)
        fitted(tiny(), Look())
    assert heard
    assert set(heard) == {own}
