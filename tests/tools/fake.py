"""Copies of the tools, a PATH without Python, and Pythons that are not what they say."""

import shlex
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE = Path(sys._base_executable)  # type: ignore[attr-defined]
COMMANDS = ["awk", "bash", "cat", "cmp", "cp", "df", "dirname", "env", "ln", "make", "mkdir", "mv", "readlink", "rm"]
COMMANDS += ["sed", "sh", "sleep", "uname"]


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/bash", *lines, "")), encoding="utf-8")
    path.chmod(0o755)
    return path


def checkout(folder: Path) -> Path:
    """What set-up needs of the project."""
    (folder / "tools").mkdir(parents=True)
    for name in ("Makefile", "tools/setup.sh", "requirements.txt", "requirements-mlhub.txt"):
        shutil.copy(ROOT / name, folder / name)
    return folder


def without_python(folder: Path) -> Path:
    """A folder for PATH with all commands that set-up needs, and no Python."""
    folder.mkdir()
    for name in COMMANDS:
        found = shutil.which(name)
        assert found, f"this machine lacks {name}"
        (folder / name).symlink_to(found)
    return folder


def execute(command: list[str], folder: Path, path: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` with nothing but these in its environment."""
    clean = {"PATH": path, "HOME": str(folder / "no home"), "LC_ALL": "C", **environment}
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=60, check=False)


def says_it_is(path: Path, change: str) -> Path:
    """A Python that runs what it is given after `change`."""
    start = f"import os, platform, sys, sysconfig; {change}; exec(sys.argv[1])"
    return script(path, f'exec {shlex.quote(str(BASE))} -c {shlex.quote(start)} "$2"')
