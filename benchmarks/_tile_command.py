"""The stage `tile`, and other commands, as processes that are measured; used by `benchmarks.tile` and `tile_scale`."""

import os
import shutil
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[1]


@dataclass(frozen=True)
class Measured:
    """A process that has ended."""

    seconds: float
    """From its start to its end."""
    work_seconds: float
    """Reported by itself: without starting Python and importing libraries."""
    cpu_seconds: float
    """User and system, of all threads."""
    peak_mb: float
    """Largest resident memory."""


def measure(command: list[str], folder: Path, **environment: str) -> tuple[Measured, str]:
    """Run a Python command in a folder; return its measures, without `work_seconds`, and the last line it prints."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | environment
    start = time.perf_counter()
    with subprocess.Popen(
        [sys.executable, *command],
        cwd=folder,
        env=environment,
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout and process.stderr
        output, errors = process.stdout.read(), process.stderr.read()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    seconds = time.perf_counter() - start
    if process.returncode:
        sys.exit(errors)
    measured = Measured(seconds, 0, usage.ru_utime + usage.ru_stime, usage.ru_maxrss * 1024 / 1e6)
    return measured, output.rpartition("\n")[0].rpartition("\n")[2]


def write_scenes(raw: Path, count: int, *size: int) -> Path:
    """Write a raw folder, see `_tile_scenes`, in a process of its own.

    What it needs must not count for others: Linux counts the memory of the process that starts another one.
    """
    measure(["-m", "benchmarks._tile_scenes", *map(str, (raw, count, *size))], ROOT)
    return raw


def tile(raw: Path, folder: Path, **section: Any) -> Measured:
    """Run the stage on a raw folder, with changes to its section of params.yaml and an empty cache."""
    for name in ("cache", "chips"):
        shutil.rmtree(folder / name, ignore_errors=True)
    params = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    (folder / "params.yaml").write_text(yaml.safe_dump(params | {"tile": params["tile"] | section}))
    command = ["-m", "pipeline.tile", str(raw), "chips", "failures.csv"]
    measured, summary = measure(command, folder, PIPELINE_CACHE=str(folder / "cache"))
    work = float(summary.rpartition(", ")[2].removesuffix(" s"))
    return Measured(measured.seconds, work, measured.cpu_seconds, measured.peak_mb)
