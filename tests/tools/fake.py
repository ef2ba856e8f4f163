"""Copies of the tools, and a PATH without Python."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
BASE = Path(sys._base_executable)  # type: ignore[attr-defined]
COMMANDS = ["awk", "bash", "cat", "cmp", "cp", "df", "dirname", "env", "ln", "ls", "make", "mkdir", "mv", "readlink"]
COMMANDS += ["rm", "sed", "sh", "sleep", "touch", "uname"]


def script(path: Path, *lines: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(("#!/bin/bash", *lines, "")), encoding="utf-8")
    path.chmod(0o755)
    return path


def checkout(folder: Path) -> Path:
    """What set-up needs of the project, and a folder `bin` beside it for PATH, with no Python."""
    (folder / "tools").mkdir(parents=True)
    for name in ("Makefile", "tools/setup.sh", "requirements.txt", "requirements-mlhub.txt", "requirements-uv.txt"):
        shutil.copy(ROOT / name, folder / name)
    commands = folder.parent / "bin"
    commands.mkdir()
    for name in COMMANDS:
        (commands / name).symlink_to(shutil.which(name) or "missing on this machine")
    return folder


def execute(command: list[str], folder: Path, *path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run a command in `folder` with nothing but these in its environment."""
    everywhere = ":".join(map(str, (*path, folder.parent / "bin")))
    clean = {"PATH": everywhere, "HOME": str(folder.parent / "no home"), "LC_ALL": "C", **environment}
    return subprocess.run(command, cwd=folder, env=clean, capture_output=True, text=True, timeout=60, check=False)
