"""Stop a training on SIGTERM (preemption), on Ctrl-C, or when the `dvc` that started it dies.

Lightning's handling of SIGTERM falls short: it waits for the end of a step, and with several ranks for all of them to
agree, which may be waiting for each other elsewhere; it is not in force before the first epoch and while the model is
written; and the exit code is 0, which for DVC means success. `SLURMEnvironment(auto_requeue)` saves in the middle of an
epoch, from which the bytes of an uninterrupted training cannot be reached, and requeues a job that only it may end.
"""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

import psutil

from pipeline.core.errors import PipelineError
from pipeline.core.interrupt import INTERRUPTED

PREEMPTED = 75
"""Exit code after SIGTERM: EX_TEMPFAIL of sysexits.h, try again. DVC itself exits with 255 for any failed stage."""
GRACE_PERIOD = 20.0
"""Seconds from a signal until the process is killed."""
SIGNALS = {signal.SIGTERM: ("SIGTERM", PREEMPTED), signal.SIGINT: ("Ctrl-C", INTERRUPTED)}
"""The signals that stop a training: name for the message, and exit code."""

_ended = threading.Event()
_ended.set()
_received: list[int] = []
"""The first signal that arrived, if any."""


class PreemptedError(PipelineError):
    """The training was stopped; its finished epochs are kept."""

    code = PREEMPTED

    @classmethod
    def by_signal(cls, number: int) -> "PreemptedError":
        """Return the error for a signal."""
        name, code = SIGNALS[signal.Signals(number)]
        error = cls(f"stopped by {name}; run the same command to resume after the last finished epoch")
        error.code = code
        return error


@contextmanager
def preemptible() -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into a `PreemptedError`, and stop when a parent process dies.

    Otherwise a stage would survive the `dvc` that was killed, and the next `dvc repro` start a second one.
    """
    _ended.clear()
    _received.clear()
    parents = ancestors()
    if "DVC_ROOT" in os.environ and os.getppid() == 1 and not any(map(_is_dvc, parents)):
        raise PreemptedError("the dvc process that started the stage has ended")
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # ignored in background
    previous = {number: signal.signal(number, _handle) for number in handled}
    watchdog = threading.Thread(target=_watch_parents, args=(os.getppid(), parents), daemon=True)
    watchdog.start()
    try:
        yield
    except (PipelineError, RuntimeError, OSError):
        if not _received:
            raise
        raise PreemptedError.by_signal(_received[0]) from None  # other processes got the signal too, and are gone
    finally:
        _ended.set()
        watchdog.join()
        for number, handler in previous.items():
            signal.signal(number, handler)


def restore_sigterm_handler() -> None:
    """Replace Lightning's handler by ours again."""
    if not _ended.is_set():
        signal.signal(signal.SIGTERM, _handle)


def _handle(number: int, frame: FrameType | None) -> None:
    if not _received:
        _received.append(number)
        threading.Thread(target=_exit_after_grace_period, daemon=True).start()
        raise PreemptedError.by_signal(number)


def _exit_after_grace_period() -> None:
    """End a process that is blocked by another one; checkpoints are atomic, so none is lost."""
    if not _ended.wait(GRACE_PERIOD):
        number = signal.Signals(_received[0]) if _received else signal.SIGTERM
        os._exit(SIGNALS[number][1])


def ancestors() -> list[psutil.Process]:
    """Return the parent process, or all up to the `dvc` that started the stage, also through a shell."""
    parents: list[psutil.Process] = psutil.Process().parents()
    dvc = [_is_dvc(parent) for parent in parents] if "DVC_ROOT" in os.environ else []
    return parents[: dvc.index(True) + 1] if any(dvc) else parents[:1]


def _watch_parents(parent: int, chain: list[psutil.Process]) -> None:
    while not _ended.wait(0.5):
        if os.getppid() != parent or not all(map(_is_alive, chain)):
            print("train: the process that started it has ended: stopping", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            _exit_after_grace_period()  # a main thread that is blocked handles no signal
            return


def _is_alive(process: psutil.Process) -> bool:
    try:
        return bool(process.is_running() and process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False
    except psutil.AccessDenied:  # of another user, where /proc is hidden
        return True


def _is_dvc(process: psutil.Process) -> bool:
    try:
        return any(Path(word).name == "dvc" for word in process.cmdline()[:4])
    except psutil.Error:
        return False
