"""Runs a stage as a command: paths from the command line, params from params.yaml, one line at the end."""

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from os import cpu_count
from threading import Event, Thread
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from rich.console import Console
from rich.progress import Progress, ProgressColumn, Task
from rich.text import Text

from pipeline.core.errors import PipelineError
from pipeline.core.interrupt import in_one_line, threads
from pipeline.core.params import load_params

Stage = Callable[..., str]
T = TypeVar("T")
R = TypeVar("R")


def run(stage: Stage) -> None:
    """Call `stage` with its arguments from the command line and its params from params.yaml.

    Every parameter of `stage` but `params` is a positional argument, a path or a dataset's name. What the stage
    returns is printed as its summary, with the seconds it took; a process that only helps another returns "". A
    `PipelineError` or an error of the operating system is printed as one line, and the exit code is 1; after Ctrl-C it
    is one line and 130.
    """
    hints = get_type_hints(stage)
    parser = argparse.ArgumentParser(prog=f"python -m pipeline.{stage.__name__}", description=inspect.getdoc(stage))
    for name in inspect.signature(stage).parameters:
        if name != "params":
            parser.add_argument(name, **_kind(hints[name]))
    arguments = vars(parser.parse_args())
    label = " ".join([stage.__name__, *(value for value in arguments.values() if isinstance(value, str))])
    start = time.monotonic()
    try:
        with in_one_line(label):
            summary = stage(**arguments, params=load_params(hints["params"]))
    except (PipelineError, OSError) as error:
        for line in getattr(error, "table", ()):
            print(line, file=sys.stderr)
        print(f"{label}: error: {' '.join(str(error).split())}", file=sys.stderr)
        sys.exit(getattr(error, "code", 1))
    if summary:
        print(f"{label}: {summary}, {time.monotonic() - start:.1f} s", flush=True)


def _kind(hint: Any) -> dict[str, Any]:
    """What argparse has to know of an argument: a path, or one of a few names."""
    return {"choices": get_args(hint)} if get_origin(hint) is Literal else {"type": hint}


def progress(
    items: Iterable[T], description: str, total: int | None = None, status: Callable[[], str] | None = None
) -> Iterator[T]:
    """The same items, with a progress bar on a terminal.

    Args:
        items: what is worked through.
        description: what is shown before the bar.
        total: the number of items, if it is known.
        status: gives a few words to show beside the bar, such as bytes and rate; a log file gets them twice a minute.
    """
    console = Console(stderr=True)
    if not console.is_terminal:
        with _told(description, status):
            yield from items
        return
    columns = [*Progress.get_default_columns(), *([_Status(status)] if status else [])]
    with Progress(*columns, console=console, transient=True) as bar:
        yield from bar.track(items, total, description=description)


class _Status(ProgressColumn):
    """Words that change while one item is worked on."""

    def __init__(self, status: Callable[[], str]) -> None:
        super().__init__()
        self.status = status

    def render(self, task: Task) -> Text:
        return Text(self.status())


@contextmanager
def _told(description: str, status: Callable[[], str] | None) -> Iterator[None]:
    """Print the status to stderr twice a minute, if there is something to say."""
    ended = Event()

    def tell() -> None:
        while status and not ended.wait(30):
            if words := status():
                print(f"{description}: {words}", file=sys.stderr, flush=True)

    thread = Thread(target=tell, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def in_parallel(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of each item in the order of the items, on all cores.

    Threads: GDAL, OpenCV and Pillow let go of the interpreter while they work. The order does not depend on the
    number of cores, and so neither does anything written from it.
    """
    with threads(cpu_count()) as pool:
        futures = [pool.submit(function, item) for item in items]
        for future in futures:
            yield future.result()
