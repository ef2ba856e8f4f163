"""Interpret HTTP responses and errors: the file, a retry, or a failure."""

import re
from dataclasses import dataclass

import requests
from urllib3.exceptions import InvalidHeader
from urllib3.util import Retry

from pipeline.core.errors import PipelineError, StageError

BUSY = (429, 500, 502, 503, 504)
LONGEST_WAIT = 120.0
"""Longest Retry-After to wait for, in seconds."""
ERRORS = {
    "LocationParseError": "its URL is not valid",
    "InvalidHeader": "its Retry-After is not valid",
    "SSLError": "its certificate is not valid",
    "ProxyError": "cannot connect to the proxy",
    "ReadTimeout": "timeout",
    "Read timed out": "timeout",
    "ConnectTimeout": "cannot connect",
    "NewConnectionError": "cannot connect",
    "Failed to": "cannot connect",
}
"""Descriptions of errors by a part of their name or text."""


class BrokenTransferError(Exception):
    """A transfer that is worth a retry, after `wait` seconds if the server gives a number."""

    def __init__(self, text: str, wait: float | None = None) -> None:
        super().__init__(text)
        self.wait = wait


def require_file(response: requests.Response, origin: str) -> None:
    """Check that a response contains the file.

    Raises:
        PipelineError: retries are useless: gone, forbidden, or a web page such as a login.
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
        raise PipelineError(f"{origin}: HTTP {status} {response.reason or ''}".rstrip())
    if response.headers.get("Content-Type", "").startswith("text/html"):
        problem = "the server sent a web page, such as a login, instead of it"
        raise PipelineError(f"{origin}: {problem}; open its URL in a browser")


@dataclass(frozen=True)
class Version:
    """The version of a file on a server (RFC 9110, 8.8); empty where the server gives none."""

    etag: str = ""
    modified: str = ""
    """`Last-Modified`."""

    @classmethod
    def of(cls, response: requests.Response) -> "Version":
        """Read the version from the headers of a response."""
        return cls(response.headers.get("ETag", ""), response.headers.get("Last-Modified", ""))

    @property
    def condition(self) -> dict[str, str]:
        """The header that requests the rest of this version, or else the whole of another one.

        Empty with a weak ETag, which no server may match. A date is sent even if the file may have changed twice in its
        second (RFC 9110, 8.8.2.2, advises against it): without it, the rest would come of any version.
        """
        validator = self.etag or self.modified
        return {"If-Range": validator} if validator and not validator.startswith("W/") else {}

    def differs(self, other: "Version") -> bool:
        """Return whether both have an ETag or a date, and not the same."""
        etags, dates = {self.etag, other.etag} - {""}, {self.modified, other.modified} - {""}
        return len(etags) > 1 or len(dates) > 1


def content_length(response: requests.Response) -> int | None:
    """Parse the length of the body in bytes; None where missing."""
    length = response.headers.get("Content-Length", "")
    return int(length) if length.isdecimal() else None


def content_range(response: requests.Response) -> tuple[int | None, int | None]:
    """Parse first byte and total length from `Content-Range: bytes 5-9/10` or `bytes */10`; None where missing."""
    match = re.fullmatch(r"bytes (?:(\d+)-\d+|\*)/(?:(\d+)|\*)", response.headers.get("Content-Range", ""))
    start, total = match.groups() if match else (None, None)
    return int(start) if start else None, int(total) if total else None


def describe_error(error: Exception) -> str:
    """Describe an error without its URL, whose query may contain a key."""
    text = f"{type(error).__name__} {error}"
    return next((description for part, description in ERRORS.items() if part in text), "connection lost")


def retry_advice(seconds: float) -> str:
    """Advise on a server that requires a longer wait than a stage allows."""
    return f"the server allows a retry after {seconds:.0f} s; run again then"


def retry_after(response: requests.Response) -> float | None:
    """Return Retry-After in seconds, from a number or a date (RFC 9110, 10.2.3); None without a valid one."""
    try:
        return Retry(retry_after_max=10**9).parse_retry_after(response.headers["Retry-After"])
    except (KeyError, InvalidHeader, ValueError, OverflowError):  # the last two: of an impossible date
        return None
