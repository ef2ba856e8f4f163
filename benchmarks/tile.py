"""Cutting scenes: the stage `tile`, and LandCover.ai's own script.

    python -m benchmarks.tile [--rounds N] [--scenes N ...]

Scenes of 9,000 x 9,500 px as RGB GeoTIFFs with LZW in strips, and masks, with noise that compresses about as badly as
pictures of LandCover.ai do. They lie in the page cache. Each round runs, for each number of scenes, both sides once,
each as a process of its own; medians are printed.

- ours: `python -m pipeline.tile`, with the check of every file's SHA-256, chips without loss as PNG, masks as palette
  PNG, the table of chips.
- LandCover.ai's: `_tile_landcoverai.py`: each scene read whole by OpenCV, chips as lossy JPEG, masks as PNG; serial.

`start to end` is the whole command. `work` is without starting Python and importing libraries: what a run with many
scenes approaches. Peak memory is the largest resident memory of the process, libraries included; the last line is that
of a process that only imports the stage.
"""

import argparse
import hashlib
import json
import shutil
import statistics
import tempfile
from pathlib import Path

from benchmarks._machine import machine
from benchmarks._tile_command import ROOT, Measured, measure, tile, write_scenes

GOALS = {1: 1.0, 4: 1.4}
"""From number of scenes to how many times as fast as LandCover.ai's ours has to be."""
MEMORY_GOAL_MB = 350


def landcoverai(raw: Path, folder: Path) -> Measured:
    """Run LandCover.ai's own script on a raw folder."""
    out = folder / "landcoverai"
    shutil.rmtree(out, ignore_errors=True)
    measured, line = measure(["-m", "benchmarks._tile_landcoverai", str(raw), str(out)], ROOT)
    return Measured(measured.seconds, json.loads(line)["seconds"], measured.cpu_seconds, measured.peak_mb)


def select_scenes(raw: Path, count: int, folder: Path) -> Path:
    """Link the first scenes of a raw folder into another one."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        for path in sorted((raw / kind).iterdir())[:count]:
            (folder / kind / path.name).hardlink_to(path)
            with path.open("rb") as reader:  # into the page cache, not into the memory of this process
                hashlib.file_digest(reader, "md5")
    for path in raw.glob("*.json"):
        (folder / path.name).hardlink_to(path)
    return folder


def print_results(count: int, results: list[tuple[Measured, Measured]]) -> None:
    """Print medians of one number of scenes, and the median of the ratios of the rounds."""
    print(f"\n{count} scenes | ours | LandCover.ai's | LandCover.ai's / ours")
    for name, key in (
        ("start to end, s", "seconds"),
        ("work, s", "work_seconds"),
        ("CPU, s", "cpu_seconds"),
        ("peak memory, MB", "peak_mb"),
    ):
        pairs = [(getattr(ours, key), getattr(theirs, key)) for ours, theirs in results]
        ours, theirs = (statistics.median(values) for values in zip(*pairs, strict=True))
        ratio = statistics.median(their / our for our, their in pairs)
        goal = f" (goal: {GOALS[count]})" if key.endswith("seconds") and key != "cpu_seconds" and count in GOALS else ""
        print(f"{name} | {ours:.1f} | {theirs:.1f} | {ratio:.2f}{goal}", flush=True)


def main() -> None:
    """Write the scenes and run all rounds."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scenes", type=int, nargs="+", default=[1, 4])
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        raw = write_scenes(folder / "raw", max(options.scenes))
        raws = {count: select_scenes(raw, count, folder / f"raw-{count}") for count in options.scenes}
        results: dict[int, list[tuple[Measured, Measured]]] = {count: [] for count in options.scenes}
        for _ in range(options.rounds):
            for count, part in raws.items():
                results[count].append((tile(part, folder), landcoverai(part, folder)))
        print(f"{machine()}; medians of {options.rounds} rounds")
        for count in options.scenes:
            print_results(count, results[count])
        imports, _ = measure(["-c", "import pipeline.tile"], ROOT)
        print(f"\npeak memory of the imports alone: {imports.peak_mb:.0f} MB (goal of ours: {MEMORY_GOAL_MB} in all)")


if __name__ == "__main__":
    main()
