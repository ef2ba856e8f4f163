"""CI fails where a step fails, the data is not reproduced, or the pipeline is not up to date."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.fake import ROOT, script

LOCK = "schema: '2.0'\nstages:\n  tile: {cmd: x, outs: [{path: data/chips, md5: aa.dir}]}\n"
CLEAN = "Data and pipelines are up to date."
MAKE = """
echo "make $1" >> log
case $1 in
    repro)
        cp "$DVC_GLOBAL_CONFIG_DIR/config" config
        echo "$DVC_GLOBAL_CONFIG_DIR" > scratch
        ls -A data data/raw > left
        ;;
esac
[ "$1" != "$(cat broken)" ]
"""


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A clone with outputs and a cache of an earlier run."""
    clone = tmp_path / "a b"
    for name in (".ci/run", "tools/lock_diff.py"):
        (clone / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, clone / name)
    script(tmp_path / "bin/make", MAKE)
    script(clone / ".venv/bin/python", f"exec '{sys.executable}' \"$@\"")
    set_status(clone, CLEAN)
    files = {"dvc.lock": LOCK, "broken": "", "data/raw/.gitignore": "/x\n"}
    for name, text in {**files, "data/raw/x": "", "data/local/x": "", ".dvc/cache/x": ""}.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text, encoding="utf-8")
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    for command in (["init", "--quiet"], ["add", *files], [*identity, "commit", "--quiet", "--message=lock"]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    return clone


def set_status(clone: Path, status: str) -> None:
    script(clone / ".venv/bin/dvc", f'[ "$1" = status ] && echo "{status}"')


def run(clone: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{clone.parent}/bin:{os.environ['PATH']}"}
    command = [clone / ".ci/run"]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)


def steps_in(output: str) -> list[str]:
    return re.findall(r"^== ([a-z_ -]+)$", output, re.MULTILINE)


def test_a_run_that_reproduces_the_data_passes_and_reports_times(clone: Path) -> None:
    result = run(clone)
    assert (result.returncode, result.stderr) == (0, "")
    steps = ["make test", "make soak-short", "empty_caches", "make repro", "same_data", "nothing_to_do"]
    assert steps_in(result.stdout) == steps
    assert re.findall(r"^== \d+ s: (.+)$", result.stdout, re.MULTILINE) == steps


def test_the_pipeline_runs_without_outputs_on_a_new_cache(clone: Path) -> None:
    run(clone)
    scratch = (clone / "scratch").read_text(encoding="utf-8").strip()
    assert scratch.startswith(f"{clone}/.pipeline_cache/ci.")
    assert (clone / "config").read_text(encoding="utf-8") == f"[cache]\n    dir = {scratch}/cache\n"
    assert (clone / "left").read_text(encoding="utf-8").split() == ["data:", "local", "raw", "data/raw:", ".gitignore"]
    assert not Path(scratch).exists()
    assert (clone / ".dvc/cache/x").exists()


def test_a_failed_step_ends_the_run(clone: Path) -> None:
    (clone / "broken").write_text("soak-short", encoding="utf-8")
    result = run(clone)
    assert result.returncode == 1
    assert re.fullmatch(r"== FAILED after \d+ s: make soak-short\n", result.stderr)
    assert (clone / "log").read_text(encoding="utf-8").splitlines() == ["make test", "make soak-short"]
    assert list((clone / ".pipeline_cache").iterdir()) == []


def test_data_that_was_not_reproduced_fails(clone: Path) -> None:
    (clone / "dvc.lock").write_text(LOCK.replace("aa", "bb"), encoding="utf-8")
    result = run(clone)
    assert result.returncode == 1
    assert "tile: outs data/chips: aa.dir -> bb.dir\n" in result.stdout
    assert result.stderr.endswith("s: same_data\n")


def test_a_pipeline_that_is_not_up_to_date_fails(clone: Path) -> None:
    set_status(clone, "tile: changed deps")
    result = run(clone)
    assert result.returncode == 1
    assert "tile: changed deps" in result.stdout
    assert result.stderr.endswith("s: nothing_to_do\n")
