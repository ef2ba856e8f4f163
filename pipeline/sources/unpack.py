"""Unpack untrusted archives: nothing outside the folder, nothing beyond limits."""

import gzip
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, reraise_stage_errors
from pipeline.sources.transfer import require_space


@dataclass(frozen=True)
class Limits:
    """Limits of an archive."""

    members: int = 1_000_000
    total: int = 64 * 10**9
    """Unpacked bytes."""
    ratio: int = 1000
    """Compression ratio; deflate reaches 1032."""


LIMITS = Limits()
CHUNK = 1 << 20
SLACK = 1 << 20
"""Unpacked bytes allowed at any ratio."""
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError,
           UnicodeDecodeError, ValueError)  # fmt: skip
"""Errors of the standard library on damaged archives."""


def safe_path(name: str) -> PurePosixPath:
    """Return the path of a member, relative to the archive's root.

    Raises:
        PipelineError: it is absolute, outside the root, or not a path.
    """
    path = PurePosixPath(name)
    absolute = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name)
    if absolute or ".." in path.parts or "\\" in name or not path.parts or not name.isprintable():
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
        return [member.filename for member in opened.infolist() if not member.is_dir()]


def unzip(archive: Path, folder: Path, limits: Limits = LIMITS) -> Iterator[Path | Failure]:
    """Unpack a zip below `folder`; yield the relative path of each file, or a failure.

    Links, devices, unsafe paths and damaged members fail; the other members are unpacked.

    Raises:
        PipelineError: it is not a zip, or exceeds the limits.
    """
    with _open_zip(archive) as opened:
        members = [member for member in opened.infolist() if not member.filename.endswith("/")]
        size = sum(member.file_size for member in members)
        _require_limits(archive, len(members), size, limits)
        require_space(folder, size)
        for member in members:
            yield _unzip_one(opened, member, folder, limits)


def _unzip_one(archive: zipfile.ZipFile, member: zipfile.ZipInfo, folder: Path, limits: Limits) -> Path | Failure:
    try:
        path = Path(safe_path(member.filename))
        kind = stat.S_IFMT(member.external_attr >> 16)
        if kind not in (0, stat.S_IFREG):
            raise PipelineError(f"the member {member.filename!r} is a link or a device, not a file")
        if member.file_size > SLACK + limits.ratio * member.compress_size:
            raise PipelineError(
                f"the member {member.filename!r} declares {member.file_size} bytes in {member.compress_size} packed"
            )
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
    """Write a member, at most its declared size; remove it if it is damaged."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        undo.callback(target.unlink, missing_ok=True)
        with archive.open(member) as reader, target.open("wb") as writer:
            while chunk := reader.read(CHUNK):
                if writer.tell() + len(chunk) > member.file_size:
                    raise PipelineError(f"the member {member.filename!r} contains more bytes than declared")
                writer.write(chunk)
            if writer.tell() < member.file_size:
                raise PipelineError(f"the member {member.filename!r} contains fewer bytes than declared")
        undo.pop_all()


def read_tar(archive: Path, largest: int, limits: Limits = LIMITS) -> Iterator[tuple[PurePosixPath, bytes] | Failure]:
    """Read each file of a tar.gz with its path, without writing to disk.

    Links, devices, unsafe paths and files larger than `largest` bytes fail.

    Raises:
        PipelineError: it is damaged, or exceeds the limits; earlier files have been yielded by then.
    """
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
            for number, member in enumerate(opened, 1):
                _require_limits(archive, number, stream.tell() + max(member.size, 0), limits)
                if not member.isdir():
                    yield _read_one(opened, member, largest)
            while stream.read(CHUNK):  # to the end, so that gzip verifies its checksum
                _require_limits(archive, 0, stream.tell(), limits)
    except DAMAGED as error:
        reraise_stage_errors(error)
        raise PipelineError(f"{archive} is not a readable tar.gz: {error}") from None


def _read_one(archive: tarfile.TarFile, member: tarfile.TarInfo, largest: int) -> tuple[PurePosixPath, bytes] | Failure:
    try:
        path = safe_path(member.name)
    except PipelineError as error:
        return Failure(member.name, str(error))
    if not member.isreg():
        return Failure(member.name, f"the member {member.name!r} is a link or a device, not a file")
    if member.size > largest:
        return Failure(
            member.name, f"the member {member.name!r} has {member.size} bytes; at most {largest} are allowed"
        )
    reader = archive.extractfile(member)
    return path, reader.read() if reader else b""


def _require_limits(archive: Path, members: int, size: int, limits: Limits) -> None:
    if members > limits.members or size > limits.total:
        raise PipelineError(
            f"{archive} contains at least {members} files of {size / 1e9:.1f} GB; at most {limits.members} files and "
            f"{limits.total / 1e9:.0f} GB are allowed"
        )
    if size > SLACK + limits.ratio * archive.stat().st_size:
        raise PipelineError(f"{archive} unpacks to more than {limits.ratio} times its size, more than allowed")
