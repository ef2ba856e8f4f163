"""Compare the data stages of two dvc.lock files: a difference means that their data was not reproduced.

    python tools/lock_diff.py OLD NEW

Exits with 1 if there is a difference. `train` and `evaluate` are not compared, since floating-point results may differ
between CPUs, nor is `check`, whose entry holds all of params.yaml.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

NOT_DATA = ("check", "train", "evaluate")


def entries(text: str) -> dict[str, dict[str, Any]]:
    """Map each data stage of a dvc.lock to its entry.

    Raises:
        ValueError: the text is not a dvc.lock.
    """
    lock = yaml.safe_load(text)
    if not isinstance(lock, dict) or not isinstance(lock.get("stages"), dict):
        raise ValueError("not a dvc.lock: no stages")
    return {name: entry for name, entry in lock["stages"].items() if name not in NOT_DATA}


def differences(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> Iterator[str]:
    """Yield a line for each stage missing from one file, and for each differing file, param or command."""
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            yield f"{name}: only in the {'old' if name in old else 'new'} file"
            continue
        before, after = _flatten(old[name]), _flatten(new[name])
        for key in sorted(before.keys() | after.keys()):
            if before.get(key) != after.get(key):
                yield f"{name}: {key}: {before.get(key, 'none')} -> {after.get(key, 'none')}"


def _flatten(entry: dict[str, Any]) -> dict[str, Any]:
    """Flatten an entry to keys `cmd`, `deps PATH` and `outs PATH` (hashes), `params KEY`."""
    flat = {"cmd": entry.get("cmd")}
    for kind in ("deps", "outs"):
        flat |= {f"{kind} {file['path']}": file.get("md5") for file in entry.get(kind, [])}
    for values in entry.get("params", {}).values():
        flat |= {f"params {key}": value for key, value in values.items()}
    return flat


def main(arguments: list[str] | None = None) -> int:
    """Run the command; return its exit code."""
    parser = argparse.ArgumentParser(description="Compare the data stages of two dvc.lock files.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    paths = parser.parse_args(arguments)
    locks = []
    for path in (paths.old, paths.new):
        try:
            locks.append(entries(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, yaml.YAMLError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
    lines = list(differences(*locks))
    print("\n".join(lines) or f"{len(locks[1])} data stages are identical")
    return int(bool(lines))


if __name__ == "__main__":
    sys.exit(main())
