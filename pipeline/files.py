"""Files and folders that appear whole or not at all."""

import errno
import hashlib
import json
import shutil
import stat
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

FICLONE = 0x40049409  # linux/fs.h: share the blocks of another file (btrfs, xfs, bcachefs)


@contextmanager
def published(target: Path) -> Iterator[Path]:
    """Give a path beside `target` to write a file or a folder to; rename it to `target` at the end.

    When the block raises, or the process is killed, `target` is what it was before. A folder is moved aside for its
    replacement; a process that is killed in that instant leaves it aside, and the next call puts it back.

    Args:
        target: where the finished file or folder shall be; what stands there is replaced.

    Yields:
        A path that does not exist, in the folder of `target`, which is made.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    partial, replaced = (target.with_name(f".{target.name}.{kind}") for kind in ("partial", "replaced"))
    _tidy(target, partial, replaced)
    try:
        yield partial
        if target.is_dir():  # a folder with content cannot be renamed over
            target.rename(replaced)
        partial.rename(target)
    finally:
        _tidy(target, partial, replaced)


def _tidy(target: Path, partial: Path, replaced: Path) -> None:
    """Put back what was moved aside if nothing took its place, and remove the rest."""
    if replaced.exists() and not target.exists():
        replaced.rename(target)
    for leftover in (partial, replaced):
        remove(leftover)


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
    import fcntl  # not on every platform

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
