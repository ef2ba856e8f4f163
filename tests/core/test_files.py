"""Outputs appear whole or not at all, whoever is killed or writes at the same time; copies are independent files."""

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pipeline.core.files import (
    STALE_AFTER,
    atomic_path,
    copy,
    existing_parent,
    read_json,
    remove,
    visible_files,
    write_json,
    write_text,
)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with atomic_path(target) as partial:
        partial.write_text("done")
        assert not target.exists()
    assert target.read_text() == "done"
    assert names(tmp_path / "new") == ["a.txt"]


def test_a_folder_is_replaced_entirely(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "old.txt", "old")
    with atomic_path(tmp_path / "out") as partial:
        write_text(partial / "new.txt", "new")
    assert names(tmp_path / "out") == ["new.txt"]
    assert names(tmp_path) == ["out"]


ROOT = Path(__file__).parents[2]
AS_FOLDER, AS_FILE = "folder", "file"
WRITER = """
import os, signal, sys
from pathlib import Path
from pipeline.core.files import atomic_path, write_text
target, kind = Path(sys.argv[1]), sys.argv[2]
def write(partial, text):
    if kind == "folder":
        for name in "abc":
            write_text(partial / f"{name}.txt", text)
    else:
        partial.write_text(text)
"""
KILLED = """
with atomic_path(target) as partial:
    write(partial, "half")
    os.kill(os.getpid(), signal.SIGKILL)
"""
KILLED_WHILE_REPLACING = """
rename = Path.rename
def killed(self, other):
    if self == target:
        rename(self, other)
        os.kill(os.getpid(), signal.SIGKILL)
    return rename(self, other)
Path.rename = killed
with atomic_path(target) as partial:
    write(partial, "new")
"""
WAITING = """
with atomic_path(target) as partial:
    write(partial, "new")
    print("writing", flush=True)
    sys.stdin.readline()
"""
REPEATED = """
for number in range(150):
    with atomic_path(target) as partial:
        write(partial, f"{os.getpid()} {number}")
"""


def writer(script: str, target: Path, kind: str) -> subprocess.Popen[str]:
    command, pipe = [sys.executable, "-c", WRITER + script, str(target), kind], subprocess.PIPE
    return subprocess.Popen(command, cwd=ROOT, text=True, stdin=pipe, stdout=pipe, stderr=pipe)


def run_until_killed(script: str, target: Path, kind: str) -> None:
    process = writer(script, target, kind)
    process.communicate()
    assert process.returncode == -signal.SIGKILL


def content(target: Path) -> set[str]:
    """The distinct texts in a file or folder; a complete output has one."""
    return {path.read_text() for path in (sorted(target.iterdir()) if target.is_dir() else [target])}


def write(target: Path, kind: str, text: str) -> None:
    if kind == AS_FILE:
        write_text(target, text)
        return
    with atomic_path(target) as partial:
        for name in "abc":
            write_text(partial / f"{name}.txt", text)


@pytest.mark.parametrize("kind", [AS_FILE, AS_FOLDER])
@pytest.mark.parametrize("text", ["half", None])
def test_an_error_keeps_the_old_output(tmp_path: Path, kind: str, text: str | None) -> None:
    target = tmp_path / "out"
    write(target, kind, "old")
    with pytest.raises(KeyboardInterrupt), atomic_path(target) as partial:
        if text:
            write(partial, kind, text)
        raise KeyboardInterrupt
    assert content(target) == {"old"}
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", [AS_FILE, AS_FOLDER])
def test_a_kill_keeps_the_old_output_and_the_next_call_cleans_up(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    write(target, kind, "old")
    run_until_killed(KILLED, target, kind)
    assert content(target) == {"old"}
    assert len(names(tmp_path)) == 2
    with pytest.raises(ZeroDivisionError), atomic_path(target):
        assert len(names(tmp_path)) == 2  # its own, and the target
        raise ZeroDivisionError
    assert names(tmp_path) == ["out"]
    assert content(target) == {"old"}


def test_a_folder_that_a_killed_process_moved_aside_is_restored(tmp_path: Path) -> None:
    target = tmp_path / "out"
    write(target, AS_FOLDER, "old")
    run_until_killed(KILLED_WHILE_REPLACING, target, AS_FOLDER)
    assert not target.exists()
    with pytest.raises(ZeroDivisionError), atomic_path(target):
        assert content(target) == {"old"}
        raise ZeroDivisionError
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", [AS_FILE, AS_FOLDER])
def test_concurrent_writers_do_not_disturb_each_other(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    other = writer(WAITING, target, kind)
    assert other.stdout is not None
    assert other.stdout.readline() == "writing\n"
    write(target, kind, "ours")
    assert content(target) == {"ours"}
    assert other.communicate("go on\n")[1] == ""
    assert other.returncode == 0
    assert content(target) == {"new"}
    assert names(tmp_path) == ["out"]


@pytest.mark.parametrize("kind", [AS_FILE, AS_FOLDER])
def test_of_concurrent_writers_the_last_wins_entirely(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    writers = [writer(REPEATED, target, kind) for _ in range(3)]
    ended = [(process.communicate()[1], process.returncode) for process in writers]
    assert ended == [("", 0)] * 3
    (text,) = content(target)
    assert text in {f"{process.pid} 149" for process in writers}
    assert names(tmp_path) == ["out"]


def test_a_folder_can_replace_a_file_and_a_file_a_folder(tmp_path: Path) -> None:
    write(tmp_path / "out", AS_FILE, "file")
    write(tmp_path / "out", AS_FOLDER, "folder")
    assert content(tmp_path / "out") == {"folder"}
    with atomic_path(tmp_path / "out") as partial:
        partial.write_text("file")
    assert content(tmp_path / "out") == {"file"}
    assert names(tmp_path) == ["out"]


def test_leftovers_of_a_target_with_a_longer_name_are_not_touched(tmp_path: Path) -> None:
    write(tmp_path / "out.old", AS_FOLDER, "old")
    run_until_killed(KILLED_WHILE_REPLACING, tmp_path / "out.old", AS_FOLDER)
    left = names(tmp_path)
    write_text(tmp_path / "out", "new")
    assert names(tmp_path) == [*left, "out"]


def test_a_staging_folder_without_a_lock_is_removed_when_stale(tmp_path: Path) -> None:
    for name, age in (("young", 60.0), ("ancient", 2 * STALE_AFTER)):
        leftover = tmp_path / f".out.{name:_<8}.partial"
        write_text(leftover / "new", "half")
        os.utime(leftover, (time.time() - age,) * 2)
    write_text(tmp_path / "out", "new")
    assert names(tmp_path) == [".out.young___.partial", "out"]


def test_a_copy_is_not_a_hard_link(tmp_path: Path) -> None:
    original, twin = tmp_path / "a.tif", tmp_path / "deep" / "down" / "b.tif"
    original.write_bytes(b"pixels")
    copy(original, twin)
    assert twin.read_bytes() == b"pixels"
    assert twin.stat().st_ino != original.stat().st_ino
    original.write_bytes(b"changed")
    assert twin.read_bytes() == b"pixels"


def test_a_copy_of_a_read_only_original_is_writable(tmp_path: Path) -> None:
    original = tmp_path / "a.tif"
    original.write_bytes(b"pixels")
    original.chmod(0o444)
    copy(original, tmp_path / "b.tif")
    assert (tmp_path / "b.tif").stat().st_mode & 0o200


@pytest.mark.parametrize("behaviour", ["copies nothing", "fails"])
def test_a_copy_is_complete_whatever_the_file_system_does(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, behaviour: str
) -> None:
    def copy_file_range(*_: int) -> int:
        if behaviour == "fails":
            raise OSError(errno.EXDEV, "cross-device link")
        return 0

    monkeypatch.setattr(os, "copy_file_range", copy_file_range)
    (tmp_path / "a.tif").write_bytes(b"pixels")
    copy(tmp_path / "a.tif", tmp_path / "b.tif")
    assert (tmp_path / "b.tif").read_bytes() == b"pixels"


def test_a_copy_of_a_link_is_a_file(tmp_path: Path) -> None:
    (tmp_path / "a.tif").write_bytes(b"pixels")
    (tmp_path / "link.tif").symlink_to(tmp_path / "a.tif")
    copy(tmp_path / "link.tif", tmp_path / "b.tif")
    assert not (tmp_path / "b.tif").is_symlink()
    assert (tmp_path / "b.tif").read_bytes() == b"pixels"


def test_removing_a_link_to_a_folder_leaves_the_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "real" / "a.txt", "here")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    for path in (tmp_path / "link", tmp_path / "gone"):
        remove(path)
    assert names(tmp_path) == ["real"]
    assert names(tmp_path / "real") == ["a.txt"]


def test_files_are_sorted_by_path_without_hidden_ones(tmp_path: Path) -> None:
    for name in ("b/1.tif", "a.tif", ".hidden", ".git/config", "b/.DS_Store", "B.tif"):
        write_text(tmp_path / name, "")
    listed = [path.relative_to(tmp_path).as_posix() for path in visible_files(tmp_path)]
    assert listed == ["B.tif", "a.tif", "b/1.tif"]


def test_links_to_folders_are_followed_except_in_a_cycle(tmp_path: Path) -> None:
    for name in ("archive/a/1.tif", "archive/b/2.tif", "elsewhere/3.tif"):
        write_text(tmp_path / name, "")
    root = tmp_path / "archive"
    for link, target in (
        ("a/up", ".."),
        ("a/b", "../b"),
        ("b/a", "../a"),
        ("c", "../elsewhere"),
        ("d", "../elsewhere"),
    ):
        (root / link).symlink_to(target)
    listed = [path.relative_to(root).as_posix() for path in visible_files(root)]
    assert listed == ["a/1.tif", "a/b/2.tif", "b/2.tif", "b/a/1.tif", "c/3.tif", "d/3.tif"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_copying_a_pipe_or_folder_is_an_error(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "a.tif") if kind == "pipe" else (tmp_path / "a.tif").mkdir()
    with pytest.raises(OSError, match="it is a folder, a pipe, a socket or a device, not a file"):
        copy(tmp_path / "a.tif", tmp_path / "b.tif")
    assert names(tmp_path) == ["a.tif"]


def test_json_round_trips_and_refuses_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "(semi)natural é", "value": 1.5})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "name": "(semi)natural é",\n  "value": 1.5\n}\n'
    assert read_json(tmp_path / "a.json") == {"name": "(semi)natural é", "value": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == {"name": "(semi)natural é", "value": 1.5}


def test_the_closest_folder_above(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert existing_parent(tmp_path / "a/b/c.tif") == tmp_path
    assert existing_parent(Path("c.tif")) == tmp_path


def test_text_never_replaces_a_folder(tmp_path: Path) -> None:
    (tmp_path / "folder/inner").mkdir(parents=True)
    with pytest.raises(OSError, match="this is a folder; name a file"):
        write_text(tmp_path / "folder", "text")
    assert (tmp_path / "folder/inner").is_dir()
