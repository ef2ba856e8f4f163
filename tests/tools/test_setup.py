"""How tools/setup.sh finds a Python, and the Makefile around it. Nothing is installed."""

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.fake import BASE, ROOT, checkout, execute, script


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkout(tmp_path / "a b")


def find(folder: Path, *path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return execute(["tools/setup.sh", "--find-python"], folder, *path, **environment)


def python(path: Path, change: str) -> Path:
    """A Python that runs its code after `change`."""
    start = f"import platform, struct, sys, sysconfig; {change}; exec(sys.argv[1])"
    return script(path, f'exec {shlex.quote(str(BASE))} -c {shlex.quote(start)} "$2"')


@pytest.mark.parametrize("name", ["tools/setup.sh", ".ci/run"])
def test_bash_3_2_is_enough(name: str) -> None:
    newer = r"declare -[Agn]|local -[Ang]|mapfile|readarray|\$\{\w+(,,|\^\^|@[QEPAa])|&>>|\|&|coproc|wait -n|\[-1\]"
    assert re.findall(newer, (ROOT / name).read_text(encoding="utf-8")) == []


def test_python_3_11_is_preferred_and_a_shim_that_fails_is_passed_over(folder: Path, tmp_path: Path) -> None:
    path = [tmp_path / "shims", tmp_path / "early", tmp_path / "later"]
    script(path[0] / "python3.11", "echo 'pyenv: python3.11: command not found' >&2", "exit 127")
    python(path[1] / "python3.12", "sys._base_executable = '3.12'")
    python(path[2] / "python3.11", "sys._base_executable = '3.11'")
    python(tmp_path / "env/versions/3.13.1/bin/python3", "sys._base_executable = 'pyenv'")
    found = [find(folder, *path[:number], PYENV_ROOT=str(tmp_path / "env")) for number in (3, 2, 1)]
    assert [run.stdout for run in found] == ["3.11\n", "3.12\n", "pyenv\n"]


def test_a_virtual_environment_stands_for_its_python(folder: Path) -> None:
    assert find(folder, Path(sys.executable).parent, PYTHON=Path(sys.executable).name).stdout == f"{BASE}\n"


@pytest.mark.parametrize(
    ("change", "shown"),
    [
        ("platform.python_version = lambda: '3.10.13'", "CPython 3.10.13 64-bit"),
        ("platform.python_implementation = lambda: 'PyPy'", "PyPy 3."),
        ("struct.calcsize = lambda _: 4", " 32-bit "),
        ("sysconfig.get_config_var = bool", " free-threaded"),
        ("platform.system = lambda: 'Darwin'; platform.machine = lambda: 'x86_64'", " Darwin x86_64"),
        ("platform.system = lambda: 'Linux'; platform.libc_ver = lambda: ('musl', '')", " musl"),
        ("sys.modules['ensurepip'] = None", "apt install python3-venv"),
        ("sys.exit(1)", "does not run"),
    ],
)
def test_an_unsupported_python_is_refused(change: str, shown: str, folder: Path, tmp_path: Path) -> None:
    run = find(folder, PYTHON=str(python(tmp_path / "python", change)))
    assert (run.returncode, run.stdout) == (1, "")
    assert re.match(
        f"setup: no usable Python: found {tmp_path}/python: .*{shown}.*; needed: 64-bit CPython", run.stderr
    )


def test_a_machine_without_python_is_told_what_is_needed(folder: Path) -> None:
    run = find(folder)
    assert (run.returncode, "or on an Apple-silicon Mac; name one with PYTHON=" in run.stderr) == (1, True)


def test_make_repro_sets_up_then_runs_the_dvc_of_the_environment(folder: Path) -> None:
    script(folder / "tools/setup.sh", "echo set up")
    script(folder / ".venv/bin/dvc", 'echo "the environment\'s dvc $*"')
    assert execute(["make", "--silent", "repro"], folder).stdout == "set up\nthe environment's dvc repro\n"


def test_make_without_a_target_lists_all_targets(folder: Path) -> None:
    makefile = (folder / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert targets == set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    listed = re.findall(r"^make ([a-z-]+) ", execute(["make"], folder).stdout, re.MULTILINE)
    assert set(listed) == targets - {"help", "setup"}
