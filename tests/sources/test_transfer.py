"""A broken or killed download resumes; a changed file never mixes versions; a wrong file is removed, in one line."""

import hashlib
import multiprocessing
import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError, StageError
from pipeline.sources import transfer as module
from pipeline.sources.transfer import USER_AGENT, Remote, Transfer, new_session
from pipeline.sources.transfer_statistics import TransferStatistics
from tests.sources.faulty import FAR, Fault, Server, served

BODY = bytes(range(256)) * 4096


@pytest.fixture
def server() -> Iterator[Server]:
    with served(Server()) as running:
        running.bodies["/a.tif"] = BODY
        yield running


def quick(statistics: TransferStatistics | None = None) -> Transfer:
    transfer = Transfer(new_session(2), statistics or TransferStatistics())
    transfer.backoff, transfer.timeout = 0.001, (1.0, 0.3)
    return transfer


def fetch(server: Server, folder: Path, **facts: object) -> Path:
    target = folder / "a.tif"
    quick().fetch(Remote(f"{server.url}/a.tif", "a.tif", **facts), target)  # type: ignore[arg-type]
    return target


def refusal(server: Server, folder: Path, **facts: object) -> str:
    with pytest.raises(PipelineError) as error:
        fetch(server, folder, **facts)
    assert sum(path.stat().st_size for path in folder.iterdir()) == 0
    return str(error.value)


def test_a_file_is_requested_once_by_our_user_agent(server: Server, tmp_path: Path) -> None:
    statistics = TransferStatistics()
    for _ in range(2):
        quick(statistics).fetch(Remote(f"{server.url}/a.tif", "a.tif"), tmp_path / "a.tif")
    assert (tmp_path / "a.tif").read_bytes() == BODY
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]
    assert [received.headers["User-Agent"] for received in server.received] == [USER_AGENT]
    assert (statistics.received, statistics.reused) == (len(BODY), 1)


@pytest.mark.parametrize(("part", "missing"), [(BODY[:1_000_000], 48_576), (BODY, 0), (BODY * 2, len(BODY))])
def test_only_missing_bytes_are_sent(server: Server, tmp_path: Path, part: bytes, missing: int) -> None:
    (tmp_path / "a.tif.part").write_bytes(part)
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.sent == missing


@pytest.mark.parametrize(
    ("faults", "gets"),
    [
        ([Fault("drop", 1000)], 2),
        ([Fault("drop", 100_000)] * 20, 11),  # attempts with progress do not count
        ([Fault("drop", 0)] * 5, 6),
        ([Fault("stall", 300_000)], 2),
        ([Fault("status", 500), Fault("status", 503)], 3),
        ([Fault("drop", 1000), Fault("no_range")], 2),
        ([Fault("drop", 1000), Fault("wrong_range")], 3),
        ([Fault("lie", FAR)], 2),
    ],
)
def test_a_broken_transfer_is_resumed(server: Server, tmp_path: Path, faults: list[Fault], gets: int) -> None:
    server.faults["/a.tif"] = list(faults)
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert len(server.received) == gets


def test_a_retry_after_is_respected(server: Server, tmp_path: Path) -> None:
    server.faults["/a.tif"] = [Fault("status", 429, ("Retry-After", "1"))]
    began = time.monotonic()
    fetch(server, tmp_path)
    assert time.monotonic() - began >= 1


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("status", 404), "a.tif: HTTP 404 Not Found"),
        (Fault("status", 500), "a.tif: HTTP 500; 6 attempts failed, run again"),
        (Fault("drop", 0), "a.tif: received only 0 of 1048576 bytes; 6 attempts failed, run again"),
    ],
)
def test_a_permanent_error_is_one_line(server: Server, tmp_path: Path, fault: Fault, words: str) -> None:
    server.faults["/a.tif"] = [fault] * 6
    message = refusal(server, tmp_path)
    assert message.replace("connection lost", "received only 0 of 1048576 bytes") == words


def test_a_wrong_checksum_is_refused_and_the_file_removed(server: Server, tmp_path: Path) -> None:
    right = hashlib.sha256(BODY).hexdigest()
    message = refusal(server, tmp_path, checksum=("sha256", "0" * 64))
    assert message == f"a.tif: sha256 is {right}, expected {'0' * 64}; removed"
    assert fetch(server, tmp_path, checksum=("sha256", right)).exists()


def test_a_body_of_another_length_than_in_the_listing_is_refused(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.tif.part").write_bytes(BODY[:1000])
    server.faults["/a.tif"] = [Fault("no_range")]
    with pytest.raises(PipelineError) as error:
        fetch(server, tmp_path, size=len(BODY) + 1)
    assert str(error.value) == "a.tif: the server sends 1048576 bytes, but its listing has 1048577"
    assert (tmp_path / "a.tif.part").read_bytes() == BODY[:1000]  # it may be of the right file


def test_a_file_that_fails_verification_is_removed(server: Server, tmp_path: Path) -> None:
    def verify(path: Path) -> None:
        raise PipelineError(f"{path.name} is not an image")

    with pytest.raises(PipelineError, match="a.tif.part is not an image"):
        quick().fetch(Remote(f"{server.url}/a.tif", "a.tif"), tmp_path / "a.tif", verify)
    assert list(tmp_path.iterdir()) == []


def test_the_message_for_a_dead_host_does_not_contain_the_url(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^a.tif: cannot connect; 6 attempts failed, run again$"):
        quick().fetch(Remote("http://127.0.0.1:9/a.tif?key=secret", "a.tif"), tmp_path / "a.tif")


@pytest.mark.parametrize("size", [None, 12345])
def test_the_length_comes_from_the_listing_or_the_server(server: Server, size: int | None) -> None:
    assert quick().length(Remote(f"{server.url}/a.tif", "a.tif", size)) == (size or len(BODY))
    assert quick().length(Remote(f"{server.url}/gone.tif", "a.tif", size)) == size
    assert quick().length(Remote("http://[bad", "a.tif", size)) == size


def _fetch_slowly(url: str, target: Path) -> None:
    quick().fetch(Remote(url, "a.tif"), target)


def test_the_download_of_a_killed_process_is_resumed(server: Server, tmp_path: Path) -> None:
    server.faults["/a.tif"] = [Fault("stall", 524_288)]
    child = multiprocessing.get_context("spawn").Process(
        target=_fetch_slowly, args=(f"{server.url}/a.tif", tmp_path / "a.tif")
    )
    child.start()
    while not server.sent:
        time.sleep(0.01)
    time.sleep(0.1)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    size = (tmp_path / "a.tif.part").stat().st_size
    assert 0 < size < len(BODY)
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.received[-1].headers["Range"] == f"bytes={size}-"


def test_two_processes_download_a_file_only_once(server: Server, tmp_path: Path) -> None:
    context = multiprocessing.get_context("spawn")
    children = [
        context.Process(target=_fetch_slowly, args=(f"{server.url}/a.tif", tmp_path / "a.tif")) for _ in range(2)
    ]
    for child in children:
        child.start()
    for child in children:
        child.join()
    assert [child.exitcode for child in children] == [0, 0]
    assert (server.sent, [path.name for path in tmp_path.iterdir()]) == (len(BODY), ["a.tif"])


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (Fault("html"), "a.tif: the server sent a web page, such as a login, instead of it; open its URL in a browser"),
        (Fault("status", 401), "a.tif: HTTP 401 Unauthorized"),
        (Fault("status", 403), "a.tif: HTTP 403 Forbidden"),
        (
            Fault("status", 429, ("Retry-After", "3600")),
            "a.tif: HTTP 429; the server allows a retry after 3600 s; run again then",
        ),
        (Fault("status", 302, ("Location", "http://[bad")), "a.tif: invalid URL or redirect loop"),
        (Fault("status", 302, ("Location", "/a.tif")), "a.tif: invalid URL or redirect loop"),
    ],
)
def test_the_part_is_kept_when_the_server_refuses_the_rest(
    server: Server, tmp_path: Path, fault: Fault, words: str
) -> None:
    (tmp_path / "a.tif.part").write_bytes(BODY[:1_000_000])
    server.faults["/a.tif"] = [fault] * 40
    with pytest.raises(PipelineError) as error:
        fetch(server, tmp_path)
    assert str(error.value) == words
    server.faults["/a.tif"] = []
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.received[-1].headers["Range"] == "bytes=1000000-"


def test_the_part_is_kept_when_the_disk_is_too_small_for_the_rest(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tif.part").write_bytes(BODY[:1_000_000])
    for fault in (Fault("none"), Fault("no_range")):
        server.faults["/a.tif"] = [fault]
        with (
            monkeypatch.context() as patch,
            pytest.raises(StageError, match="GB free, but .* GB are needed; free disk space, or set PIPELINE_CACHE"),
        ):
            patch.setattr(module, "SPARE", 10**18)
            fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.received[-1].headers["Range"] == "bytes=1000000-"


def test_a_part_of_another_file_is_removed(server: Server, tmp_path: Path) -> None:
    for facts in ({"checksum": ("sha256", hashlib.sha256(BODY).hexdigest())}, {"size": len(BODY) + 1}):
        (tmp_path / "a.tif.part").write_bytes(b"x" * 1_000_000)
        refusal(server, tmp_path, **facts)
        assert list(tmp_path.iterdir()) == []


OTHER = bytes(reversed(BODY))
MONDAY, TUESDAY = (f"{day} Jan 2024 00:00:00 GMT" for day in ("Mon, 01", "Tue, 02"))


def break_off(server: Server, tmp_path: Path, version: dict[str, str]) -> None:
    """Fetch 300,000 bytes of the file, as an earlier run did."""
    server.versions["/a.tif"] = version
    server.faults["/a.tif"] = [Fault("drop", 300_000), *[Fault("status", 503)] * 6]
    with pytest.raises(PipelineError, match="6 attempts failed, run again"):
        fetch(server, tmp_path)
    assert (tmp_path / "a.tif.part").stat().st_size == 300_000


@pytest.mark.parametrize(
    ("version", "condition"),
    [
        ({"ETag": '"1"'}, '"1"'),
        ({"ETag": '"1"', "Last-Modified": MONDAY}, '"1"'),
        ({"Last-Modified": MONDAY}, MONDAY),
        ({"ETag": 'W/"1"'}, None),
        ({"ETag": 'W/"1"', "Last-Modified": MONDAY}, None),
        ({}, None),
    ],
)
def test_the_rest_is_requested_of_the_same_version(
    server: Server, tmp_path: Path, version: dict[str, str], condition: str | None
) -> None:
    break_off(server, tmp_path, version)
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.received[-1].headers["Range"] == "bytes=300000-"
    assert server.received[-1].headers.get("If-Range") == condition
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("faults", [[], [Fault("no_condition")]])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        ({"ETag": '"1"'}, {"ETag": '"2"'}),
        ({"Last-Modified": MONDAY}, {"Last-Modified": TUESDAY}),
        ({"ETag": 'W/"1"'}, {"ETag": 'W/"2"'}),
    ],
)
def test_versions_of_a_file_are_never_mixed(
    server: Server, tmp_path: Path, before: dict[str, str], after: dict[str, str], faults: list[Fault]
) -> None:
    break_off(server, tmp_path, before)
    server.bodies["/a.tif"], server.versions["/a.tif"] = OTHER, after
    server.faults["/a.tif"] = [*faults, Fault("drop", 500_000)]
    assert fetch(server, tmp_path).read_bytes() == OTHER
    assert [path.name for path in tmp_path.iterdir()] == ["a.tif"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"colour": "red"}'])
def test_an_invalid_version_file_is_ignored(server: Server, tmp_path: Path, text: str) -> None:
    break_off(server, tmp_path, {"ETag": '"1"'})
    (tmp_path / "a.tif.part.json").write_text(text)
    server.faults["/a.tif"] = []
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert "If-Range" not in server.received[-1].headers
