"""Ctrl-C ends a command in one line, whenever it comes, and waits for nobody."""

import os
import signal
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from types import FrameType

INTERRUPTED = 130
"""The exit code after SIGINT, as shells have it: 128 + 2."""
STOPPED = "stopped by Ctrl-C; nothing half-written is left, run the same again to go on"


def end_at_once() -> None:
    """Let Ctrl-C end this process while its libraries load, which takes seconds; some would make other errors of it.

    Nothing is written in that time. Where SIGINT is ignored, as in a script's background, it stays so.
    """
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _end_at_once)


def _end_at_once(number: int, frame: FrameType | None) -> None:
    command = sys.orig_argv[sys.orig_argv.index("-m") + 1]
    print(f"{command.removeprefix('pipeline.')}: error: {STOPPED}", file=sys.stderr, flush=True)
    os._exit(INTERRUPTED)


@contextmanager
def in_one_line(label: str) -> Iterator[None]:
    """End the process with one line and exit code 130 when Ctrl-C reaches the end of the block.

    Whoever is on the way there tidies up; threads that still work are not waited for.
    """
    if signal.getsignal(signal.SIGINT) is _end_at_once:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    except KeyboardInterrupt:
        print(f"{label}: error: {STOPPED}", file=sys.stderr, flush=True)
        sys.stdout.flush()
        os._exit(INTERRUPTED)


@contextmanager
def threads(count: int | None) -> Iterator[ThreadPoolExecutor]:
    """A pool that begins nothing more after an error, and waits for what it began unless Ctrl-C was the reason."""
    pool, waits = ThreadPoolExecutor(count), True
    try:
        yield pool
    except (KeyboardInterrupt, GeneratorExit):  # a generator that Ctrl-C left is closed
        waits = False
        raise
    finally:
        pool.shutdown(wait=waits, cancel_futures=True)
