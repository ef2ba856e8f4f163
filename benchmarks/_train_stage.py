"""The stage `train` in a process and a folder of its own, outside any repository, timed by the lines it prints.

Used by `benchmarks.train` and `benchmarks.gpu`.
"""

import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from threading import Timer
from typing import Any

import yaml

from pipeline.formats.splits import GROUP, GROUPS

ROOT = Path(__file__).parents[1]
ENVIRONMENT = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Environment of the stage train in dvc.yaml."""
EPOCH = re.compile(r"epoch \d+/\d+: .* ([\d.]+) chips/s")
ERROR = re.compile(r"train: error: |[\w.]*(Error|Exception|Interrupt)\b")
"""The line of its output that names why the stage failed."""
TAIL = 20
"""Lines of a failed run to show."""


class StageError(Exception):
    """The stage failed; the message is its own error in one line."""


@dataclass(frozen=True)
class EpochTime:
    """When the line of an epoch came, after its validation and before its checkpoint."""

    ended: float
    """Seconds since the process started."""
    chips_per_second: float
    """As the stage states it: training and validation chips, without the checkpoint."""


@dataclass
class StageRun:
    """A run that has ended."""

    epochs: list[EpochTime] = field(default_factory=list)
    lines: list[str] = field(default_factory=list)
    """Everything that it printed, to stderr too."""
    seconds: float = 0
    """From its start to its end."""
    cost: dict[str, Any] = field(default_factory=dict)
    """What it wrote into `metrics/cost.json`."""


def stage_params(train: Mapping[str, Any], **top: Any) -> dict[str, Any]:
    """Return params.yaml with changes to its section `train` and to its top level."""
    params: dict[str, Any] = yaml.safe_load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    return params | top | {"train": params["train"] | train}


def write_lists(folder: Path, parts: Mapping[str, Sequence[str]]) -> Path:
    """Write the list of each part, and every chip as a group of its own."""
    folder.mkdir()
    for part, names in parts.items():
        (folder / f"{part}.txt").write_text("".join(f"{name}\n" for name in names), encoding="utf-8")
    groups = "".join(f"{name},{name}\n" for name in dict.fromkeys(name for names in parts.values() for name in names))
    (folder / GROUPS).write_text(f"id,{GROUP}\n{groups}", encoding="utf-8")
    return folder


def run_stage(
    chips: Path, parts: Mapping[str, Sequence[str]], params: Mapping[str, Any], limit: float = 3600
) -> StageRun:
    """Train on the chips of the parts `train` and `val`.

    Args:
        chips: the chips folder.
        parts: ids by part; an id may occur more than once.
        params: the content of params.yaml.
        limit: seconds after which the run is ended.

    Raises:
        StageError: the stage failed, or took longer.
    """
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        (folder / "params.yaml").write_text(yaml.safe_dump(dict(params)), encoding="utf-8")
        paths = [chips.resolve(), write_lists(folder / "lists", parts), "model", "train.json", "cost.json", "plots"]
        run, code = _run([sys.executable, "-m", "pipeline.train", *map(str, paths)], folder, limit)
        if code or len(run.epochs) != params["train"]["epochs"]:
            print("".join(run.lines[-TAIL:]), file=sys.stderr, flush=True)
            raise StageError(_why(run, code, limit))
        run.cost = json.loads((folder / "cost.json").read_text(encoding="utf-8"))
    return run


def _run(command: Sequence[str], folder: Path, limit: float) -> tuple[StageRun, int]:
    """Run to the end; return what it printed, and its exit code."""
    path = os.pathsep.join(filter(None, (str(ROOT), os.environ.get("PYTHONPATH"))))
    environment = os.environ | ENVIRONMENT | {"PYTHONPATH": path, "PIPELINE_CACHE": str(folder / "cache")}
    found, start = StageRun(), time.perf_counter()
    with subprocess.Popen(
        command,
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,  # so that its loader workers can be ended with it
    ) as run:
        timer = Timer(limit, os.killpg, (run.pid, signal.SIGKILL))
        timer.start()
        try:
            assert run.stdout is not None
            for line in run.stdout:
                found.lines.append(line)
                if match := EPOCH.match(line):
                    found.epochs.append(EpochTime(time.perf_counter() - start, float(match[1])))
        except BaseException:  # else leaving the block would wait for the run
            with suppress(ProcessLookupError):
                os.killpg(run.pid, signal.SIGKILL)
            raise
        finally:
            timer.cancel()
    found.seconds = time.perf_counter() - start
    return found, run.returncode


def _why(run: StageRun, code: int, limit: float) -> str:
    if code == -signal.SIGKILL and run.seconds >= limit:
        return f"not finished after {limit:.0f} s, {len(run.epochs)} epochs"
    said = [line.strip() for line in run.lines if line.strip()] or [f"no output, exit code {code}"]
    return next((line for line in reversed(said) if ERROR.match(line)), said[-1])
