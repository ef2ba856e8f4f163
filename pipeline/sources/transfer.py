"""One file over HTTP, whole or not at all, on a line that breaks."""

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

from pipeline.core.errors import PipelineError, StageError
from pipeline.sources.http_errors import BrokenTransferError, Version, content_range, in_words, refuse
from pipeline.sources.transfer_statistics import TransferStatistics

TIMEOUT = (5.0, 30.0)
"""Seconds to connect, and between two bytes."""
ATTEMPTS = 6
"""Tries without a single byte of progress before a file is given up."""
SPARE = 256 * 1024 * 1024
"""Bytes of the disk that are left free."""
MOST_UNKNOWN = 1 << 30
"""Bytes of a body whose length nobody told."""
CHUNK = 1 << 18
BROKEN = (requests.ConnectionError, requests.Timeout, urllib3.exceptions.HTTPError)
USER_AGENT = "land-cover-segmentation-pipeline/1"
"""Who asks, in every request of every source: some servers answer 403 to a client that does not say."""
IDENTITY = {"Accept-Encoding": "identity"}
"""Asks for the file's own bytes, whose number is then known."""


@dataclass(frozen=True)
class Remote:
    """A file on a server."""

    url: str
    origin: str
    """Its name relative to the source, as the manifest and messages say it."""
    size: int | None = None
    """Bytes, if a listing told them."""
    checksum: tuple[str, str] | None = None
    """Algorithm of hashlib and hex digest, if they are known."""
    advice: str = ""
    """What to do when the checksum is wrong every time."""


def new_session(connections: int) -> requests.Session:
    """A session without retries of its own, for up to `connections` threads; proxies come from the environment."""
    session = requests.Session()
    session.headers["User-Agent"] = USER_AGENT
    for prefix in ("http://", "https://"):
        session.mount(prefix, HTTPAdapter(pool_maxsize=connections))
    return session


class WrongContentError(PipelineError):
    """What has come is not the file."""


class Transfer:
    """Fetches files into a folder that outlives the run."""

    def __init__(self, session: requests.Session, statistics: TransferStatistics) -> None:
        self.session = session
        self.statistics = statistics
        self.timeout = TIMEOUT
        self.backoff = 0.5
        """Seconds before the second try; doubled for each one after that."""

    def fetch(self, remote: Remote, target: Path, verify: Callable[[Path], None] | None = None) -> None:
        """Bring `remote` to `target`, continuing what an earlier run began.

        The bytes go to `TARGET.part`, and which version of the file they are of to `TARGET.part.json`, so that no other
        version's are appended. The part is renamed when it has the length and the checksum that were promised and
        `verify`, given that path, has no objection. A second process at the same file waits for the first.

        Raises:
            WrongContentError: what came is not the file that was promised; it is removed.
            PipelineError: the line keeps breaking, the server is busy or refuses, or the disk is too small; what came
                is kept, and the next call continues it.
        """
        part = target.with_name(f"{target.name}.part")
        target.parent.mkdir(parents=True, exist_ok=True)
        with _locked(part) as writer:
            if target.exists():
                _remove(part)
                self.statistics.reuse()
                return
            try:
                self._receive(remote, writer)
                _check(remote, part, verify)
            except PipelineError as error:
                if isinstance(error, WrongContentError) or not writer.tell():
                    _remove(part)
                raise
            part.rename(target)
            _note_of(part).unlink(missing_ok=True)

    def length(self, remote: Remote) -> int | None:
        """The file's bytes, as a listing or the server's answer to HEAD tells; None if neither does."""
        if remote.size is not None:
            return remote.size
        try:
            answer = self.session.head(remote.url, headers=IDENTITY, timeout=self.timeout, allow_redirects=True)
        except (requests.RequestException, ValueError):  # where it matters, the transfer says what is wrong
            return None
        length = answer.headers.get("Content-Length", "")
        return int(length) if answer.ok and length.isdecimal() else None

    def _receive(self, remote: Remote, writer: BinaryIO) -> None:
        """Try until the body is whole; a try that brought bytes does not count."""
        tries, most = 0, writer.tell()
        while True:
            try:
                self._continue(remote, writer)
                return
            except BrokenTransferError as error:
                tries = 0 if writer.tell() > most else tries + 1
                most = max(most, writer.tell())
                if tries >= ATTEMPTS:
                    raise PipelineError(f"{remote.origin}: {error}; gave up after {tries} tries, run again") from None
                time.sleep(self.backoff * 2 ** max(tries - 1, 0) if error.wait is None else error.wait)

    def _continue(self, remote: Remote, writer: BinaryIO) -> None:
        """Ask for what is missing, and append it."""
        have = writer.tell()
        if have and have == remote.size:
            return
        noted = _noted(writer) if have else Version()
        headers = IDENTITY | ({"Range": f"bytes={have}-"} | noted.condition if have else {})
        with self._ask(remote, headers) as response:
            if response.status_code == 416:
                if have and content_range(response)[1] == have:
                    return  # nothing is missing
                _empty(writer)  # what is here is not of this file
            refuse(response, remote.origin)
            total = _expected(response, remote, writer)
            found = Version.of(response)
            if response.status_code == 206 and noted.differs(found):
                _empty(writer)
                raise BrokenTransferError("the server has another version of the file by now")
            if total is not None:
                require_space(Path(writer.name).parent, total - have)
            if response.status_code != 206:
                _empty(writer)  # it starts again from the first byte
                _note_of(Path(writer.name)).write_text(json.dumps(asdict(found)), encoding="utf-8")
            self._append(response, writer, total, remote.origin)

    def _ask(self, remote: Remote, headers: dict[str, str]) -> requests.Response:
        try:
            return self.session.get(remote.url, headers=headers, stream=True, timeout=self.timeout)
        except BROKEN as error:
            raise BrokenTransferError(in_words(error)) from None
        except (requests.RequestException, ValueError):  # whose text may hold a key
            raise PipelineError(f"{remote.origin}: its address leads nowhere, or in a circle") from None

    def _append(self, response: requests.Response, writer: BinaryIO, total: int | None, origin: str) -> None:
        """Write the body; `total` is what the file's length will be, if that is known."""
        most = MOST_UNKNOWN if total is None else total
        try:
            for chunk in iter(lambda: response.raw.read1(CHUNK), b""):  # what has come, also when the rest does not
                if writer.tell() + len(chunk) > most:
                    raise WrongContentError(f"{origin}: more than the {most} bytes came that may")
                writer.write(chunk)
                self.statistics.add(len(chunk))
        except BROKEN as error:
            raise BrokenTransferError(in_words(error)) from None
        finally:
            writer.flush()
        if total is not None and writer.tell() < total:
            raise BrokenTransferError(f"the body ended after {writer.tell()} of {total} bytes")


@contextmanager
def _locked(part: Path) -> Iterator[BinaryIO]:
    """`part`, open to append, once no other process is at it."""
    while True:
        with part.open("ab") as writer:
            fcntl.flock(writer, fcntl.LOCK_EX)  # goes with the process, however that ends
            if part.exists() and os.path.samestat(part.stat(), os.fstat(writer.fileno())):  # not another's, finished
                yield writer
                return


def require_space(folder: Path, size: int) -> None:
    """Check that `size` bytes fit on the disk of `folder`, which exists.

    Raises:
        StageError: they do not; how much is needed and what to do.
    """
    free = shutil.disk_usage(folder).free
    if size + SPARE > free:
        raise StageError(
            f"{folder} has {free / 1e9:.2f} GB free, but {(size + SPARE) / 1e9:.2f} GB are needed; "
            "make room, or set PIPELINE_CACHE to a folder on a larger disk"
        )


def _expected(response: requests.Response, remote: Remote, writer: BinaryIO) -> int | None:
    """The file's whole length, if it is known; a server that continues elsewhere is asked again from the first byte."""
    have = writer.tell()
    if response.status_code == 206:
        start, total = content_range(response)
        if start != have:
            _empty(writer)
            raise BrokenTransferError(f"the server did not continue at byte {have}")
    else:
        length = response.headers.get("Content-Length", "")
        total = int(length) if length.isdecimal() else None
    if remote.size is not None and total is not None and total != remote.size:
        said = f"{remote.origin}: the server sends {total} bytes; its listing promised {remote.size}"
        # a part of a file that is another one now; but a whole body may be a message that says nothing of the part
        raise WrongContentError(said) if response.status_code == 206 else PipelineError(said)
    return total if total is not None else remote.size


def _note_of(part: Path) -> Path:
    return part.with_name(f"{part.name}.json")


def _noted(writer: BinaryIO) -> Version:
    """Which version of the file an earlier answer brought, as far as that is known."""
    try:
        return Version(**json.loads(_note_of(Path(writer.name)).read_text(encoding="utf-8")))
    except (FileNotFoundError, ValueError, TypeError):  # of an older version of this project, or cut off
        return Version()


def _remove(part: Path) -> None:
    for path in (part, _note_of(part)):
        path.unlink(missing_ok=True)


def _empty(writer: BinaryIO) -> None:
    writer.seek(0)
    writer.truncate()


def _check(remote: Remote, part: Path, verify: Callable[[Path], None] | None) -> None:
    size = part.stat().st_size
    if remote.size is not None and size != remote.size:
        raise WrongContentError(f"{remote.origin}: {size} bytes came; {remote.size} were promised; they were removed")
    if remote.checksum is not None:
        algorithm, expected = remote.checksum
        with part.open("rb") as reader:
            found = hashlib.file_digest(reader, algorithm).hexdigest()
        if found != expected:
            said = f"{remote.origin}: its {algorithm} is {found}; expected {expected}; it was removed{remote.advice}"
            raise WrongContentError(said)
    if verify is not None:
        try:
            verify(part)
        except StageError:
            raise
        except PipelineError as error:
            raise WrongContentError(str(error)) from None
