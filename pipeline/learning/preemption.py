"""Stop a training on SIGTERM (preemption), on Ctrl-C, or when the `dvc` that started it dies."""

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

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
    if threading.current_thread() is not threading.main_thread():  # only the main thread can set handlers
        yield
        return
    _ended.clear()
    _received.clear()
    parents = ancestors()
    if "DVC_ROOT" in os.environ and parents == [1] and not _is_dvc(1):
        raise PreemptedError("the dvc process that started the stage has ended")
    handled = [number for number in SIGNALS if signal.getsignal(number) is not signal.SIG_IGN]  # ignored in background
    previous = {number: signal.signal(number, _handle) for number in handled}
    watchdog = threading.Thread(target=_watch_parents, args=(parents,), daemon=True)
    watchdog.start()
    try:
        yield
    except PreemptedError:
        raise
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
    """Replace Lightning's handler by ours again.

    Lightning's waits for all ranks to agree before it calls ours, and they may be waiting for each other elsewhere.
    """
    if threading.current_thread() is threading.main_thread() and not _ended.is_set():
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


def ancestors() -> list[int]:
    """Return the parent process, and with /proc all up to the `dvc` that started the stage, also through a shell."""
    chain = [os.getppid()]
    while "DVC_ROOT" in os.environ and not _is_dvc(chain[-1]) and (parent := _parent(chain[-1])) > 1:
        chain.append(parent)
    return chain if _is_dvc(chain[-1]) else chain[:1]


def _watch_parents(chain: list[int]) -> None:
    while not _ended.wait(0.5):
        if os.getppid() != chain[0] or any(not _is_alive(pid) for pid in chain):
            print("train: the process that started it has ended: stopping", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            _exit_after_grace_period()  # a main thread that is blocked handles no signal
            return


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _status(pid, "State") not in ("Z", "X")  # zombie, dead


def _parent(pid: int) -> int:
    return int(_status(pid, "PPid") or 0)


def _status(pid: int, field: str) -> str:
    """Return the first word of a field of /proc/PID/status; empty if there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith(f"{field}:")), "")


def _is_dvc(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(Path(os.fsdecode(word)).name == "dvc" for word in words[:4]) or b"dvc" in words[:4]
