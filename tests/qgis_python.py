"""QGIS without a screen, for the tests of what we write for it."""

import os
import subprocess
from pathlib import Path

import pytest

SYSTEM_PYTHON = Path("/usr/bin/python3")
"""Of the distribution, which QGIS' bindings are installed for."""


def run_qgis(script: str, home: Path, *arguments: Path) -> str:
    """Run a script with QGIS' bindings; return the last line that it printed. Skips where QGIS is not installed."""
    environment = {
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "XDG_RUNTIME_DIR": str(home),
        "QT_QPA_PLATFORM": "offscreen",
        "LC_ALL": "C.UTF-8",
    }

    def python(*words: str | Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run([SYSTEM_PYTHON, "-c", *words], env=environment, capture_output=True, text=True)

    if not SYSTEM_PYTHON.exists() or python("import qgis.core").returncode:
        pytest.skip("QGIS is not installed: apt install python3-qgis")
    run = python(script, *arguments)
    assert run.returncode == 0, run.stderr
    return run.stdout.splitlines()[-1]
