"""Run a stage as a command: paths from the command line, params from params.yaml, a one-line summary."""

import argparse
import inspect
import math
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from pipeline.core.errors import PipelineError
from pipeline.core.interrupt import exit_on_interrupt
from pipeline.core.params import load_params

Stage = Callable[..., str]
T = TypeVar("T")

STATUS_INTERVAL = 30
"""Seconds between status lines in a log file."""


def run(stage: Stage) -> None:
    """Run `stage` with arguments from the command line and params from params.yaml.

    Every parameter of `stage` except `params` is a positional argument: a path or a dataset. The returned summary is
    printed with the elapsed seconds, unless it is empty, as on worker ranks. A `PipelineError` or `OSError` is printed
    as one line with exit code 1 (or the error's own), Ctrl-C as one line with exit code 130.
    """
    hints = get_type_hints(stage)
    parser = argparse.ArgumentParser(prog=f"python -m pipeline.{stage.__name__}", description=inspect.getdoc(stage))
    for name in inspect.signature(stage).parameters:
        if name != "params":
            parser.add_argument(name, **_argument_options(hints[name]))
    arguments = vars(parser.parse_args())
    label = " ".join([stage.__name__, *(value for value in arguments.values() if isinstance(value, str))])
    start = time.monotonic()
    try:
        with exit_on_interrupt(label):
            summary = stage(**arguments, params=load_params(hints["params"]))
    except (PipelineError, OSError) as error:
        for line in getattr(error, "table", ()):
            print(line, file=sys.stderr)
        print(f"{label}: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(getattr(error, "code", 1))
    if summary:
        print(f"{label}: {summary}, {time.monotonic() - start:.1f} s", flush=True)


@contextmanager
def one_line_errors(command: str) -> Iterator[None]:
    """End the process with one line and exit code 1 at a user's mistake; at Ctrl-C with exit code 130.

    For commands that are no stages, which `run` runs.

    Args:
        command: its name, at the start of the line.
    """
    try:
        with exit_on_interrupt(command):
            yield
            sys.stdout.flush()  # here, for the error of a closed pipe
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else Python reports it once more
        sys.exit(f"{command}: error: the result could not be printed, since the program that reads it has ended")
    except (PipelineError, OSError) as error:
        sys.exit(f"{command}: error: {' '.join(str(error).split())}")


def number(text: str) -> float:
    """Parse an argument that is a finite number.

    Raises:
        ArgumentTypeError: it is not; argparse prints the message.
    """
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not math.isfinite(value):
        raise argparse.ArgumentTypeError(f"{text!r} is not a number")
    return value


def _argument_options(hint: Any) -> dict[str, Any]:
    """Return the options of `add_argument` for a type hint."""
    return {"choices": get_args(hint)} if get_origin(hint) is Literal else {"type": hint}


def progress(
    items: Iterable[T], description: str, total: int | None = None, status: Callable[[], str] | None = None
) -> Iterator[T]:
    """Iterate over `items`, with a progress bar on a terminal.

    Args:
        items: to iterate over.
        description: shown before the bar.
        total: number of items, if known.
        status: returns text to show beside the bar, such as bytes and rate; a log file gets it every 30 s.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        with _log_status(description, status):
            yield from items
        return
    columns = [*Progress.get_default_columns(), *([_StatusColumn(status)] if status else [])]
    with Progress(*columns, console=console, transient=True) as bar:
        yield from bar.track(items, total, description=description)


class _StatusColumn(ProgressColumn):
    """Text that changes between items."""

    def __init__(self, status: Callable[[], str]) -> None:
        super().__init__()
        self.status = status

    def render(self, task: Task) -> Text:
        return Text(self.status())


@contextmanager
def _log_status(description: str, status: Callable[[], str] | None) -> Iterator[None]:
    """Print the status to stderr at intervals, unless it is empty."""
    ended = Event()

    def log() -> None:
        while status and not ended.wait(STATUS_INTERVAL):
            if text := status():
                print(f"{description}: {text}", file=sys.stderr, flush=True)

    thread = Thread(target=log, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
