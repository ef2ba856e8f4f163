"""Archives that may be hostile: nothing leaves the folder, nothing grows without end."""

import gzip
import re
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, reraise_stage_errors
from pipeline.sources.transfer import require_space


@dataclass(frozen=True)
class Limits:
    """How much an archive may hold."""

    members: int = 1_000_000
    total: int = 64 * 10**9
    """Bytes, unpacked."""
    ratio: int = 1000
    """Unpacked bytes for each packed one; deflate itself reaches 1032."""


LIMITS = Limits()
CHUNK = 1 << 20
SLACK = 1 << 20
"""Unpacked bytes that any archive may have, whatever their ratio."""
DAMAGED = (zipfile.BadZipFile, tarfile.TarError, zlib.error, EOFError, OSError, NotImplementedError, RuntimeError,
           UnicodeDecodeError, ValueError)  # fmt: skip
"""What the standard library raises on damaged archives."""


def safe_path(name: str) -> PurePosixPath:
    """The path of a member, relative to the archive's root.

    Raises:
        PipelineError: it is absolute, climbs out, or is no path at all.
    """
    path = PurePosixPath(name)
    absolute = name.startswith(("/", "\\")) or re.match(r"[A-Za-z]:", name)
    if absolute or ".." in path.parts or "\\" in name or not path.parts or not name.isprintable():
        raise PipelineError(f"the member {name!r} leaves the archive's folder; nothing outside it is written")
    return path


def unzip(archive: Path, folder: Path, limits: Limits = LIMITS) -> Iterator[Path | Failure]:
    """Unpack a zip below `folder`; yield each file's path relative to it, or what was refused or is damaged.

    Links and devices are refused by name, the good files stay.

    Raises:
        PipelineError: it is no zip, or exceeds the limits.
    """
    try:
        opened = zipfile.ZipFile(archive)
    except DAMAGED as error:
        reraise_stage_errors(error)
        raise PipelineError(f"{archive} is no readable zip: {error}; remove it and run again") from None
    with opened:
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
                f"the member {member.filename!r} claims {member.file_size} bytes in {member.compress_size}"
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
    """Write the bytes that the archive's table promises of a member, and no more; leave nothing of a damaged one."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with ExitStack() as undo:
        undo.callback(target.unlink, missing_ok=True)
        with archive.open(member) as reader, target.open("wb") as writer:
            while chunk := reader.read(CHUNK):
                if writer.tell() + len(chunk) > member.file_size:
                    raise PipelineError(f"the member {member.filename!r} holds more than the bytes it claims")
                writer.write(chunk)
            if writer.tell() < member.file_size:
                raise PipelineError(f"the member {member.filename!r} holds fewer than the bytes it claims")
        undo.pop_all()


def read_tar(archive: Path, largest: int, limits: Limits = LIMITS) -> Iterator[tuple[PurePosixPath, bytes] | Failure]:
    """Each file of a tar.gz, by its path, without writing anything to disk.

    Links, devices, paths that climb out and files of more than `largest` bytes are refused by name.

    Raises:
        PipelineError: it is damaged, or exceeds the limits; files before that were given already.
    """
    try:
        with gzip.open(archive) as stream, tarfile.open(fileobj=stream, mode="r:") as opened:
            for number, member in enumerate(opened, 1):
                _require_limits(archive, number, stream.tell() + max(member.size, 0), limits)
                if not member.isdir():
                    yield _read_one(opened, member, largest)
            while stream.read(CHUNK):  # to the end, where gzip keeps its checksum
                _require_limits(archive, 0, stream.tell(), limits)
    except DAMAGED as error:
        reraise_stage_errors(error)
        raise PipelineError(f"{archive} is no readable tar.gz: {error}") from None


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
            f"{archive} holds {members} files of {size / 1e9:.1f} GB or more; at most {limits.members} files and "
            f"{limits.total / 1e9:.0f} GB are unpacked"
        )
    if size > SLACK + limits.ratio * archive.stat().st_size:
        raise PipelineError(f"{archive} unpacks to more than {limits.ratio} times its size; it is refused")
