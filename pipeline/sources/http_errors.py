"""What a server's answer means: the file, another try, or the end."""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import requests

from pipeline.core.errors import PipelineError, StageError

BUSY = (429, 500, 502, 503, 504)
LONGEST_WAIT = 120.0
"""Seconds: the longest Retry-After that is waited for."""


class RefusedError(PipelineError):
    """The server will not give the file."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class BrokenTransferError(Exception):
    """A transfer that is worth another try; the text says what happened."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait


def refuse(response: requests.Response, origin: str) -> None:
    """Pass only an answer that brings the file.

    Raises:
        RefusedError: it never will: gone, forbidden, or a page for people such as a login.
        BrokenTransferError: the server is busy; with the seconds that it asks to wait.
        StageError: it asks to wait for longer than a stage should; other files would be asked for in vain.
    """
    status = response.status_code
    if status in BUSY or status == 416:
        wait = retry_after(response)
        if wait is not None and wait > LONGEST_WAIT:
            raise StageError(f"{origin}: the server answers {status} and {asks_to_wait(wait)}")
        raise BrokenTransferError(f"the server answers {status}", wait)
    if status not in (200, 206):
        raise RefusedError(f"{origin}: the server answers {status} {response.reason or ''}".rstrip(), status)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        said = f"{origin}: the server sends a web page in its place, such as a login; open it in a browser"
        raise RefusedError(said, status)


@dataclass(frozen=True)
class Version:
    """What a server says of which version of a file it sends (RFC 9110, 8.8); empty for what it does not say."""

    etag: str = ""
    modified: str = ""
    """`Last-Modified`."""
    date: str = ""
    """When the server said so."""

    @classmethod
    def of(cls, response: requests.Response) -> "Version":
        """The version that an answer brings."""
        return cls(*(response.headers.get(name, "") for name in ("ETag", "Last-Modified", "Date")))

    @property
    def condition(self) -> dict[str, str]:
        """The header that asks for the rest of this version alone, else for the whole of another one.

        None where it may not be sent: a weak ETag says that two files are alike, not that they are equal, and a file
        may have changed twice in the second of its date.
        """
        if self.etag:
            return {} if self.etag.startswith("W/") else {"If-Range": self.etag}
        said, changed = _seconds(self.date), _seconds(self.modified)
        return {"If-Range": self.modified} if said and changed and changed < said else {}

    def differs(self, other: "Version") -> bool:
        """Whether both say something, and not the same."""
        etags, dates = {self.etag, other.etag} - {""}, {self.modified, other.modified} - {""}
        return len(etags) > 1 or len(dates) > 1


def content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """First byte and whole length by `Content-Range: bytes 5-9/10` or `bytes */10`; None for what it does not tell."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit != "bytes":
        return None, None
    return int(start) if start.isdecimal() else None, int(total) if total.isdecimal() else None


def in_words(error: Exception) -> str:
    """What happened, without the address, in whose query a key may stand."""
    text = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not accepted"
    if isinstance(error, requests.exceptions.ProxyError):
        return "the proxy does not connect"
    if isinstance(error, requests.ReadTimeout) or "Read timed out" in text:
        return "no byte came for too long"
    if isinstance(error, requests.ConnectTimeout) or "Failed to" in text or "NewConnectionError" in text:
        return "no connection"
    return "the connection broke"


def asks_to_wait(seconds: float) -> str:
    """What a server wants that asks for more time than there is."""
    return f"asks to wait {seconds:.0f} s; run again then"


def retry_after(response: requests.Response) -> float | None:
    """The seconds that a server asks to wait, from a number or a date (RFC 9110, 10.2.3); None if it does not."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    then = _seconds(text)
    return None if then is None else max(then - time.time(), 0.0)


def _seconds(date: str) -> float | None:
    """A date of HTTP in seconds since 1970; None if it is none."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return None
