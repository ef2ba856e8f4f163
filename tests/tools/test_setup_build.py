"""How tools/setup.sh makes .venv, with a Python, pip and uv that only log their arguments."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tools.fake import BASE, checkout, execute, script

PYTHON = r"""
case $1 in
    -c) printf 'CPython 3.11.9 64-bit Linux x86_64 glibc\n%s\n' "$0" ;;
    *) echo venv >> log; mkdir -p "$3/bin"; cp in-venv "$3/bin/python"; touch "$3/pyvenv.cfg" ;;
esac
"""
IN_VENV = r"""
import json, os, re, sys, time
from pathlib import Path
line = " ".join(sys.argv[1:])
if line == "-c import pip":
    sys.exit(Path("no-pip").exists())
if line == "-m uv cache dir":
    sys.exit(print(Path("cache").absolute()))
if line == "-m pip config list":
    os.execv(Path("pip").resolve(), ["pip", "config", "list"]) if Path("pip").exists() else sys.exit()
for path in re.findall(r"-r (/\S+|\S+mlhub.txt)", line):
    requirements = re.sub(r"( \\\n +--hash=\S+)+|#.*\n", lambda m: "#" * ("hash" in m[0]), Path(path).read_text())
    line = line.replace(path, requirements.strip().replace("\n", ", "))
tool = "uv" if "-m uv" in line else "pip"
Path(f"{tool}-env").write_text(json.dumps(dict(os.environ)))
line = " ".join([tool, *re.sub("-m pip|-m uv pip|install|--quiet|--no-deps", "", line).split()])
Path("log").open("a").write(line + "\n")
time.sleep(float(Path("slow").read_text()) if Path("slow").exists() else 0)
sys.exit(Path("broken").exists() and re.search(Path("broken").read_text(), line) and 1)
"""
NAMES = ["alpha", "nvidia-cublas", "nvidia-ml-py", "setuptools", "torch", "torchmetrics", "torchvision", "triton"]
ALL = ", ".join(f"{name}==1#" for name in NAMES)
BUILD = "--require-hashes --no-build-isolation -r"
WITH_UV = ["venv", "pip --require-hashes -r requirements-uv.txt", "uv --require-hashes -r setuptools==1#"]
WITH_UV += [f"uv {BUILD} {ALL} -r radiant-mlhub==0.5.5#"]
WITH_PIP = ["venv", *(line.replace("uv ", "pip ", 1) for line in WITH_UV[2:])]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    folder = checkout(tmp_path / "a b")
    script(tmp_path / "bin/python3.11", PYTHON)
    script(folder / "in-venv", f"exec '{BASE}' -S in-venv.py \"$@\"")
    (folder / "in-venv.py").write_text(IN_VENV, encoding="utf-8")
    locked = "".join(f"{name}==1 \\\n    --hash=sha256:aa \\\n    --hash=sha256:bb\n" for name in NAMES)
    (folder / "requirements.txt").write_text(locked, encoding="utf-8")
    return folder


def set_up(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return execute(["tools/setup.sh"], folder, folder / "first", **environment)


def done(folder: Path) -> list[str]:
    """What was installed, and how, since the last time."""
    lines = (folder / "log").read_text(encoding="utf-8").splitlines() if (folder / "log").exists() else []
    (folder / "log").unlink(missing_ok=True)
    return lines


def start(folder: Path, until: str) -> subprocess.Popen[bytes]:
    """Start a set-up and return once `until` is in the log; each step takes some time."""
    (folder / "slow").write_text("0.5", encoding="utf-8")
    path = {"PATH": f"{folder.parent}/bin"}
    process = subprocess.Popen(["tools/setup.sh"], cwd=folder, env=path, stderr=subprocess.DEVNULL, process_group=0)
    deadline = time.monotonic() + 30
    while not (folder / "log").exists() or until not in (folder / "log").read_text(encoding="utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    (folder / "slow").unlink()
    return process


def test_a_set_up_installs_all_that_is_locked_and_the_next_does_nothing(folder: Path) -> None:
    run = set_up(folder)
    assert (run.returncode, run.stdout, done(folder)) == (0, "", WITH_UV)
    again = set_up(folder)
    assert (again.returncode, again.stderr, done(folder)) == (0, "", [])
    assert not (folder / ".venv.lock").is_symlink()


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-mlhub.txt", "no-pip", "moved"])
def test_an_environment_that_no_longer_fits_is_made_again(name: str, folder: Path) -> None:
    set_up(folder)
    (folder / ".venv/left over").touch()
    done(folder)
    if name == "moved":
        folder = folder.rename(folder.parent / "c d")
    else:  # another lock, or another Python under the same name
        with (folder / name).open("a", encoding="utf-8") as file:
            file.write("#\n")
    assert (set_up(folder).returncode, done(folder)) == (0, WITH_UV)
    assert not (folder / ".venv/left over").exists()


@pytest.mark.parametrize(("broken", "before"), [("^uv", WITH_UV[:3]), ("requirements-uv", WITH_UV[:2])])
def test_pip_installs_into_a_new_environment_when_uv_cannot(broken: str, before: list[str], folder: Path) -> None:
    (folder / "broken").write_text(broken, encoding="utf-8")
    run = set_up(folder)
    assert (run.returncode, done(folder)) == (0, [*before, *WITH_PIP])
    assert "setup: uv could not install (see above); trying pip" in run.stderr


def test_after_a_failure_everything_is_done_again(folder: Path) -> None:
    (folder / "broken").write_text("^", encoding="utf-8")
    run = set_up(folder)
    assert (run.returncode, done(folder)) == (1, [*WITH_UV[:2], *WITH_PIP[:2]])
    assert "setup: pip could not install (see above); fix that and run it again" in run.stderr
    (folder / "broken").unlink()
    assert (set_up(folder).returncode, done(folder)) == (0, WITH_UV)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGKILL])
def test_after_it_was_stopped_everything_is_done_again(number: signal.Signals, folder: Path) -> None:
    process = start(folder, until="uv ")
    os.killpg(process.pid, number)
    assert process.wait() == {signal.SIGINT: 130, signal.SIGKILL: -9}[number]
    assert done(folder) == WITH_UV[:3]  # an interrupted uv is no reason to try pip
    assert (set_up(folder).returncode, done(folder)) == (0, WITH_UV)


def test_two_at_once_make_one_environment(folder: Path) -> None:
    first = start(folder, until="pip ")
    second = set_up(folder)
    assert (first.wait(), second.returncode, done(folder)) == (0, 0, WITH_UV)
    assert second.stderr.startswith(f"setup: waiting for process {first.pid}")


def test_a_lock_that_cannot_be_created_is_not_waited_for(folder: Path) -> None:
    (folder / ".venv.lock").touch()
    refused = set_up(folder)
    script(folder / "first/ln", "echo 'ln: No space left on device' >&2; exit 1")
    failed = set_up(folder)
    assert [run.stderr for run in (refused, failed)] == [
        "setup: .venv.lock is not a lock of this script; remove it\n",
        f"setup: cannot lock {folder}, where .venv goes: ln: No space left on device\n",
    ]
    assert (refused.returncode, failed.returncode, done(folder)) == (1, 1, [])


@pytest.mark.parametrize(("free", "torch", "need"), [(6, "", 7), (1, "https://localhost/cpu", 2), (7, "", None)])
def test_too_little_disk_is_a_warning_before_anything_is_installed(
    free: int, torch: str, need: int | None, folder: Path
) -> None:
    script(folder / "first/uname", "echo Linux")
    script(folder / "first/df", f"echo header; echo /dev/disk 9 6 {free * 1048576} 75% /")
    run = set_up(folder, TORCH_INDEX=torch)
    warning = f"setup: warning: {free} GB free in {folder}; .venv takes about {need} GB\n"
    assert (run.returncode, warning in run.stderr, "warning" in run.stderr) == (0, need is not None, need is not None)


@pytest.mark.parametrize(("tool", "broken"), [("uv", "nothing"), ("pip", "requirements-uv")])
def test_only_torch_comes_from_an_index_of_its_own_which_is_remembered(tool: str, broken: str, folder: Path) -> None:
    (folder / "broken").write_text(broken, encoding="utf-8")
    run = set_up(folder, TORCH_INDEX="https://localhost/cpu")
    assert "torch and torchvision come from https://localhost/cpu and are not hash-checked" in run.stderr
    assert done(folder)[-3:] == [
        f"{tool} --index-url https://localhost/cpu -r torch==1, torchvision==1",
        f"{tool} --require-hashes -r setuptools==1#",
        f"{tool} {BUILD} alpha==1#, nvidia-ml-py==1#, setuptools==1#, torchmetrics==1# -r radiant-mlhub==0.5.5#",
    ]
    assert (set_up(folder).returncode, done(folder)) == (0, [])


def test_a_named_python_is_remembered_until_it_goes_away(folder: Path) -> None:
    other = script(folder.parent / "other/python3.12", PYTHON)
    assert f"creating .venv with {other};" in set_up(folder, PYTHON=str(other)).stderr
    assert set_up(folder).stderr == ""
    other.unlink()
    assert f"creating .venv with {folder.parent}/bin/python3.11;" in set_up(folder).stderr


def test_uv_is_configured_as_pip_is(folder: Path) -> None:
    script(folder / "pip", f"exec '{sys.executable}' -m pip \"$@\"")
    script(folder / "first/ln", '[ "$1" = -s ] && exec /bin/ln "$@"')  # no hard links
    (folder / "pip.conf").write_text(
        "[global]\nindex-url = https://file/simple\nextra-index-url =\n  https://a/simple\n  https://u:p%40@b/simple\n"
        "find-links = /one /two\ncert = /global.pem\n[install]\ncert = /install.pem\nno-index = true\n",
        encoding="utf-8",
    )
    config = {"PIP_CONFIG_FILE": str(folder / "pip.conf"), "PIP_INDEX_URL": "https://env/simple"}
    set_up(folder, **config, PIP_TRUSTED_HOST="a b", PYTHONDONTWRITEBYTECODE="1")
    wanted = {
        "UV_INDEX_URL": "https://env/simple",
        "UV_EXTRA_INDEX_URL": "https://a/simple https://u:p%40@b/simple",
        "UV_FIND_LINKS": "/one,/two",
        "UV_INSECURE_HOST": "a b",
        "UV_INDEX_STRATEGY": "unsafe-best-match",
        "SSL_CERT_FILE": "/install.pem",
        "UV_LINK_MODE": "copy",
        "UV_COMPILE_BYTECODE": "1",  # which pip always does
    }
    environment = json.loads((folder / "uv-env").read_text(encoding="utf-8"))
    assert {name: environment.get(name) for name in wanted} == wanted
    assert done(folder)[2].startswith("uv --no-index ")
