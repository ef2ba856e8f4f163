"""Runs a stage as a command: paths from the command line, params from params.yaml, one line at the end."""

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from os import cpu_count
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from rich.console import Console
from rich.progress import track

from pipeline.errors import PipelineError
from pipeline.params import load_params

Stage = Callable[..., str]
T = TypeVar("T")
R = TypeVar("R")


def run(stage: Stage) -> None:
    """Call `stage` with its arguments from the command line and its params from params.yaml.

    Every parameter of `stage` but `params` is a positional argument, a path or a dataset's name. What the stage
    returns is printed as its summary, with the seconds it took. A `PipelineError` or an error of the operating
    system is printed as one line, and the exit code is 1.
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
        summary = stage(**arguments, params=load_params(hints["params"]))
    except (PipelineError, OSError) as error:
        sys.exit(f"{label}: error: {' '.join(str(error).split())}")
    print(f"{label}: {summary}, {time.monotonic() - start:.1f} s", flush=True)


def _kind(hint: Any) -> dict[str, Any]:
    """What argparse has to know of an argument: a path, or one of a few names."""
    return {"choices": get_args(hint)} if get_origin(hint) is Literal else {"type": hint}


def progress(items: Iterable[T], description: str, total: int | None = None) -> Iterator[T]:
    """The same items, with a progress bar on a terminal and nothing in a log file."""
    console = Console(stderr=True)
    return iter(
        track(items, description, total=total, console=console, disable=not console.is_terminal, transient=True)
    )


def in_parallel(function: Callable[[T], R], items: Iterable[T]) -> Iterator[R]:
    """`function` of each item in the order of the items, on all cores.

    Threads: GDAL, OpenCV and Pillow let go of the interpreter while they work. The order does not depend on the
    number of cores, and so neither does anything written from it.
    """
    with ThreadPoolExecutor(cpu_count()) as pool:
        futures = [pool.submit(function, item) for item in items]
        try:
            for future in futures:
                yield future.result()
        finally:  # after an error nothing more is begun
            pool.shutdown(wait=True, cancel_futures=True)
