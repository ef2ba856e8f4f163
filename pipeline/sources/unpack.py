"""Unpack untrusted archives: nothing outside the folder, nothing beyond limits.

The standard library's own guards fall short: `zipfile` renames `../a.tif` to `a.tif`, over another of this name, and
`tarfile.data_filter` renames `/a.json`, lets links pass and takes six times as long per member as `safe_path`.
"""

import gzip
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from lzma import LZMAError
from pathlib import Path, PurePosixPath

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, reraise_stage_errors
from pipeline.sources.transfer import require_space

MEMBERS = 1_000_000
"""The most files of an archive."""
TOTAL = 64 * 10**9
"""The most unpacked bytes."""
RATIO = 1000
"""The largest compression ratio; deflate reaches 1032."""
SLACK = 1 << 20
"""Unpacked bytes allowed at any ratio."""
CHUNK = 1 << 20
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, LZMAError, EOFError, OSError, RuntimeError, ValueError)
"""Errors of the standard library on damaged archives."""


def safe_path(name: str) -> PurePosixPath:
    """Return the path of a member, relative to the archive's root.

    Raises:
        PipelineError: it is absolute, outside the root, or not a path.
    """
    path = PurePosixPath(name)
    absolute = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name)
    if absolute or ".." in path.parts or "\\" in name or not name.isprintable():
        raise PipelineError(f"the member {name!r} is outside the archive's folder and is not unpacked")
    return path


@contextmanager
def _open_zip(archive: Path) -> Iterator[zipfile.ZipFile]:
    try:
        opened = zipfile.ZipFile(archive)
    except DAMAGED as error:
        reraise_stage_errors(error)
        raise PipelineError(f"{archive} is not a readable zip: {error}; remove it and run again") from None
    with opened:
        yield opened


def member_names(archive: Path) -> list[str]:
    """List the paths in a zip as they are in it, safe or not, without folders.

    Raises:
        PipelineError: it is not a zip.
    """
    with _open_zip(archive) as opened:
        return [member.filename for member in _files(opened)]


def _files(archive: zipfile.ZipFile) -> list[zipfile.ZipInfo]:
    """Return the members that are no folders; before Python 3.12 `is_dir` fails on an empty name."""
    return [member for member in archive.infolist() if not member.filename.endswith("/")]


def unzip(archive: Path, folder: Path) -> Iterator[Path | Failure]:
    """Unpack a zip below `folder`; yield the relative path of each file, or a failure.

    Links, devices, unsafe paths and damaged members fail; the other members are unpacked.

    Raises:
        PipelineError: it is not a zip, or exceeds the limits.
    """
    with _open_zip(archive) as opened:
        members = _files(opened)
        size = sum(member.file_size for member in members)  # no more is ever read
        _require_limits(archive, len(members), size)
        require_space(folder, size)
        for member in members:
            yield _unzip_one(opened, member, folder)


def _unzip_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path) -> Path | Failure:
    try:
        path = Path(safe_path(member.filename))
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise PipelineError(f"the member {member.filename!r} is a link or a device, not a file")
        if (folder / path).exists():
            raise PipelineError(f"the member {member.filename!r} occurs twice")
        _copy(archive, member, folder / path)
    except PipelineError as error:
        return Failure(member.filename, str(error))
    except DAMAGED as error:
        reraise_stage_errors(error)
        return Failure(member.filename, f"the member {member.filename!r} is damaged: {error}")
    return path


def _copy(archive: zipfile.ZipFile, member: zipfile.ZipInfo, target: Path) -> None:
    """Write a member; remove it if it is damaged."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with archive.open(member) as reader, target.open("wb") as writer:
        try:
            shutil.copyfileobj(reader, writer, CHUNK)
        except DAMAGED:
            target.unlink()
            raise


def read_tar(archive: Path, largest: int) -> Iterator[tuple[PurePosixPath, bytes] | Failure]:
    """Read each file of a tar.gz with its path, without writing to disk.

    Links, devices, unsafe paths and files larger than `largest` bytes fail.

    Raises:
        PipelineError: it is damaged, or exceeds the limits; earlier files have been yielded by then.
    """
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
            for number, member in enumerate(opened, 1):
                _require_limits(archive, number, stream.tell() + member.size)
                if not member.isdir():
                    yield _read_one(opened, member, largest)
            while stream.read(CHUNK):  # to the end, so that gzip verifies its checksum
                _require_limits(archive, 0, stream.tell())
    except DAMAGED as error:
        reraise_stage_errors(error)
        raise PipelineError(f"{archive} is not a readable tar.gz: {error}") from None


def _read_one(archive: tarfile.TarFile, member: tarfile.TarInfo, largest: int) -> tuple[PurePosixPath, bytes] | Failure:
    try:
        path = safe_path(member.name)
        reader = archive.extractfile(member) if member.isreg() else None
        if reader is None:
            raise PipelineError(f"the member {member.name!r} is a link or a device, not a file")
        if member.size > largest:
            raise PipelineError(f"the member {member.name!r} has {member.size} bytes; at most {largest} are allowed")
        return path, reader.read()
    except PipelineError as error:
        return Failure(member.name, str(error))


def _require_limits(archive: Path, members: int, size: int) -> None:
    if members > MEMBERS or size > TOTAL:
        raise PipelineError(
            f"{archive} contains at least {members} files of {size / 1e9:.1f} GB; at most {MEMBERS} files and "
            f"{TOTAL / 1e9:.0f} GB are allowed"
        )
    if size > SLACK + RATIO * archive.stat().st_size:
        raise PipelineError(f"{archive} unpacks to more than {RATIO} times its size, more than allowed")
