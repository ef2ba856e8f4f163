"""What .ci/run makes of what make, dvc and dvc.lock say; all three are stand-ins."""

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
    """A clone in which an earlier run left outputs and a cache."""
    clone = tmp_path / "a b"
    for name in (".ci/run", "tools/lock_diff.py"):
        (clone / name).parent.mkdir(parents=True)
        shutil.copy(ROOT / name, clone / name)
    script(tmp_path / "bin/make", MAKE)
    script(clone / ".venv/bin/python", f"exec '{sys.executable}' \"$@\"")
    said(clone, CLEAN)
    files = {"dvc.lock": LOCK, "broken": "", "data/raw/.gitignore": "/x\n"}
    for name, text in {**files, "data/raw/x": "", "data/local/x": "", ".dvc/cache/x": ""}.items():
        (clone / name).parent.mkdir(parents=True, exist_ok=True)
        (clone / name).write_text(text, encoding="utf-8")
    identity = ("-c", "user.name=a", "-c", "user.email=a@localhost")
    for command in (["init", "--quiet"], ["add", *files], [*identity, "commit", "--quiet", "--message=lock"]):
        subprocess.run(["git", *command], cwd=clone, check=True)
    return clone


def said(clone: Path, status: str) -> None:
    script(clone / ".venv/bin/dvc", f'[ "$1" = status ] && echo "{status}"')


def run(clone: Path) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PATH": f"{clone.parent}/bin:{os.environ['PATH']}"}
    command = [clone / ".ci/run"]
    return subprocess.run(command, env=environment, cwd="/", capture_output=True, text=True, check=False)


def begun(output: str) -> list[str]:
    return re.findall(r"^== ([a-z_ ]+)$", output, re.MULTILINE)


def test_a_run_that_repeats_the_data_passes_and_says_how_long_each_step_took(clone: Path) -> None:
    ended = run(clone)
    assert (ended.returncode, ended.stderr) == (0, "")
    steps = ["make test", "empty_caches", "make repro", "same_data", "nothing_to_do"]
    assert begun(ended.stdout) == steps
    assert re.findall(r"^== \d+ s: (.+)$", ended.stdout, re.MULTILINE) == steps


def test_the_pipeline_starts_without_outputs_on_a_cache_of_its_own(clone: Path) -> None:
    run(clone)
    scratch = (clone / "scratch").read_text(encoding="utf-8").strip()
    assert scratch.startswith(f"{clone}/.pipeline_cache/ci.")
    assert (clone / "config").read_text(encoding="utf-8") == f"[cache]\n    dir = {scratch}/cache\n"
    assert (clone / "left").read_text(encoding="utf-8").split() == ["data:", "local", "raw", "data/raw:", ".gitignore"]
    assert not Path(scratch).exists()
    assert (clone / ".dvc/cache/x").exists()


@pytest.mark.parametrize(("broken", "log"), [("test", ["make test"]), ("repro", ["make test", "make repro"])])
def test_the_first_step_that_fails_is_the_last(broken: str, log: list[str], clone: Path) -> None:
    (clone / "broken").write_text(broken, encoding="utf-8")
    ended = run(clone)
    assert ended.returncode == 1
    assert re.fullmatch(rf"== FAILED after \d+ s: make {broken}\n", ended.stderr)
    assert (clone / "log").read_text(encoding="utf-8").splitlines() == log
    assert list((clone / ".pipeline_cache").iterdir()) == []


def test_data_that_did_not_repeat_fails(clone: Path) -> None:
    (clone / "dvc.lock").write_text(LOCK.replace("aa", "bb"), encoding="utf-8")
    ended = run(clone)
    assert ended.returncode == 1
    assert "tile: outs data/chips: aa.dir became bb.dir\n" in ended.stdout
    assert ended.stderr.endswith("s: same_data\n")


def test_a_lock_that_was_not_committed_fails(clone: Path) -> None:
    subprocess.run(["git", "update-ref", "-d", "HEAD"], cwd=clone, check=True)
    ended = run(clone)
    assert ended.returncode == 1
    assert ended.stderr.endswith("s: same_data\n")


def test_a_pipeline_that_still_has_something_to_do_fails(clone: Path) -> None:
    said(clone, "tile: changed deps")
    ended = run(clone)
    assert ended.returncode == 1
    assert "tile: changed deps" in ended.stdout
    assert ended.stderr.endswith("s: nothing_to_do\n")
