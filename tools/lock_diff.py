"""Says which data stages another dvc.lock describes otherwise: their data did not repeat.

    python tools/lock_diff.py OLD NEW

Exits with 1 if there is one. The training's floating point may differ by processor, so `train` and `evaluate` are not
looked at, nor is `check`, on whose entry stands all of params.yaml.
"""

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

NOT_DATA = ("check", "train", "evaluate")


def entries(text: str) -> dict[str, dict[str, Any]]:
    """From the name of each data stage of a dvc.lock to its entry.

    Raises:
        ValueError: it is no dvc.lock.
    """
    lock = yaml.safe_load(text)
    if not isinstance(lock, dict) or not isinstance(lock.get("stages"), dict):
        raise ValueError("no dvc.lock: it has no stages")
    return {name: entry for name, entry in lock["stages"].items() if name not in NOT_DATA}


def differences(old: dict[str, dict[str, Any]], new: dict[str, dict[str, Any]]) -> Iterator[str]:
    """A line for each stage that only one has, and for each file, param or command that differs."""
    for name in sorted(old.keys() | new.keys()):
        if name not in old or name not in new:
            yield f"{name}: only in the {'old' if name in old else 'new'} one"
            continue
        before, after = _flat(old[name]), _flat(new[name])
        for what in sorted(before.keys() | after.keys()):
            if before.get(what) != after.get(what):
                yield f"{name}: {what}: {before.get(what, 'nothing')} became {after.get(what, 'nothing')}"


def _flat(entry: dict[str, Any]) -> dict[str, Any]:
    """An entry as one mapping: `cmd`, each `deps PATH` and `outs PATH` with its hash, each `params KEY`."""
    flat = {"cmd": entry.get("cmd")}
    for kind in ("deps", "outs"):
        flat |= {f"{kind} {each['path']}": each.get("md5") for each in entry.get(kind, [])}
    for values in entry.get("params", {}).values():
        flat |= {f"params {key}": value for key, value in values.items()}
    return flat


def main(arguments: list[str] | None = None) -> int:
    """Do what the command line says; return the exit code."""
    parser = argparse.ArgumentParser(description="Compare the data stages of two dvc.lock.")
    parser.add_argument("old", type=Path)
    parser.add_argument("new", type=Path)
    given = parser.parse_args(arguments)
    locks = []
    for path in (given.old, given.new):
        try:
            locks.append(entries(path.read_text(encoding="utf-8")))
        except (OSError, ValueError, yaml.YAMLError) as error:
            print(f"{path}: {error}", file=sys.stderr)
            return 1
    found = list(differences(*locks))
    print("\n".join(found) or f"the {len(locks[1])} data stages are the same")
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main())
