"""Ends a training from outside: a node that is taken away, a parent that died."""

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
"""The exit code after SIGTERM: EX_TEMPFAIL of sysexits.h, try again. DVC itself exits with 255 for any failed stage."""
GRACE = 20.0
"""Seconds in which a process that is to stop does so by itself."""


HEARD = {signal.SIGTERM: ("SIGTERM", PREEMPTED), signal.SIGINT: ("Ctrl-C", INTERRUPTED)}
"""What a training stops by, in words, and its exit code."""
_ended = threading.Event()
_ended.set()
_told: list[int] = []
"""The signal that it was told to stop by, once it was."""


class PreemptedError(PipelineError):
    """The training was told to stop; what it finished is kept."""

    code = PREEMPTED

    @classmethod
    def by(cls, number: int) -> "PreemptedError":
        """The error after a signal."""
        words, code = HEARD[signal.Signals(number)]
        error = cls(f"stopped by {words}; run the same again, and it goes on after the last finished epoch")
        error.code = code
        return error


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn SIGTERM and Ctrl-C into a `PreemptedError`, and stop when the process that asked for this one dies.

    A killed `dvc` would else leave its stage running, beside which the next `dvc repro` starts another.
    """
    if threading.current_thread() is not threading.main_thread():  # where no handler can be set
        yield
        return
    _ended.clear()
    _told.clear()
    chain = ancestors()
    if "DVC_ROOT" in os.environ and chain == [1] and not _is_dvc(1):
        raise PreemptedError("the process that started it is gone")
    heard = [number for number in HEARD if signal.getsignal(number) is not signal.SIG_IGN]  # as in the background
    before = {number: signal.signal(number, _stop) for number in heard}
    watchdog = threading.Thread(target=_watch, args=(chain,), daemon=True)
    watchdog.start()
    try:
        yield
    except PreemptedError:
        raise
    except (PipelineError, RuntimeError, OSError):
        if not _told:
            raise
        raise PreemptedError.by(_told[0]) from None  # the others were told too, and whoever waits for them fails
    finally:
        _ended.set()
        watchdog.join()
        for number, handler in before.items():
            signal.signal(number, handler)


def listen_again() -> None:
    """Set the handler again where another one took its place.

    Lightning's asks all processes to agree before it calls this one, and they may wait for each other elsewhere.
    """
    if threading.current_thread() is threading.main_thread() and not _ended.is_set():
        signal.signal(signal.SIGTERM, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    if not _told:
        _told.append(number)
        threading.Thread(target=_insist, daemon=True).start()
        raise PreemptedError.by(number)


def _insist() -> None:
    if not _ended.wait(GRACE):
        number = signal.Signals(_told[0]) if _told else signal.SIGTERM
        os._exit(HEARD[number][1])  # it waits for another process; what is saved is whole


def ancestors() -> list[int]:
    """The parent, and with /proc everything up to the `dvc` that started this process, which a shell may hide."""
    chain = [os.getppid()]
    while "DVC_ROOT" in os.environ and not _is_dvc(chain[-1]) and (parent := _parent(chain[-1])) > 1:
        chain.append(parent)
    return chain if _is_dvc(chain[-1]) else chain[:1]


def _watch(chain: list[int]) -> None:
    while not _ended.wait(0.5):
        if os.getppid() != chain[0] or any(not _alive(pid) for pid in chain):
            print("train: the process that started it is gone: stops", file=sys.stderr, flush=True)
            os.kill(os.getpid(), signal.SIGTERM)
            _insist()  # where it waits for another process, no signal is heard
            return


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return _field(pid, "State") not in ("Z", "X")  # a zombie waits to be buried


def _parent(pid: int) -> int:
    return int(_field(pid, "PPid") or 0)


def _field(pid: int, name: str) -> str:
    """A field of /proc/PID/status, its first word; empty where there is none."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    return next((line.split()[1] for line in lines if line.startswith(f"{name}:")), "")


def _is_dvc(pid: int) -> bool:
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return False
    return any(Path(os.fsdecode(word)).name == "dvc" for word in words[:4]) or b"dvc" in words[:4]
