"""Atomic files and folders: complete or absent, never partial.

Libraries such as atomicwrites replace files; none was found that replaces a folder and recovers from a kill meanwhile.
"""

import errno
import fcntl
import glob
import hashlib
import json
import os
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError

NEW, OLD, LOCK = "new", "old", "lock"
"""Contents of the hidden staging folder: the new output, the old one while it is being replaced, the lock file."""
STALE_AFTER = 24 * 3600.0
"""Seconds after which a staging folder without a lock is taken to be left by a killed process."""


@contextmanager
def atomic_path(target: Path) -> Iterator[Path]:
    """Yield a temporary path beside `target`, for a file or a folder; rename it to `target` at the end of the block.

    If the block raises or the process is killed, `target` is unchanged. Several processes may write the same target:
    each has its own temporary path, and the last to finish wins. The next call removes what a killed process left
    behind, and restores a folder that was moved aside when the process was killed.

    Args:
        target: the file or folder to write; replaced if it exists. Its parent is created.

    Yields:
        A path that does not exist, on the same file system as `target`.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.{'?' * 8}.partial"):
        _remove_stale(leftover, target)
    with _staging_folder(target) as folder:
        yield folder / NEW
        _replace(target, folder)


@contextmanager
def _staging_folder(target: Path) -> Iterator[Path]:
    """Create a hidden folder beside `target`, locked during the block and then removed."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        with (folder / "unlocked").open("w") as lock:
            with suppress(OSError):  # without file locks, only age identifies stale folders
                fcntl.flock(lock, fcntl.LOCK_EX)  # released when the process ends, however it ends
            (folder / "unlocked").rename(folder / LOCK)  # only now, so that no process finds it unlocked
            try:
                yield folder
            finally:
                _restore(target, folder)
                remove(folder / OLD)  # under the lock, so that no other process restores half of it
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _remove_stale(leftover: Path, target: Path) -> None:
    """Remove the staging folder of a process that no longer runs, on whichever machine it ran."""
    try:
        with (leftover / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _restore(target, leftover)
            remove(leftover / OLD)
    except BlockingIOError:
        return
    except OSError:  # no lock file: just created, killed at that moment, or a file system without locks
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime < STALE_AFTER:
                return
    shutil.rmtree(leftover, ignore_errors=True)


def _replace(target: Path, folder: Path) -> None:
    """Rename the new output to `target`; a non-empty folder cannot be renamed over, so it is moved aside first."""
    while True:
        try:
            (folder / NEW).rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
                raise
        remove(folder / OLD)  # from the previous iteration: another process has written `target` since
        with suppress(FileNotFoundError):  # another process has just moved it aside
            target.rename(folder / OLD)


def _restore(target: Path, folder: Path) -> None:
    """Move the old output back to `target` unless it was replaced."""
    if (folder / OLD).exists() and not target.exists():
        try:
            (folder / OLD).rename(target)
        except OSError:
            if not target.exists():  # else another process was faster
                raise


def remove(path: Path) -> None:
    """Remove a file or folder if it exists."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def existing_parent(path: Path) -> Path:
    """Return the closest folder above a path that exists; it may be a file."""
    return next(parent for parent in path.absolute().parents if parent.exists())


def require_writable_parent(path: Path, name: str) -> None:
    """Check that a file can be created, in a folder that may not exist yet, before there is anything to write.

    Args:
        path: of the file.
        name: of the file in the message, such as `-o map.tif`.

    Raises:
        PipelineError: it cannot.
    """
    folder = existing_parent(path)
    if not folder.is_dir() or not os.access(folder, os.W_OK | os.X_OK):
        raise PipelineError(f"{name} cannot be written: {folder} is not a folder that you may write to")


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically.

    Raises:
        OSError: `path` is a folder, or cannot be written.
    """
    if path.is_dir():
        raise OSError(errno.EISDIR, "this is a folder; name a file", str(path))
    with atomic_path(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write indented JSON atomically, keys in the given order; NaN is an error."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON that this project wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def copy(source: Path, target: Path) -> None:
    """Copy a file's content, sharing blocks where the file system can, as btrfs and XFS do for copy_file_range(2).

    Never a hard link: DVC makes cached files read-only, and a link would do that to the user's original.

    Raises:
        OSError: `source` cannot be read, or is a pipe (which would block), a socket or a device.
    """
    if not stat.S_ISREG(source.stat().st_mode):
        raise OSError(errno.EINVAL, "it is a folder, a pipe, a socket or a device, not a file", str(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    if sys.platform == "linux":
        with source.open("rb") as reader, target.open("wb") as writer, suppress(OSError):
            while os.copy_file_range(reader.fileno(), writer.fileno(), 1 << 30):
                pass
            if os.fstat(writer.fileno()).st_size >= os.fstat(reader.fileno()).st_size:
                return  # on some network and FUSE file systems, old kernels copy nothing without an error
    shutil.copyfile(source, target)


def link(source: Path, target: Path) -> None:
    """Hard-link a file that this project wrote and never edits; copy it where that is impossible."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
            raise
        copy(source, target)


def sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def visible_files(folder: Path) -> list[Path]:
    """List all files below `folder`, sorted by path, without hidden files and folders.

    Links are followed, except to a folder that contains the link.
    """
    return sorted(_walk(folder, frozenset()))


def _walk(folder: Path, ancestors: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """Yield the visible files below `folder`; `ancestors` are (device, inode) of the folders above it."""
    status = folder.stat()
    visited = ancestors | {(status.st_dev, status.st_ino)}
    if visited == ancestors:
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _walk(path, visited)
        else:
            yield path
