"""Dask clusters of processes on this machine, for tests."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import psutil

ROOT = Path(__file__).parents[1]
TIMEOUT = 180
"""Seconds."""


@contextmanager
def dask(command: str, *options: str, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a `dask` command until the end of the block."""
    settings = {"DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES": "1", "PYTHONPATH": str(ROOT)} | variables
    program = [sys.executable, "-m", "dask", command, *options, "--no-dashboard"]
    with subprocess.Popen(program, env=os.environ | settings, stderr=subprocess.DEVNULL) as started:
        try:
            yield started
        finally:
            for process in workers_of(started.pid):
                process.kill()
            started.kill()


def workers_of(supervisor: int) -> list[psutil.Process]:
    """Return the processes that a worker's supervisor has started."""
    children = psutil.Process(supervisor).children(recursive=True)
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


@contextmanager
def scheduler(folder: Path, **variables: str) -> Iterator[subprocess.Popen[bytes]]:
    """Run a scheduler, whose file is `dask.json`, until the end of the block."""
    options = ("--host", "127.0.0.1", "--port", "0", "--scheduler-file", f"{folder}/dask.json")
    with dask("scheduler", *options, **variables) as started:
        wait_for((folder / "dask.json").is_file)
        yield started


def worker(folder: Path, **variables: str) -> AbstractContextManager[subprocess.Popen[bytes]]:
    """Run a worker of one thread, whose supervisor starts it again when it dies."""
    options = ("--scheduler-file", f"{folder}/dask.json", "--nthreads", "1", "--local-directory", str(folder))
    return dask("worker", *options, **variables)


def wait_for(condition: Callable[[], Any]) -> Any:
    """Return what a condition returns as soon as it is true."""
    end = time.monotonic() + TIMEOUT
    while not (found := condition()):
        assert time.monotonic() < end
        time.sleep(0.02)
    return found
