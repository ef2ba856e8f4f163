"""How long DVC takes with 20,000 tracked chips, beside 100: first run, status, a run of nothing, an experiment.

    python -m benchmarks.graph [CHIPS]

A temporary project has stages like ours, chips, split and train, whose commands take no time: a chip is an image and a
mask of some bytes. An experiment changes the loss, so that only train runs. Print seconds, the median of ROUNDS.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks._machine import machine

FEW, MANY, ROUNDS = 100, 20_000, 3
GRAPH = """\
stages:
  chips:
    cmd: python chips.py
    deps: [chips.py]
    params: [chips]
    outs: [data/chips]
  split:
    cmd: cp data/chips/chips.csv data/split.csv
    deps: [data/chips]
    outs: [data/split.csv]
  train:
    cmd:
      - mkdir -p data/model metrics
      - echo ${loss} > data/model/weights
      - echo '{"loss":"${loss}"}' > metrics/train.json
    deps: [data/chips, data/split.csv]
    params: [loss]
    outs: [data/model]
    metrics: [metrics/train.json: {cache: false}]
"""
SCRIPT = """\
from pathlib import Path

count = int(Path("params.yaml").read_text().split()[1])
for kind in ("images", "masks"):
    folder = Path("data/chips", kind)
    folder.mkdir(parents=True)
    for number in range(count):
        (folder / f"{number}.png").write_text(f"{kind} {number}")
Path("data/chips/chips.csv").write_text(str(count))
"""


def run(folder: Path, *command: str) -> float:
    """Run a command in a project; return its seconds."""
    environment = os.environ | {
        "DVC_NO_ANALYTICS": "true",
        "DVC_SITE_CACHE_DIR": str(folder.parent / "site"),
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
    }
    start = time.perf_counter()
    result = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    return time.perf_counter() - start


def create(folder: Path, chips: int) -> float:
    """Create a project and run its stages; return the seconds of the run."""
    folder.mkdir()
    for name, text in (("dvc.yaml", GRAPH), ("chips.py", SCRIPT), ("params.yaml", f"chips: {chips}\nloss: focal\n")):
        (folder / name).write_text(text, encoding="utf-8")
    run(folder, "git", "init", "--quiet")
    run(folder, "git", "config", "user.name", "benchmark")
    run(folder, "git", "config", "user.email", "benchmark@localhost")
    run(folder, "dvc", "init", "--quiet")
    seconds = run(folder, "dvc", "repro")
    run(folder, "git", "add", ".")
    run(folder, "git", "commit", "--quiet", "--message", "first run")
    return seconds


def measure(folder: Path) -> Iterator[tuple[str, float]]:
    """Yield the name and the seconds of each command, of which each experiment is new."""
    yield "dvc status", run(folder, "dvc", "status")
    yield "dvc repro, nothing to run", run(folder, "dvc", "repro")
    yield "dvc exp run -S", run(folder, "dvc", "exp", "run", "-S", f"loss=loss{time.time_ns()}")
    run(folder, "git", "checkout", "--quiet", ".")
    run(folder, "dvc", "checkout", "--quiet")


def main() -> None:
    """Print the seconds of each command in both projects."""
    sizes = FEW, int(sys.argv[1]) if len(sys.argv) > 1 else MANY
    with tempfile.TemporaryDirectory() as scratch:
        folders = {size: Path(scratch, str(size)) for size in sizes}
        first = {size: create(folder, size) for size, folder in folders.items()}
        rounds = [{size: dict(measure(folder)) for size, folder in folders.items()} for _ in range(ROUNDS)]
    print(f"{machine()}, load {os.getloadavg()[0]:.1f}; seconds with {' and '.join(map(str, sizes))} chips:")
    print(f"  {'first run':26} " + " ".join(f"{first[size]:6.1f}" for size in sizes))
    for name in rounds[0][FEW]:
        medians = (statistics.median(result[size][name] for result in rounds) for size in sizes)
        print(f"  {name:26} " + " ".join(f"{seconds:6.1f}" for seconds in medians))


if __name__ == "__main__":
    main()
