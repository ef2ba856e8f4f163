"""Ctrl-C handling: exit at once, with one line and exit code 130."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""Exit code after SIGINT, as in shells: 128 + 2."""
MESSAGE = "stopped by Ctrl-C; no partial output is left, run the same command again to continue"


def exit_on_sigint() -> None:
    """Exit at once on Ctrl-C while libraries are imported, which takes seconds.

    Some libraries turn a KeyboardInterrupt during import into other errors. Nothing is written in that time. An ignored
    SIGINT, as in a background job, stays ignored.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _exit)


def _exit(number: int, frame: FrameType | None) -> None:
    command = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    print(f"{command.removeprefix('pipeline.')}: error: {MESSAGE}", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


@contextmanager
def exit_on_interrupt(label: str) -> Iterator[None]:
    """Print one line and exit with 130 when a KeyboardInterrupt leaves the block.

    Context managers on the way clean up; threads still running are not waited for.
    """
    if signal.getsignal(signal.SIGINT) is _exit:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print(f"{label}: error: {MESSAGE}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(INTERRUPTED)


@contextmanager
def thread_pool(count: int | None) -> Iterator[ThreadPoolExecutor]:
    """Open a thread pool that cancels pending work on an error, and after Ctrl-C does not wait for running work."""
    pool, wait = ThreadPoolExecutor(count), True
    try:
        yield pool
    except (KeyboardInterrupt, GeneratorExit):  # Ctrl-C closes a generator that is being consumed
        wait = False
        raise
    finally:
        pool.shutdown(wait=wait, cancel_futures=True)
