"""What becomes of the bytes that an earlier run brought."""

import hashlib
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.errors import PipelineError, StageError
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
        (Fault("html"), "a.tif: the server sends a web page in its place, such as a login; open it in a browser"),
        (Fault("status", 401), "a.tif: the server answers 401 Unauthorized"),
        (Fault("status", 403), "a.tif: the server answers 403 Forbidden"),
        (
            Fault("status", 429, ("Retry-After", "3600")),
            "a.tif: the server answers 429 and asks to wait 3600 s; run again then",
        ),
        (Fault("status", 302, ("Location", "http://[bad")), "a.tif: its address leads nowhere, or in a circle"),
        (Fault("status", 302, ("Location", "/a.tif")), "a.tif: its address leads nowhere, or in a circle"),
    ],
)
def test_what_came_is_kept_when_the_server_refuses_the_rest(
    server: Server, tmp_path: Path, fault: Fault, words: str
) -> None:
    (tmp_path / "a.tif.part").write_bytes(BODY[:1_000_000])
    server.faults["/a.tif"] = [fault] * 40
    with pytest.raises(PipelineError) as error:
        fetch(server, tmp_path)
    assert str(error.value) == words
    server.faults["/a.tif"] = []
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.seen[-1].headers["Range"] == "bytes=1000000-"


def test_what_came_is_kept_when_the_disk_is_too_small_for_the_rest(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.tif.part").write_bytes(BODY[:1_000_000])
    for fault in (Fault("none"), Fault("no_range")):
        server.faults["/a.tif"] = [fault]
        with monkeypatch.context() as patch, pytest.raises(StageError, match="GB are needed; make room"):
            patch.setattr(module, "SPARE", 10**18)
            fetch(server, tmp_path)
    assert fetch(server, tmp_path).read_bytes() == BODY
    assert server.seen[-1].headers["Range"] == "bytes=1000000-"


def test_a_part_of_another_file_is_removed(server: Server, tmp_path: Path) -> None:
    for facts in ({"checksum": ("sha256", hashlib.sha256(BODY).hexdigest())}, {"size": len(BODY) + 1}):
        (tmp_path / "a.tif.part").write_bytes(b"x" * 1_000_000)
        refusal(server, tmp_path, **facts)
        assert list(tmp_path.iterdir()) == []
