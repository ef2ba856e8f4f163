"""How tools/setup.sh finds a Python, and the Makefile around it. Nothing is installed."""

import os
import platform
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tools.fake import BASE, ROOT, checkout, execute, says_it_is, script, without_python

SUPPORTED = "64-bit CPython 3.11, 3.12 or 3.13 on Linux (x86-64 or aarch64, glibc) or on an Apple-silicon Mac"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return checkout(tmp_path / "a b")


@pytest.fixture
def commands(tmp_path: Path) -> Path:
    return without_python(tmp_path / "commands")


def find(folder: Path, *path: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return execute(["tools/setup.sh", "--find-python"], folder, ":".join(map(str, path)), **environment)


def refusal(folder: Path, commands: Path, python: str | Path) -> str:
    """What is said of a Python that is the only one to consider."""
    run = find(folder, commands, PYTHON=str(python))
    assert (run.returncode, run.stdout) == (1, "")
    start, end = "setup: no usable Python: found ", f"; needed: {SUPPORTED}; name one with PYTHON=/path/to/python3\n"
    assert run.stderr.startswith(start)
    assert run.stderr.endswith(end)
    return run.stderr[len(start) : -len(end)].removeprefix(f"{python} ")


def test_it_is_valid_bash() -> None:
    for path in ("tools/setup.sh", ".ci/run"):
        run = subprocess.run(["bash", "-n", path], cwd=ROOT, capture_output=True, text=True, check=False)
        assert (run.returncode, run.stderr) == (0, ""), path
        assert os.access(ROOT / path, os.X_OK), path


def test_it_uses_nothing_that_bash_3_2_lacks() -> None:
    newer = r"declare -[Agn]|local -[Ang]|mapfile|readarray|\$\{\w+(,,|\^\^|@[QEPAa])|&>>|\|&|coproc|wait -n|\[-1\]"
    for path in ("tools/setup.sh", ".ci/run"):
        assert re.findall(newer, (ROOT / path).read_text(encoding="utf-8")) == [], path


def test_shims_that_fail_are_passed_over(folder: Path, commands: Path, tmp_path: Path) -> None:
    script(tmp_path / "shims/python3.11", "echo 'pyenv: python3.11: command not found' >&2", "exit 127")
    script(tmp_path / "shims/python3", "exit 1")
    script(tmp_path / "later/python3.11", f"exec '{BASE}' \"$@\"")
    run = find(folder, tmp_path / "shims", tmp_path / "later", commands)
    assert (run.returncode, run.stdout, run.stderr) == (0, f"{BASE}\n", "")


def test_3_11_is_preferred_to_a_python3_that_stands_before_it(folder: Path, commands: Path, tmp_path: Path) -> None:
    says_it_is(tmp_path / "early/python3", "sys._base_executable = 'early'")
    says_it_is(tmp_path / "early/python3.12", "sys._base_executable = '3.12'")
    says_it_is(tmp_path / "later/python3.11", "sys._base_executable = '3.11'")
    assert find(folder, tmp_path / "early", tmp_path / "later", commands).stdout == "3.11\n"
    assert find(folder, tmp_path / "early", commands).stdout == "3.12\n"


def test_a_python_of_pyenv_that_no_path_leads_to_is_found(folder: Path, commands: Path, tmp_path: Path) -> None:
    says_it_is(tmp_path / "env/versions/3.10.13/bin/python3", "sys._base_executable = 'old'")
    says_it_is(tmp_path / "env/versions/3.12.1/bin/python3", "sys._base_executable = 'new'")
    assert find(folder, commands, PYENV_ROOT=str(tmp_path / "env")).stdout == "new\n"


def test_an_environment_stands_for_the_python_that_it_was_made_with(folder: Path, commands: Path) -> None:
    run = find(folder, commands, PYTHON=sys.executable)
    assert (run.returncode, run.stdout) == (0, f"{BASE}\n")


def test_a_python_may_be_given_by_its_name_on_path(folder: Path, commands: Path, tmp_path: Path) -> None:
    says_it_is(tmp_path / "named/my python", "sys._base_executable = 'mine'")
    assert find(folder, tmp_path / "named", commands, PYTHON="my python").stdout == "mine\n"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ('platform.python_version = lambda: "3.10.13"; sys.version_info = (3, 10, 13)', "is CPython 3.10.13"),
        ('platform.python_version = lambda: "3.14.0"; sys.version_info = (3, 14, 0)', "is CPython 3.14.0"),
        ('platform.python_implementation = lambda: "PyPy"', f"is PyPy {platform.python_version()}"),
        ("sys.maxsize = 2**31 - 1", "is 32-bit"),
        ("sysconfig.get_config_var = bool", "is free-threaded, for which libraries are missing"),
        ('platform.machine = lambda: "riscv64"', "is built for riscv64"),
        (
            'sysconfig.get_config_var = {}.get; sys.platform = "darwin"; platform.machine = lambda: "x86_64"',
            "is built for x86_64",
        ),
        (
            'sys.platform = "linux"; platform.machine = lambda: "x86_64"; os.confstr = int',
            "is built for another C library than glibc",
        ),
        (
            'sys.modules["ensurepip"] = None',
            "cannot make environments (Debian, Ubuntu: apt install python3-venv)",
        ),
    ],
)
def test_a_python_that_will_not_do_is_refused_with_the_reason(
    change: str, said: str, folder: Path, commands: Path, tmp_path: Path
) -> None:
    assert refusal(folder, commands, says_it_is(tmp_path / "python", change)) == said


@pytest.mark.parametrize("version", ["2.7.18", "3.6.15", "3.10.13"])
def test_real_old_pythons_are_refused_by_their_versions(version: str, folder: Path, commands: Path) -> None:
    real = Path.home() / f".pyenv/versions/{version}/bin/python"
    if not real.is_file():
        pytest.skip(f"no {real} here")
    assert refusal(folder, commands, real) == f"is CPython {version}"


@pytest.mark.parametrize("named", ["/no/such/python", "nothing of this name"])
def test_a_python_that_does_not_exist_is_refused(named: str, folder: Path, commands: Path) -> None:
    assert refusal(folder, commands, named) == "does not run"


def test_all_that_was_tried_is_named(folder: Path, commands: Path, tmp_path: Path) -> None:
    first = script(tmp_path / "bin/python3.11", "exit 127")
    second = says_it_is(tmp_path / "bin/python3", "sys.maxsize = 2**31 - 1")
    run = find(folder, tmp_path / "bin", commands)
    assert f": found {first} does not run; {second} is 32-bit; needed: 64-bit" in run.stderr


def test_a_machine_without_python_is_told_what_is_needed(folder: Path, commands: Path) -> None:
    run = find(folder, commands)
    wanted = f"setup: no usable Python: needed: {SUPPORTED}; name one with PYTHON=/path/to/python3\n"
    assert (run.returncode, run.stderr) == (1, wanted)


@pytest.mark.parametrize(("system", "machine"), [("Darwin", "x86_64"), ("Linux", "i686"), ("MINGW64_NT", "x86_64")])
def test_another_system_is_refused(system: str, machine: str, folder: Path, commands: Path, tmp_path: Path) -> None:
    script(tmp_path / "other/uname", f'if [ "$1" = -s ]; then echo {system}; else echo {machine}; fi')
    run = find(folder, tmp_path / "other", commands)
    assert run.returncode == 1
    assert run.stderr == f"setup: {system} {machine} is not supported; needed: {SUPPORTED}\n"


def test_make_repro_sets_up_then_runs_dvc_in_a_folder_with_a_space(folder: Path, commands: Path) -> None:
    run = execute(["make", "-n", "repro"], folder, str(commands))
    assert (run.returncode, run.stdout) == (0, "tools/setup.sh\ndvc repro\n")


def test_make_puts_the_environment_before_all_else_on_path(folder: Path, commands: Path) -> None:
    script(folder / ".venv/bin/dvc", 'echo "the environment\'s own: $*"')
    script(folder / "tools/setup.sh", "true")
    assert execute(["make", "repro"], folder, str(commands)).stdout.endswith("the environment's own: repro\n")


def test_make_without_a_target_lists_all_targets(folder: Path, commands: Path) -> None:
    makefile = (folder / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([a-z-]+):", makefile, re.MULTILINE))
    assert targets == set(re.findall(r"^\.PHONY: (.+)$", makefile, re.MULTILINE)[0].split())
    for command in (["make"], ["make", "help"]):
        run = execute(command, folder, str(commands))
        assert set(re.findall(r"^make ([a-z-]+) ", run.stdout, re.MULTILINE)) == targets - {"help", "setup"}
