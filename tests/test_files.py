import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from pipeline.files import copy, published, read_json, remove, sha256, visible_files, write_json, write_text


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_appears_when_the_block_ends(tmp_path: Path) -> None:
    target = tmp_path / "new" / "a.txt"
    with published(target) as partial:
        partial.write_text("done")
        assert not target.exists()
    assert target.read_text() == "done"
    assert names(tmp_path / "new") == ["a.txt"]


def test_a_block_that_raises_leaves_the_old_file(tmp_path: Path) -> None:
    write_text(tmp_path / "a.txt", "old")
    with pytest.raises(KeyboardInterrupt), published(tmp_path / "a.txt") as partial:
        partial.write_text("half")
        raise KeyboardInterrupt
    assert (tmp_path / "a.txt").read_text() == "old"
    assert names(tmp_path) == ["a.txt"]


def test_a_folder_is_replaced_as_a_whole(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "old.txt", "old")
    with published(tmp_path / "out") as partial:
        write_text(partial / "new.txt", "new")
    assert names(tmp_path / "out") == ["new.txt"]
    assert names(tmp_path) == ["out"]


def test_a_block_that_raises_leaves_the_old_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "old.txt", "old")
    with pytest.raises(ZeroDivisionError), published(tmp_path / "out") as partial:
        write_text(partial / "new.txt", "new")
        raise ZeroDivisionError
    assert names(tmp_path / "out") == ["old.txt"]
    assert names(tmp_path) == ["out"]


def test_a_block_that_writes_nothing_leaves_the_old_folder(tmp_path: Path) -> None:
    write_text(tmp_path / "out" / "old.txt", "old")
    with pytest.raises(FileNotFoundError), published(tmp_path / "out"):
        pass
    assert names(tmp_path / "out") == ["old.txt"]
    assert names(tmp_path) == ["out"]


def test_leftovers_of_a_killed_process_are_removed(tmp_path: Path) -> None:
    write_text(tmp_path / ".out.partial" / "half.txt", "half")
    write_text(tmp_path / ".out.replaced" / "older.txt", "older")
    write_text(tmp_path / "out" / "old.txt", "old")
    with published(tmp_path / "out") as partial:
        write_text(partial / "new.txt", "new")
    assert names(tmp_path / "out") == ["new.txt"]
    assert names(tmp_path) == ["out"]


def test_a_folder_that_a_killed_process_moved_aside_is_put_back(tmp_path: Path) -> None:
    write_text(tmp_path / ".out.replaced" / "old.txt", "old")
    with pytest.raises(ZeroDivisionError), published(tmp_path / "out"):
        raise ZeroDivisionError
    assert names(tmp_path / "out") == ["old.txt"]
    assert names(tmp_path) == ["out"]


KILLED = """
import os, signal, sys
from pathlib import Path
from pipeline.files import published, write_text
with published(Path(sys.argv[1])) as partial:
    write_text(partial / "new.txt", "half") if sys.argv[2] == "folder" else partial.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_a_process_that_is_killed_leaves_the_old(tmp_path: Path, kind: str) -> None:
    target = tmp_path / "out"
    old = target / "old.txt" if kind == "folder" else target
    write_text(old, "old")
    ended = subprocess.run([sys.executable, "-c", KILLED, str(target), kind], cwd=Path(__file__).parents[1])
    assert ended.returncode == -signal.SIGKILL
    assert old.read_text() == "old"
    assert not (target / "new.txt").exists()
    assert names(tmp_path) == [".out.partial", "out"]


def test_a_copy_is_no_hard_link_and_leaves_the_original_writable(tmp_path: Path) -> None:
    original, twin = tmp_path / "a.tif", tmp_path / "deep" / "down" / "b.tif"
    original.write_bytes(b"pixels")
    original.chmod(0o644)
    copy(original, twin)
    assert twin.read_bytes() == b"pixels"
    assert twin.stat().st_ino != original.stat().st_ino
    assert original.stat().st_nlink == 1
    twin.chmod(0o444)  # as DVC does to what it caches
    assert original.stat().st_mode & 0o777 == 0o644
    original.write_bytes(b"changed")
    assert twin.read_bytes() == b"pixels"


def test_a_copy_of_a_read_only_original_is_writable(tmp_path: Path) -> None:
    original = tmp_path / "a.tif"
    original.write_bytes(b"pixels")
    original.chmod(0o444)
    copy(original, tmp_path / "b.tif")
    assert (tmp_path / "b.tif").stat().st_mode & 0o200


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


def test_hidden_files_are_not_seen_and_the_order_is_that_of_the_paths(tmp_path: Path) -> None:
    for name in ("b/1.tif", "a.tif", ".hidden", ".git/config", "b/.DS_Store", "B.tif"):
        write_text(tmp_path / name, "")
    found = [path.relative_to(tmp_path).as_posix() for path in visible_files(tmp_path)]
    assert found == ["B.tif", "a.tif", "b/1.tif"]


def test_links_to_folders_are_followed_but_not_in_a_circle(tmp_path: Path) -> None:
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
    found = [path.relative_to(root).as_posix() for path in visible_files(root)]
    assert found == ["a/1.tif", "a/b/2.tif", "b/2.tif", "b/a/1.tif", "c/3.tif", "d/3.tif"]


@pytest.mark.parametrize("kind", ["pipe", "folder"])
def test_a_pipe_is_not_waited_for(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "a.tif") if kind == "pipe" else (tmp_path / "a.tif").mkdir()
    with pytest.raises(OSError, match="it is no file but a folder, a pipe, a socket or a device"):
        copy(tmp_path / "a.tif", tmp_path / "b.tif")
    assert names(tmp_path) == ["a.tif"]


def test_files_below_a_hidden_folder_are_seen_when_it_is_the_one_asked_for(tmp_path: Path) -> None:
    write_text(tmp_path / ".cache" / "a.tif", "")
    assert visible_files(tmp_path / ".cache") == [tmp_path / ".cache" / "a.tif"]


def test_json_comes_back_and_has_no_nan(tmp_path: Path) -> None:
    write_json(tmp_path / "a.json", {"name": "(semi)natural é", "value": 1.5})
    assert (tmp_path / "a.json").read_text(encoding="utf-8") == '{\n  "name": "(semi)natural é",\n  "value": 1.5\n}\n'
    assert read_json(tmp_path / "a.json") == {"name": "(semi)natural é", "value": 1.5}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "a.json", float("nan"))
    assert read_json(tmp_path / "a.json") == {"name": "(semi)natural é", "value": 1.5}


def test_sha256_is_that_of_the_bytes(tmp_path: Path) -> None:
    (tmp_path / "a").write_bytes(b"abc")
    assert sha256(tmp_path / "a") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


def test_partial_names_lie_beside_the_target_so_that_renaming_is_atomic(tmp_path: Path) -> None:
    with published(tmp_path / "out.csv") as partial:
        assert partial.parent == tmp_path
        assert os.fspath(partial.name) == ".out.csv.partial"
        partial.touch()
