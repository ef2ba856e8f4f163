"""How long each data stage takes until its work begins.

    python -m benchmarks.startup [ROUNDS]

Each stage runs in a folder without params.yaml, and so ends when Python has started, all is imported and the command
line is parsed. Print the median seconds, and those of an empty Python program.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from benchmarks._machine import machine

ROOT = Path(__file__).parents[1]
ROUNDS = 9
GOAL_SECONDS = 1.0
COMMANDS = {
    "python": ["-c", "import sys; sys.exit(1)"],
    "download": ["-m", "pipeline.download", "ghana", "raw", "failures.csv"],
    "cloud_filter": ["-m", "pipeline.cloud_filter", "ghana", "raw", "clear.csv", "failures.csv"],
    "tif_to_png": ["-m", "pipeline.tif_to_png", "ghana", "raw", "clear.csv", "chips", "failures.csv"],
    "tile": ["-m", "pipeline.tile", "raw", "chips", "failures.csv"],
    "split": ["-m", "pipeline.split", "ghana", "chips", "split", "split.json", "card.md", "card.png"],
}


def seconds(arguments: list[str], folder: str) -> float:
    """Return the seconds that a command takes to fail."""
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    start = time.perf_counter()
    run = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    elapsed = time.perf_counter() - start
    assert run.returncode == 1, run.stderr
    assert arguments[0] == "-c" or "params.yaml does not exist" in run.stderr, run.stderr
    return elapsed


def main() -> None:
    """Print the median seconds of each stage."""
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS
    with tempfile.TemporaryDirectory() as folder:
        for arguments in COMMANDS.values():
            seconds(arguments, folder)  # the first run reads the libraries from disk
        results = [{name: seconds(arguments, folder) for name, arguments in COMMANDS.items()} for _ in range(rounds)]
    load = os.getloadavg()[0]
    print(f"{machine()}, load {load:.1f}; median seconds of {rounds} rounds (goal: at most {GOAL_SECONDS}):")
    for name in COMMANDS:
        print(f"  {name:12} {statistics.median(result[name] for result in results):.2f}")


if __name__ == "__main__":
    main()
