"""How tools/setup.sh makes .venv, with a Python and a pip that only say what they were asked for."""

import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from tests.tools.fake import checkout, execute, script, without_python

REQUIREMENTS = """\
alpha==1.0 \\
    --hash=sha256:aa \\
    --hash=sha256:bb
nvidia-cublas==9 ; sys_platform == 'linux' \\
    --hash=sha256:cc
nvidia-ml-py==13 \\
    --hash=sha256:dd
setuptools==80 \\
    --hash=sha256:ee
torch==2.14.1 \\
    --hash=sha256:ff
torchmetrics==1.9 \\
    --hash=sha256:gg
torchvision==0.29.1 ; python_version < '3.14' \\
    --hash=sha256:hh
triton==3 ; sys_platform == 'linux' \\
    --hash=sha256:ii
"""
ALL = "alpha nvidia-cublas nvidia-ml-py setuptools torch torchmetrics torchvision triton"
ALWAYS = "--quiet --disable-pip-version-check --no-input --no-deps "
BUILT = [
    "venv .venv",
    "--require-hashes --requirement <setuptools>",
    f"--require-hashes --no-build-isolation --requirement <{ALL}>",
    "--require-hashes --requirement <radiant-mlhub>",
]
"""What a set-up with the locked torch does."""

PYTHON = """
case $1 in
    -c) echo "$0" ;;  # what the probe of a good Python answers
    *) echo "venv $3" >> log; mkdir -p "$3/bin"; cp fake "$3/bin/python" ;;
esac
"""
IN_VENV = """
if [ "$1" = -c ]; then [ ! -e without-pip ]; exit; fi
shift 3
said=''
for each in "$@"; do
    case $each in
        /dev/fd/* | *.txt) each="<$(awk -F== '/^[a-z]/ { printf "%s%s", gap, $1; gap = " " }' "$each")>" ;;
    esac
    said="$said$each "
done
echo "${said% }" >> log
if [ -e slow ]; then sleep "$(cat slow)"; fi
[ ! -e offline ]
"""


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    without_python(tmp_path / "commands")
    script(tmp_path / "bin/python3.11", PYTHON)
    folder = checkout(tmp_path / "a b")
    script(folder / "fake", IN_VENV)
    (folder / "requirements.txt").write_text(REQUIREMENTS, encoding="utf-8")
    return folder


def path(folder: Path) -> str:
    return f"{folder.parent}/bin:{folder.parent}/commands"


def set_up(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    return execute(["tools/setup.sh"], folder, path(folder), **environment)


def start(folder: Path) -> subprocess.Popen[bytes]:
    command = ["tools/setup.sh"]
    return subprocess.Popen(
        command, cwd=folder, env={"PATH": path(folder)}, stderr=subprocess.DEVNULL, start_new_session=True
    )


def done(folder: Path) -> list[str]:
    """What the fakes were asked for since the last time."""
    log = folder / "log"
    lines = log.read_text(encoding="utf-8").splitlines() if log.exists() else []
    log.unlink(missing_ok=True)
    return [line.removeprefix(ALWAYS) for line in lines]


def wait_for_log(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while not (folder / "log").exists() or "--" not in (folder / "log").read_text(encoding="utf-8"):
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_first_set_up_installs_all_that_is_locked(folder: Path) -> None:
    run = set_up(folder)
    assert (run.returncode, run.stdout) == (0, "")
    said = f"setup: making .venv with {folder.parent}/bin/python3.11; this takes some minutes, once\n"
    assert run.stderr.endswith(said)
    assert done(folder) == BUILT
    assert not (folder / ".venv.lock").is_symlink()


def test_the_second_set_up_does_nothing(folder: Path) -> None:
    set_up(folder)
    done(folder)
    again = set_up(folder)
    assert (again.returncode, again.stdout, again.stderr) == (0, "", "")
    assert done(folder) == []


@pytest.mark.parametrize("name", ["requirements.txt", "requirements-mlhub.txt"])
def test_another_lock_is_installed_into_a_new_environment(name: str, folder: Path) -> None:
    set_up(folder)
    (folder / ".venv/left over").touch()
    done(folder)
    with (folder / name).open("a", encoding="utf-8") as file:
        file.write("# changed\n")
    assert set_up(folder).returncode == 0
    assert done(folder) == BUILT
    assert not (folder / ".venv/left over").exists()


def test_an_environment_whose_folder_moved_is_made_again(folder: Path) -> None:
    set_up(folder)
    done(folder)
    moved = folder.rename(folder.parent / "c d")
    assert set_up(moved).returncode == 0
    assert done(moved) == BUILT


def test_an_environment_that_broke_is_made_again(folder: Path) -> None:
    set_up(folder)
    done(folder)
    (folder / "without-pip").touch()
    set_up(folder)
    assert done(folder) == BUILT


def test_after_an_installation_that_failed_everything_is_done_again(folder: Path) -> None:
    (folder / "offline").touch()
    run = set_up(folder)
    assert run.returncode == 1
    said = "setup: pip could not install (see above); run it again when that is put right: finished downloads are kept"
    assert run.stderr.splitlines()[-1] == said
    assert done(folder) == BUILT[:2]
    (folder / "offline").unlink()
    assert set_up(folder).returncode == 0
    assert done(folder) == BUILT


def test_after_it_was_killed_half_way_everything_is_done_again(folder: Path) -> None:
    (folder / "slow").write_text("60", encoding="utf-8")
    process = start(folder)
    wait_for_log(folder)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert (folder / ".venv.lock").readlink() == Path(str(process.pid))  # it could not tidy up
    (folder / "slow").unlink()
    done(folder)
    assert set_up(folder).returncode == 0
    assert done(folder) == BUILT


def test_two_at_once_make_one_environment(folder: Path) -> None:
    (folder / "slow").write_text("0.2", encoding="utf-8")
    first = start(folder)
    wait_for_log(folder)
    second = set_up(folder)
    assert (first.wait(), second.returncode) == (0, 0)
    assert second.stderr.startswith(f"setup: waiting for process {first.pid}, which sets up already")
    assert done(folder) == BUILT


def test_a_lock_that_cannot_be_made_is_not_waited_for(folder: Path) -> None:
    script(folder.parent / "bin/ln", "echo 'ln: no room' >&2; exit 1")
    run = set_up(folder)
    assert (run.returncode, run.stderr) == (1, "setup: ln: no room\n")
    assert done(folder) == []


def test_an_index_for_torch_is_asked_for_torch_alone_and_remembered(folder: Path) -> None:
    run = set_up(folder, TORCH_INDEX="https://localhost/cpu")
    assert "setup: torch and torchvision come from https://localhost/cpu and are not hash-checked\n" in run.stderr
    assert done(folder) == [
        "venv .venv",
        "--index-url https://localhost/cpu torch==2.14.1",
        "--index-url https://localhost/cpu torchvision==0.29.1 ; python_version < '3.14'",
        "--require-hashes --requirement <setuptools>",
        "--require-hashes --no-build-isolation --requirement <alpha nvidia-ml-py setuptools torchmetrics>",
        "--require-hashes --requirement <radiant-mlhub>",
    ]
    set_up(folder)
    assert done(folder) == []


def test_a_python_that_was_named_once_is_remembered(folder: Path) -> None:
    other = script(folder.parent / "other/python3.12", PYTHON)
    set_up(folder)
    done(folder)
    assert f"making .venv with {other};" in set_up(folder, PYTHON=str(other)).stderr
    assert done(folder) == BUILT
    set_up(folder)
    assert done(folder) == []


def test_little_room_on_the_disk_is_said_beforehand(folder: Path) -> None:
    script(folder.parent / "bin/df", "echo header; echo /dev/disk 9 6 2097152 75% /")
    assert set_up(folder).stderr.startswith("setup: warning: 2 GB are free here; the environment takes about ")


@pytest.mark.parametrize(
    ("mode", "pattern", "names"),
    [
        ("keep", "torch|torchvision", ["torch", "torchvision"]),
        ("drop", "nvidia-.*|torch", ["alpha", "setuptools", "torchmetrics", "torchvision", "triton"]),
        ("keep", "nothing", []),
    ],
)
def test_entries_are_picked_by_their_whole_names_with_their_hashes(
    mode: str, pattern: str, names: list[str], folder: Path
) -> None:
    text = (folder / "tools/setup.sh").read_text(encoding="utf-8")
    assert text.endswith('\nmain "$@"\n')
    script(folder / "tools/entries.sh", text.removesuffix('main "$@"\n'), 'entries "$@"')
    picked = execute(["tools/entries.sh", mode, pattern], folder, path(folder)).stdout
    entries = [f"{entry}\n" for entry in REQUIREMENTS.replace("\n    ", "\t").splitlines()]
    wanted = [entry.replace("\t", "\n    ") for entry in entries if entry.partition("==")[0] in names]
    assert picked == "".join(wanted)
