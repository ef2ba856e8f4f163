"""Headers and errors of HTTP are read right: Retry-After, Content-Range, and a cause without the URL and its key."""

import time
from email.utils import formatdate

import pytest
import requests
from urllib3.exceptions import LocationParseError

from pipeline.sources.http_errors import content_range, describe_error, retry_after


def response(**headers: str) -> requests.Response:
    made = requests.Response()
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("7", 7),
        ("86400", 86400),
        ("in an hour", pytest.approx(3600, abs=60)),
        (formatdate(0, usegmt=True), 0),
        *((invalid, None) for invalid in ("", "soon", "-5", "Mon, 01 Jan 99999 00:00:00 GMT", "9" * 5000)),
    ],
)
def test_retry_after(header: str, seconds: float | None) -> None:
    header = formatdate(time.time() + 3600, usegmt=True) if header == "in an hour" else header
    assert retry_after(response(Retry_After=header)) == seconds


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("bytes 5-9/10", (5, 10)),
        ("bytes 5-9/*", (5, None)),
        ("bytes */10", (None, 10)),
        ("items 5-9/10", (None, None)),
        ("bytes x-9/y", (None, None)),
        ("", (None, None)),
    ],
)
def test_content_range(header: str, expected: tuple[int | None, int | None]) -> None:
    assert content_range(response(Content_Range=header)) == expected


@pytest.mark.parametrize(
    ("error", "description"),
    [
        (requests.ConnectionError("NewConnectionError: {url}"), "cannot connect"),
        (requests.ConnectTimeout("{url}"), "cannot connect"),
        (requests.ReadTimeout("{url}"), "timeout"),
        (requests.exceptions.ProxyError("{url}"), "cannot connect to the proxy"),
        (requests.exceptions.SSLError("{url}"), "its certificate is not valid"),
        (LocationParseError("{url}"), "its URL is not valid"),
        (requests.exceptions.InvalidHeader("{url}"), "its Retry-After is not valid"),
        (requests.ConnectionError("Connection aborted. {url}"), "connection lost"),
    ],
)
def test_the_description_of_an_error_does_not_contain_its_url(error: Exception, description: str) -> None:
    error.args = (str(error).format(url="http://host/?key=secret"),)
    assert describe_error(error) == description
