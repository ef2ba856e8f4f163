import time
from email.utils import formatdate

import pytest
import requests

from pipeline.core.errors import PipelineError, StageError
from pipeline.sources.http_errors import BrokenTransferError, content_range, in_words, refuse


def answer(status: int = 200, **headers: str) -> requests.Response:
    response = requests.Response()
    response.status_code = status
    response.reason = "Reason"
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    return response


@pytest.mark.parametrize("status", [200, 206])
def test_an_answer_with_the_file_passes(status: int) -> None:
    refuse(answer(status, Content_Type="image/tiff"), "a.tif")


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 410])
def test_an_answer_that_will_stay_is_final(status: int) -> None:
    with pytest.raises(PipelineError, match=f"^a.tif: the server answers {status} Reason$"):
        refuse(answer(status), "a.tif")


def test_a_web_page_is_no_file() -> None:
    with pytest.raises(PipelineError, match="a.tif: the server sends a web page in its place, such as a login"):
        refuse(answer(Content_Type="text/html; charset=utf-8"), "a.tif")


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
def test_a_busy_server_says_how_long_to_wait(status: int, header: str, least: float, most: float) -> None:
    header = formatdate(time.time() + 60, usegmt=True) if header == "in a minute" else header
    with pytest.raises(BrokenTransferError, match=f"the server answers {status}") as error:
        refuse(answer(status, Retry_After=header), "a.tif")
    assert error.value.wait is not None
    assert least <= error.value.wait <= most


@pytest.mark.parametrize(("header", "seconds"), [("121", "121"), ("86400", "86400"), ("in an hour", "3[56][0-9]{2}")])
def test_a_server_that_asks_for_more_time_than_a_stage_has_ends_it(header: str, seconds: str) -> None:
    header = formatdate(time.time() + 3600, usegmt=True) if header == "in an hour" else header
    with pytest.raises(
        StageError, match=f"^a.tif: the server answers 503 and asks to wait {seconds} s; run again then$"
    ):
        refuse(answer(503, Retry_After=header), "a.tif")


@pytest.mark.parametrize("header", ["", "soon", "-5"])
def test_without_a_time_the_wait_is_ours(header: str) -> None:
    with pytest.raises(BrokenTransferError) as error:
        refuse(answer(503, Retry_After=header), "a.tif")
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
def test_the_range_of_an_answer(header: str, expected: tuple[int | None, int | None]) -> None:
    assert content_range(answer(206, Content_Range=header)) == expected


def test_the_words_for_an_error_hold_no_address() -> None:
    url = "http://host/?key=secret"
    said = [
        in_words(requests.ConnectionError(f"NewConnectionError: {url}")),
        in_words(requests.ConnectTimeout(url)),
        in_words(requests.ReadTimeout(url)),
        in_words(requests.exceptions.ProxyError(url)),
        in_words(requests.exceptions.SSLError(url)),
        in_words(requests.ConnectionError(f"Connection aborted. {url}")),
    ]
    assert said == [
        "no connection",
        "no connection",
        "no byte came for too long",
        "the proxy does not connect",
        "its certificate is not accepted",
        "the connection broke",
    ]
