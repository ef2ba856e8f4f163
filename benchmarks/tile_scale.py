"""Time per chip of the stage `tile`, with 1,000 chips and with 10,000.

    python -m benchmarks.tile_scale [--rounds N]

Scenes of 2,560 x 2,560 px, 100 chips of 256 px each, as in `benchmarks.tile`: 10 of them, and 100 that are links to
these. Rounds alternate; medians are printed. Without starting Python and importing libraries, which takes as long
whatever the number of chips.
"""

import argparse
import statistics
import tempfile
from pathlib import Path

from benchmarks._machine import machine
from benchmarks._tile_command import Measured, tile, write_scenes

SIDE, CHIP = 2560, 256
FEW, MANY = 10, 100
"""Scenes of 100 chips."""
GOAL = 0.15
"""Largest difference in time per chip, as a share."""


def repeat_scenes(raw: Path, count: int, folder: Path) -> Path:
    """Link the scenes of a raw folder into another one, under new names, until it has as many."""
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True)
        paths = sorted((raw / kind).iterdir())
        for number in range(count):
            (folder / kind / f"repeated-{number:04}.tif").hardlink_to(paths[number % len(paths)])
    for path in raw.glob("*.json"):
        (folder / path.name).hardlink_to(path)
    return folder


def main() -> None:
    """Print milliseconds per chip, and the ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
    per_scene = (SIDE // CHIP) ** 2
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch)
        few = write_scenes(folder / "few", FEW, SIDE, SIDE)
        many = repeat_scenes(few, MANY, folder / "many")
        results: list[tuple[Measured, Measured]] = []
        for _ in range(rounds):
            results.append((tile(few, folder, size=CHIP), tile(many, folder, size=CHIP)))
    print(f"{machine()}; medians of {rounds} rounds")
    for name, key in (("work", "work_seconds"), ("CPU", "cpu_seconds")):
        pairs = [(getattr(one, key) / FEW, getattr(other, key) / MANY) for one, other in results]
        for count, values in zip((FEW, MANY), zip(*pairs, strict=True), strict=True):
            print(f"{count * per_scene:,} chips: {1000 * statistics.median(values) / per_scene:.2f} ms {name} per chip")
        ratio = statistics.median(other / one for one, other in pairs)
        print(
            f"ratio: {ratio:.3f}" + (f" (goal: {1 - GOAL} to {1 + GOAL})" if key == "work_seconds" else ""), flush=True
        )
    for count, index in ((FEW, 0), (MANY, 1)):
        peak = statistics.median(pair[index].peak_mb for pair in results)
        print(f"{count * per_scene:,} chips: peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
