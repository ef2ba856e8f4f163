"""Download a file over HTTP, whole or not at all; resume broken transfers.

`urllib3.Retry` repeats a request before its body, and resumes no body: of the eight sequences of faults that
`tests/sources/test_transfer.py` resumes it passes one. So the loop is ours, for busy servers too: its attempts count
from the last byte received, whatever broke.
"""

import fcntl
import hashlib
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import BinaryIO

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from pipeline.core.errors import PipelineError, StageError
from pipeline.sources.http_errors import (
    BrokenTransferError,
    Version,
    content_length,
    content_range,
    describe_error,
    require_file,
)
from pipeline.sources.transfer_statistics import TransferStatistics

TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and to wait for data."""
ATTEMPTS = 6
"""Consecutive attempts without progress before a file fails."""
SPARE = 256 * 1024 * 1024
"""Bytes to leave free on the disk."""
MAX_UNKNOWN = 1 << 30
"""Largest body without a known length, in bytes."""
CHUNK = 1 << 18
BROKEN = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)
USER_AGENT = "land-cover-segmentation-pipeline/1"
"""Sent with every request of every source: some servers respond 403 to a client without one."""
IDENTITY = {"Accept-Encoding": "identity"}
"""Request uncompressed bytes, so that Content-Length is the size of the file."""


@dataclass(frozen=True)
class Remote:
    """A file on a server."""

    url: str
    origin: str
    """Its name relative to the source, for the manifest and messages."""
    size: int | None = None
    """Bytes, if a listing gives them."""
    checksum: tuple[str, str] | None = None
    """hashlib algorithm and hex digest, if known."""
    advice: str = ""
    """What to do when the checksum is always wrong."""


def new_session(connections: int, retries: Retry | int = 0) -> requests.Session:
    """Create a session for up to `connections` threads; proxies come from the environment."""
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    for prefix in ("http://", "https://"):
        session.mount(prefix, HTTPAdapter(pool_maxsize=connections, max_retries=retries))
    return session


class WrongContentError(PipelineError):
    """The received bytes are not those of the file."""


class Transfer:
    """Download files to a folder that outlives the run."""

    def __init__(self, session: requests.Session, statistics: TransferStatistics) -> None:
        self.session = session
        self.statistics = statistics
        self.timeout = TIMEOUT
        self.backoff = 0.5
        """Seconds before the second attempt, doubled for each further one."""

    def fetch(self, remote: Remote, target: Path, verify: Callable[[Path], None] | None = None) -> None:
        """Download `remote` to `target`, or resume the download of an earlier run.

        The bytes go to `TARGET.part` and their version to `TARGET.part.json`, so that versions are never mixed. The
        part is renamed once it has the expected length and checksum and passes `verify`. A second process that
        downloads the same file waits for the first.

        Raises:
            WrongContentError: length, checksum or `verify` fails; the part is removed.
            PipelineError: no attempt succeeds, the server refuses, or the disk is too small; the part is kept for the
                next call.
        """
        part = target.with_name(f"{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part) as writer:
            if target.exists():
                _remove(part)
                self.statistics.add_reused()
                return
            try:
                self._receive(remote, writer)
                _check(remote, part, verify)
            except PipelineError as error:
                if isinstance(error, WrongContentError) or not writer.tell():
                    _remove(part)
                raise
            part.rename(target)
            _version_file(part).unlink(missing_ok=True)

    def length(self, remote: Remote) -> int | None:
        """Return the size of the file in bytes, from a listing or a HEAD request; None if unknown."""
        if remote.size is not None:
            return remote.size
        try:
            response = self.session.head(remote.url, headers=IDENTITY, timeout=self.timeout, allow_redirects=True)
        except (requests.RequestException, ValueError):  # if it matters, the download reports it
            return None
        return content_length(response) if response.ok else None

    def _receive(self, remote: Remote, writer: BinaryIO) -> None:
        """Retry until the body is complete; attempts that received bytes do not count."""
        attempts, longest = 0, writer.tell()
        while True:
            try:
                self._resume(remote, writer)
                return
            except BrokenTransferError as error:
                attempts = 0 if writer.tell() > longest else attempts + 1
                longest = max(longest, writer.tell())
                if attempts >= ATTEMPTS:
                    raise PipelineError(f"{remote.origin}: {error}; {attempts} attempts failed, run again") from None
                time.sleep(self.backoff * 2 ** max(attempts - 1, 0) if error.wait is None else error.wait)

    def _resume(self, remote: Remote, writer: BinaryIO) -> None:
        """Request the missing bytes and append them."""
        start = writer.tell()
        if start and start == remote.size:
            return
        stored = _stored_version(writer) if start else Version()
        headers = IDENTITY | ({"Range": f"bytes={start}-"} | stored.condition if start else {})
        with self._get(remote, headers) as response:
            if response.status_code == 416:
                if start and content_range(response)[1] == start:
                    return  # complete
                _truncate(writer)  # of another file
            require_file(response, remote.origin)
            version, resumed = Version.of(response), response.status_code == 206
            first, total = content_range(response) if resumed else (0, content_length(response))
            if resumed and (first != start or stored.differs(version)):
                _truncate(writer)
                raise BrokenTransferError(f"the server did not resume the same file at byte {start}")
            if not resumed and remote.size is not None and total not in (None, remote.size):  # the part may be good
                sent = f"the server sends {total} bytes, but its listing has {remote.size}"
                raise PipelineError(f"{remote.origin}: {sent}")
            total = remote.size if total is None else total
            if total is not None:
                require_space(Path(writer.name).parent, total - start)
            if not resumed:
                _truncate(writer)  # the body is the whole file
                _version_file(Path(writer.name)).write_text(json.dumps(asdict(version)), encoding="utf-8")
            self._append(response, writer, total, remote.origin)

    def _get(self, remote: Remote, headers: dict[str, str]) -> requests.Response:
        try:
            return self.session.get(remote.url, headers=headers, stream=True, timeout=self.timeout)
        except BROKEN as error:
            raise BrokenTransferError(describe_error(error)) from None
        except (requests.RequestException, ValueError):  # whose text may contain a key
            raise PipelineError(f"{remote.origin}: invalid URL or redirect loop") from None

    def _append(self, response: requests.Response, writer: BinaryIO, total: int | None, origin: str) -> None:
        """Append the body to a file of `total` bytes, if known."""
        limit = MAX_UNKNOWN if total is None else total
        try:
            for chunk in iter(lambda: response.raw.read1(CHUNK), b""):  # keeps what arrives before an error
                if writer.tell() + len(chunk) > limit:
                    raise WrongContentError(f"{origin}: received more than {limit} bytes")
                writer.write(chunk)
                self.statistics.add(len(chunk))
        except BROKEN as error:
            raise BrokenTransferError(describe_error(error)) from None
        finally:
            writer.flush()
        if total is not None and writer.tell() < total:
            raise BrokenTransferError(f"received only {writer.tell()} of {total} bytes")


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """Open `part` to append, once no other process has it open."""
    while True:
        with part.open("ab") as writer:
            fcntl.flock(writer, fcntl.LOCK_EX)  # released when the process ends
            # otherwise the other process has finished it
            if part.exists() and os.path.samestat(part.stat(), os.fstat(writer.fileno())):
                yield writer
                return


def require_space(folder: Path, size: int) -> None:
    """Check that `size` bytes fit on the disk of `folder`, which exists.

    Raises:
        StageError: they do not.
    """
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise StageError(
            f"{folder} has {free / 1e9:.2f} GB free, but {(size + SPARE) / 1e9:.2f} GB are needed; "
            "free disk space, or set PIPELINE_CACHE to a folder on a larger disk"
        )


def _version_file(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _stored_version(writer: BinaryIO) -> Version:
    """Read the version of the bytes received earlier; empty if unknown."""
    try:
        return Version(**json.loads(_version_file(Path(writer.name)).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # written by an older version of this project, or incomplete
        return Version()


def _remove(part: Path) -> None:
    for path in (part, _version_file(part)):
        path.unlink(missing_ok=True)


def _truncate(writer: BinaryIO) -> None:
    writer.seek(0)
    writer.truncate()


def _check(remote: Remote, part: Path, verify: Callable[[Path], None] | None) -> None:
    size = part.stat().st_size
    if remote.size is not None and size != remote.size:
        raise WrongContentError(f"{remote.origin}: received {size} bytes, expected {remote.size}; removed")
    if remote.checksum is not None:
        algorithm, expected = remote.checksum
        with part.open("rb") as reader:
            digest = hashlib.file_digest(reader, algorithm).hexdigest()
        if digest != expected:
            text = f"{remote.origin}: {algorithm} is {digest}, expected {expected}; removed{remote.advice}"
            raise WrongContentError(text)
    if verify is not None:
        try:
            verify(part)
        except StageError:
            raise
        except PipelineError as error:
            raise WrongContentError(str(error)) from None
