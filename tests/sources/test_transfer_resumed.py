"""Downloads that an earlier run began."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError, StageError
from pipeline.sources import transfer as module
from tests.sources.faulty import Fault, Server, served
from tests.sources.test_transfer import BODY, fetch, refusal


@pytest.fixture
def server() -> Iterator[Server]:
    with served(Server()) as running:
        running.bodies["/a.tif"] = BODY
        yield running


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
        with monkeypatch.context() as patch, pytest.raises(StageError, match="GB are needed; free disk space"):
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
MONDAY, TUESDAY, WEDNESDAY = (f"{day} Jan 2024 00:00:00 GMT" for day in ("Mon, 01", "Tue, 02", "Wed, 03"))


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
        ({"ETag": '"1"', "Last-Modified": MONDAY, "Date": TUESDAY}, '"1"'),
        ({"Last-Modified": MONDAY, "Date": TUESDAY}, MONDAY),
        ({"Last-Modified": TUESDAY, "Date": TUESDAY}, None),  # may have changed twice in that second
        ({"ETag": 'W/"1"'}, None),
        ({"ETag": 'W/"1"', "Last-Modified": MONDAY, "Date": TUESDAY}, None),
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
        ({"Last-Modified": MONDAY, "Date": WEDNESDAY}, {"Last-Modified": TUESDAY, "Date": WEDNESDAY}),
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
