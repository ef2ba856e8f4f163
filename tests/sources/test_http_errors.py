import time
from email.utils import formatdate

import pytest
import requests

from pipeline.core.errors import PipelineError, StageError
from pipeline.sources.http_errors import BrokenTransferError, content_range, describe_error, require_file


def response(status: int = 200, **headers: str) -> requests.Response:
    made = requests.Response()
    made.status_code = status
    made.reason = "Reason"
    made.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return made


@pytest.mark.parametrize("status", [200, 206])
def test_a_response_with_the_file_passes(status: int) -> None:
    require_file(response(status, Content_Type="image/tiff"), "a.tif")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_a_permanent_error_is_not_retried(status: int) -> None:
    with pytest.raises(PipelineError, match=f"^a.tif: HTTP {status} Reason$"):
        require_file(response(status), "a.tif")


def test_a_web_page_is_refused() -> None:
    with pytest.raises(PipelineError, match="a.tif: the server sent a web page, such as a login"):
        require_file(response(Content_Type="text/html; charset=utf-8"), "a.tif")


@pytest.mark.parametrize(
    ("header", "least", "most"),
    [
        ("7", 7, 7),
        ("120", 120, 120),
        ("in a minute", 50, 61),
        (formatdate(0, usegmt=True), 0, 0),
    ],
)
@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_the_wait_is_the_retry_after_of_a_busy_server(status: int, header: str, least: float, most: float) -> None:
    header = formatdate(time.time() + 60, usegmt=True) if header == "in a minute" else header
    with pytest.raises(BrokenTransferError, match=f"HTTP {status}") as error:
        require_file(response(status, Retry_After=header), "a.tif")
    assert error.value.wait is not None
    assert least <= error.value.wait <= most


@pytest.mark.parametrize(("header", "seconds"), [("121", "121"), ("86400", "86400"), ("in an hour", "3[56][0-9]{2}")])
def test_a_long_retry_after_ends_the_stage(header: str, seconds: str) -> None:
    header = formatdate(time.time() + 3600, usegmt=True) if header == "in an hour" else header
    with pytest.raises(
        StageError, match=f"^a.tif: HTTP 503; the server allows a retry after {seconds} s; run again then$"
    ):
        require_file(response(503, Retry_After=header), "a.tif")


@pytest.mark.parametrize("header", ["", "soon", "-5"])
def test_an_invalid_retry_after_is_ignored(header: str) -> None:
    with pytest.raises(BrokenTransferError) as error:
        require_file(response(503, Retry_After=header), "a.tif")
    assert error.value.wait is None


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
    assert content_range(response(206, Content_Range=header)) == expected


def test_the_description_of_an_error_does_not_contain_its_url() -> None:
    url = "http://host/?key=secret"
    texts = [
        describe_error(requests.ConnectionError(f"NewConnectionError: {url}")),
        describe_error(requests.ConnectTimeout(url)),
        describe_error(requests.ReadTimeout(url)),
        describe_error(requests.exceptions.ProxyError(url)),
        describe_error(requests.exceptions.SSLError(url)),
        describe_error(requests.ConnectionError(f"Connection aborted. {url}")),
    ]
    assert texts == [
        "cannot connect",
        "cannot connect",
        "timeout",
        "cannot connect to the proxy",
        "its certificate is not valid",
        "connection lost",
    ]
