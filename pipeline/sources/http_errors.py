"""Interpret HTTP responses and errors: the file, a retry, or a failure."""

import time
from dataclasses import dataclass
from email.utils import parsedate_to_datetime

import requests

from pipeline.core.errors import PipelineError, StageError

BUSY = (429, 500, 502, 503, 504)
LONGEST_WAIT = 120.0
"""Longest Retry-After to wait for, in seconds."""


class RefusedError(PipelineError):
    """The server will not send the file."""

    def __init__(self, text: str, status: int) -> None:
        super().__init__(text)
        self.status = status


class BrokenTransferError(Exception):
    """A transfer that is worth a retry, after `wait` seconds if the server gives a number."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait


def require_file(response: requests.Response, origin: str) -> None:
    """Check that a response contains the file.

    Raises:
        RefusedError: retries are useless: gone, forbidden, or a web page such as a login.
        BrokenTransferError: the server is busy; with the Retry-After in seconds.
        StageError: the Retry-After is too long for a stage; requests for other files would fail too.
    """
    status = response.status_code
    if status in BUSY or status == 416:
        wait = retry_after(response)
        if wait is not None and wait > LONGEST_WAIT:
            raise StageError(f"{origin}: HTTP {status}; {retry_advice(wait)}")
        raise BrokenTransferError(f"HTTP {status}", wait)
    if status not in (200, 206):
        raise RefusedError(f"{origin}: HTTP {status} {response.reason or ''}".rstrip(), status)
    if response.headers.get("Content-Type", "").startswith("text/html"):
        advice = "open its URL in a browser"
        raise RefusedError(f"{origin}: the server sent a web page, such as a login, instead of it; {advice}", status)


@dataclass(frozen=True)
class Version:
    """The version of a file on a server (RFC 9110, 8.8); empty where the server gives none."""

    etag: str = ""
    modified: str = ""
    """`Last-Modified`."""
    date: str = ""
    """Date of the response."""

    @classmethod
    def of(cls, response: requests.Response) -> "Version":
        """Read the version from the headers of a response."""
        return cls(*(response.headers.get(name, "") for name in ("ETag", "Last-Modified", "Date")))

    @property
    def condition(self) -> dict[str, str]:
        """The header that requests the rest of this version, or else the whole of another one.

        Empty where no header is safe: a weak ETag does not guarantee equal bytes, and a file may have changed twice in
        the second of its date.
        """
        if self.etag:
            return {} if self.etag.startswith("W/") else {"If-Range": self.etag}
        sent, modified = _seconds(self.date), _seconds(self.modified)
        return {"If-Range": self.modified} if sent and modified and modified < sent else {}

    def differs(self, other: "Version") -> bool:
        """Return whether both have an ETag or a date, and not the same."""
        etags, dates = {self.etag, other.etag} - {""}, {self.modified, other.modified} - {""}
        return len(etags) > 1 or len(dates) > 1


def content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Parse first byte and total length from `Content-Range: bytes 5-9/10` or `bytes */10`; None where missing."""
    unit, _, rest = response.headers.get("Content-Range", "").partition(" ")
    span, _, total = rest.partition("/")
    start = span.partition("-")[0]
    if unit != "bytes":
        return None, None
    return int(start) if start.isdecimal() else None, int(total) if total.isdecimal() else None


def describe_error(error: Exception) -> str:
    """Describe an error without its URL, whose query may contain a key."""
    text = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        return "its certificate is not valid"
    if isinstance(error, requests.exceptions.ProxyError):
        return "cannot connect to the proxy"
    if isinstance(error, requests.ReadTimeout) or "Read timed out" in text:
        return "timeout"
    if isinstance(error, requests.ConnectTimeout) or "Failed to" in text or "NewConnectionError" in text:
        return "cannot connect"
    return "connection lost"


def retry_advice(seconds: float) -> str:
    """Advise on a server that requires a longer wait than a stage allows."""
    return f"the server allows a retry after {seconds:.0f} s; run again then"


def retry_after(response: requests.Response) -> float | None:
    """Return Retry-After in seconds, from a number or a date (RFC 9110, 10.2.3); None without one."""
    text = response.headers.get("Retry-After", "").strip()
    if text.isdecimal():
        return float(text)
    date = _seconds(text)
    return None if date is None else max(date - time.time(), 0.0)


def _seconds(date: str) -> float | None:
    """Convert an HTTP date to seconds since 1970; None if it is invalid."""
    try:
        return parsedate_to_datetime(date).timestamp()
    except (ValueError, TypeError):
        return None
