"""Files and folders that appear whole or not at all."""

import errno
import fcntl
import glob
import hashlib
import json
import shutil
import stat
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file (btrfs, xfs, bcachefs)
NEW, OLD, LOCK = "new", "old", "lock"
"""What the hidden folder of a file or folder in the making holds; the old one while the new takes its place."""
ABANDONED = 24 * 3600.0
"""Seconds after which such a folder without a lock is taken for a killed process's."""


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write a file or a folder to; rename it to `target` at the end.

    When the block raises, or the process is killed, `target` is what it was before. Each call writes to a name of its
    own, so that several processes may publish the same target: the last one to end prevails, whole. What a killed
    process left is removed by the next call, which also puts a folder back that was moved aside in that instant.

    Args:
        target: where the finished file or folder shall be; what stands there is replaced.

    Yields:
        A path that does not exist, on the disk of `target`, whose folder is made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    for leftover in target.parent.glob(f".{glob.escape(target.name)}.{'?' * 8}.partial"):
        _clear(leftover, target)
    with _own_folder(target) as folder:
        yield folder / NEW
        _replace(target, folder)


@contextmanager
def _own_folder(target: Path) -> Iterator[Path]:
    """A hidden folder beside `target`, locked for as long as the block runs, then removed."""
    folder = Path(tempfile.mkdtemp(prefix=f".{target.name}.", suffix=".partial", dir=target.parent))
    try:
        with (folder / "unlocked").open("w") as lock:
            with suppress(OSError):  # on a file system without locks age alone tells what was left over
                fcntl.flock(lock, fcntl.LOCK_EX)  # goes with the process, however that ends
            (folder / "unlocked").rename(folder / LOCK)  # so that nobody finds it before it is locked
            try:
                yield folder
            finally:
                _put_back(target, folder)
                remove(folder / OLD)  # under the lock: nobody else may put half of it back
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _clear(leftover: Path, target: Path) -> None:
    """Remove the folder of a process that is gone, on whichever machine it ran."""
    try:
        with (leftover / LOCK).open("r+") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            _put_back(target, leftover)
            remove(leftover / OLD)
    except BlockingIOError:
        return
    except OSError:  # no lock to ask: in the making, killed in that instant, or on a file system without locks
        with suppress(FileNotFoundError):
            if time.time() - leftover.stat().st_mtime < ABANDONED:
                return
    shutil.rmtree(leftover, ignore_errors=True)


def _replace(target: Path, folder: Path) -> None:
    """Rename what is new to `target`; a folder with content is moved aside, since it cannot be renamed over."""
    while True:
        try:
            (folder / NEW).rename(target)
            return
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST, errno.EISDIR, errno.ENOTDIR):
                raise
        remove(folder / OLD)  # of an earlier round, in whose place another process has published since
        with suppress(FileNotFoundError):  # another process has just moved it aside
            target.rename(folder / OLD)


def _put_back(target: Path, folder: Path) -> None:
    """Give `target` back what was moved aside, if nothing took its place."""
    if (folder / OLD).exists() and not target.exists():
        try:
            (folder / OLD).rename(target)
        except OSError:
            if not target.exists():  # else another process was faster
                raise


def remove(path: Path) -> None:
    """Remove a file or a folder, if there is one."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write `text` in UTF-8 to `path`, whole or not at all."""
    with published(path) as partial:
        partial.write_text(text, encoding="utf-8", newline="\n")


def write_json(path: Path, value: Any) -> None:
    """Write `value` as indented JSON, keys in the order given; NaN is refused, since JSON has none."""
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def read_json(path: Path) -> Any:
    """Read JSON that this project wrote."""
    return json.loads(path.read_text(encoding="utf-8"))


def copy(source: Path, target: Path) -> None:
    """Copy a file's bytes to `target`, sharing blocks where the file system can.

    Never a hard link: DVC makes what it caches read-only, and a link would do that to the user's original.

    Raises:
        OSError: `source` cannot be read, or is a pipe, at which a reader waits for ever, a socket or a device.
    """
    if not stat.S_ISREG(source.stat().st_mode):
        raise OSError(errno.EINVAL, "it is no file but a folder, a pipe, a socket or a device", str(source))
    target.parent.mkdir(parents=True, exist_ok=True)
    if not (sys.platform == "linux" and _reflink(source, target)):
        shutil.copyfile(source, target)


def link(source: Path, target: Path) -> None:
    """Let `target` be a second name of a file that this project made and never edits; a copy on another disk."""
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOTSUP, errno.ENOSYS):
            raise
        copy(source, target)


def _reflink(source: Path, target: Path) -> bool:
    unsupported = {errno.EOPNOTSUPP, errno.ENOTTY, errno.EXDEV, errno.EINVAL, errno.ENOSYS, errno.EPERM}
    with source.open("rb") as reader, target.open("wb") as writer:
        try:
            fcntl.ioctl(writer.fileno(), FICLONE, reader.fileno())
        except OSError as error:
            if error.errno not in unsupported:
                raise
            return False
    return True


def sha256(path: Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with path.open("rb") as reader:
        return hashlib.file_digest(reader, "sha256").hexdigest()


def visible_files(folder: Path) -> list[Path]:
    """Every file below `folder`, sorted by its path, hidden ones (a leading dot in any part) left out.

    Links are followed, but not into a folder that they lie in.
    """
    return sorted(_files(folder, frozenset()))


def _files(folder: Path, above: frozenset[tuple[int, int]]) -> Iterator[Path]:
    """The visible files below `folder`; `above` are device and inode of the folders on the way to it."""
    status = folder.stat()
    here = above | {(status.st_dev, status.st_ino)}
    if here == above:
        return
    for path in folder.iterdir():
        if path.name.startswith("."):
            continue
        if path.is_dir():
            yield from _files(path, here)
        else:
            yield path
