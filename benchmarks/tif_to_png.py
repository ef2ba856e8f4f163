"""How fast Sentinel-2 chips are converted, beside the study's method, and at 1,000 and 10,000 chips.

    make repro && python -m benchmarks.tif_to_png [FEW MANY]

Hard links to the sample's items under other ids are the raw folder. Each round runs the study's method on 40 chips and
the stage on FEW; in the middle, the stage runs once on MANY. Print milliseconds per chip, start-up excluded.
"""

import csv
import os
import re
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

from benchmarks._machine import machine
from pipeline.core.files import copy, link

ROOT = Path(__file__).parents[1]
SAMPLE, CLEAR = ROOT / "data/raw/landcovernet", ROOT / "data/clear/landcovernet.csv"
SIZES, ROUNDS, STUDY_CHIPS = (1_000, 10_000), 4, 40
LIMIT = 1.15
"""Time per chip of many chips, in terms of that of few."""
ITEM = re.compile(r"(?P<start>.*_(?:labels|source_sentinel_2)_)(?P<tile>\w{5})_\d+(?P<date>_\d{8})?")


def rows_of(path: Path) -> list[dict[str, str]]:
    """Read a CSV file."""
    with path.open(encoding="utf-8", newline="") as reader:
        return list(csv.DictReader(reader))


def write_rows(path: Path, rows: list[dict[str, str]]) -> None:
    """Write a CSV file."""
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def multiply(source: Path, kept: list[dict[str, str]], count: int, raw: Path) -> None:
    """Link `count` items and their labels from `source`, and write their manifest and the table of clear dates."""
    manifest = {row["path"]: row for row in rows_of(SAMPLE / "manifest.csv")}
    folders = {path.name: path for path in source.glob("*/*") if path.is_dir()}
    listed, clear = [], []
    for name in ("classes.json", "source.json"):
        copy(SAMPLE / name, raw / name)
    for number in range(count):
        row = kept[number % len(kept)]
        ends = (f"_labels_{row['chip']}", f"_source_sentinel_2_{row['id']}")
        for folder in (path for name, path in folders.items() if name.endswith(ends)):
            name = ITEM.sub(rf"\g<start>\g<tile>_{100 + number}\g<date>", folder.name)
            for file in folder.iterdir():
                old, new = (f"{folder.parent.name}/{part}/{file.name}" for part in (folder.name, name))
                link(file, raw / new)
                listed.append(manifest[old] | {"path": new})
        chip = f"{row['chip'].partition('_')[0]}_{100 + number}"
        clear.append(row | {"id": f"{chip}_{row['date'].replace('-', '')}", "chip": chip})
    write_rows(raw / "manifest.csv", listed)
    write_rows(raw.with_suffix(".csv"), clear)


def ours(scratch: Path, raw: Path) -> float:
    """Run the stage; return milliseconds per chip."""
    paths = [raw, raw.with_suffix(".csv"), scratch / "chips", scratch / "failures.csv"]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "PIPELINE_CACHE": str(scratch / "cache")}
    command = [sys.executable, "-m", "pipeline.tif_to_png", "landcovernet", *map(str, paths)]
    run = subprocess.run(command, cwd=ROOT, env=environment, check=True, stdout=subprocess.PIPE, text=True)
    chips, seconds = re.fullmatch(r".* (\d+) chips kept, .* ([\d.]+) s\n", run.stdout).groups()  # type: ignore[union-attr]
    return 1000 * float(seconds) / int(chips)


def study(scratch: Path, raw: Path) -> float:
    """Run the study's method; return milliseconds per chip."""
    with tempfile.TemporaryDirectory(dir=scratch) as out:
        command = [sys.executable, "-m", "benchmarks._tif_to_png_study", str(raw), f"{out}/pngs", str(STUDY_CHIPS)]
        run = subprocess.run(command, cwd=ROOT, check=True, stdout=subprocess.PIPE, text=True)
    return float(run.stdout)


def main() -> None:
    """Print milliseconds per chip of both methods and both sizes, and their ratios."""
    few, many = map(int, sys.argv[1:]) if sys.argv[1:] else SIZES
    with tempfile.TemporaryDirectory() as name:
        scratch = Path(name)
        for file in SAMPLE.rglob("*.*"):
            if file.parent.parent.parent == SAMPLE:
                copy(file, scratch / "sample" / file.relative_to(SAMPLE))
        kept = [row for row in rows_of(CLEAR) if row["verdict"] == "keep"]
        for count in (few, many):
            multiply(scratch / "sample", kept, count, scratch / str(count))
        results: dict[str, list[float]] = {"study": [], "few": [], "many": []}
        for number in range(ROUNDS):
            results["study"].append(study(scratch, scratch / str(few)))
            results["few"].append(ours(scratch, scratch / str(few)))
            if number == (ROUNDS - 1) // 2:
                results["many"].append(ours(scratch, scratch / str(many)))
    median = {name: statistics.median(values) for name, values in results.items()}
    faster = statistics.median(a / b for a, b in zip(results["study"], results["few"], strict=True))
    growth = median["many"] / median["few"]
    print(f"{machine()}, {ROUNDS} rounds, milliseconds per chip:")
    print(f"  study's method {median['study']:.1f}, tif_to_png {median['few']:.1f}: {faster:.1f} times as fast")
    print(f"  {few} chips {median['few']:.1f}, {many} chips {median['many']:.1f}: {growth:.2f} times, at most {LIMIT}")


if __name__ == "__main__":
    main()
