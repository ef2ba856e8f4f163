"""A dead, busy or refusing hub, an invalid key, URL or catalog: one line within 15 seconds, without the key."""

import base64
import re
import time
import traceback
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.sources import mlhub
from pipeline.sources.mlhub import KEYS
from tests.sources.faulty import Fault
from tests.sources.hub import API, Hub
from tests.sources.test_mlhub import fetch
from tests.sources.world import LANDCOVERNET_ID

CATALOG, PROBE = f"{API}catalog/{LANDCOVERNET_ID}", f"{API}datasets/{LANDCOVERNET_ID}"


def host(server: Hub) -> str:
    return server.api.url.removeprefix("http://")


def refusal(folder: Path) -> str:
    start = time.monotonic()
    with pytest.raises(PipelineError) as error:
        fetch(folder)
    assert time.monotonic() - start < 15
    return str(error.value)


def test_a_refused_catalog_is_not_retried(server: Hub, tmp_path: Path) -> None:
    server.api.faults[CATALOG] = [Fault("status", 403)]
    assert refusal(tmp_path / "raw") == f"the catalog of {LANDCOVERNET_ID}: HTTP 403 Forbidden"


def test_a_damaged_catalog_is_removed_and_fetched_again(server: Hub, tmp_path: Path) -> None:
    whole = server.blobs.bodies["/catalog.tar.gz"]
    server.blobs.bodies["/catalog.tar.gz"] = whole[: len(whole) // 2]
    words = r"\S+/catalog\.tar\.gz is not a readable tar\.gz: .*; removed, run again"
    assert re.fullmatch(words, refusal(tmp_path / "1"))
    server.blobs.bodies["/catalog.tar.gz"] = whole
    assert fetch(tmp_path / "2")[1] == []


def test_a_busy_server_is_retried_after_its_retry_after(server: Hub, tmp_path: Path) -> None:
    server.api.faults[PROBE] = [Fault("status", 503), Fault("status", 429, ("Retry-After", "1"))]
    server.api.faults[CATALOG] = [Fault("status", 503, ("Retry-After", "1"))]
    start = time.monotonic()
    assert fetch(tmp_path / "raw")[1] == []
    assert time.monotonic() - start >= 2
    assert (len(server.api.gets("datasets/")), len(server.api.gets("catalog/"))) == (3, 2)


@pytest.mark.parametrize(
    ("fault", "requests", "words"),
    [
        (Fault("status", 503), 3, "responds with HTTP 503 for the dataset ref_landcovernet_af_v1; try again later"),
        (Fault("status", 500, ("Retry-After", "60")), 3, "; the server allows a retry after 60 s; run again then"),
        (Fault("status", 503, ("Retry-After", "soon")), 1, " does not respond (its Retry-After is not valid)"),
        (Fault("status", 418), 1, "responds with HTTP 418 for the dataset ref_landcovernet_af_v1; try again later"),
    ],
)
def test_a_server_that_stays_busy_is_reported(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fault: Fault, requests: int, words: str
) -> None:
    monkeypatch.setattr(mlhub, "PROBE_RETRIES", mlhub.PROBE_RETRIES.new(retry_after_max=0))
    server.api.faults[PROBE] = [fault] * 9
    assert words in refusal(tmp_path / "raw")
    assert len(server.api.gets("datasets/")) == requests


def test_a_dead_host_an_unknown_id_and_a_bad_key_are_one_line(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLHUB_API_KEY", "another-secret")
    bad_key = refusal(tmp_path / "1")
    monkeypatch.setenv("MLHUB_API_KEY", server.key)
    server.api.bodies.clear()
    unknown = refusal(tmp_path / "2")
    monkeypatch.setenv("MLHUB_ROOT_URL", "http://127.0.0.1:9/mlhub/v1/")
    dead = refusal(tmp_path / "3")
    monkeypatch.setenv("MLHUB_ROOT_URL", "http://x..y/")
    assert refusal(tmp_path / "4").startswith("x..y does not respond (its URL is not valid). The public Radiant MLHub ")
    assert bad_key == f"{host(server)} rejects the key (HTTP 401): {KEYS}"
    advice = "check download.*.mlhub.dataset and MLHUB_ROOT_URL"
    assert unknown == f"{host(server)} has no dataset '{LANDCOVERNET_ID}'; {advice}"
    assert dead.startswith("127.0.0.1:9 does not respond (cannot connect). The public Radiant MLHub was shut down: ")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (b"", "no key for Radiant MLHub: set MLHUB_API_KEY, or MLHUB_PROFILE to "),
        *(
            (text, "{folder}/profiles is not a valid file of profiles; expected a section [default], or ")
            for text in (b"api_key = KEY\n", b"[default]\nKEY\n", b"[default]\napi_key = KEY%\n", b"\xff")
        ),
    ],
)
def test_a_missing_key_or_an_invalid_profile_is_one_line_without_the_key(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes, words: str
) -> None:
    monkeypatch.delenv("MLHUB_API_KEY")
    monkeypatch.setenv("MLHUB_HOME", str(tmp_path))
    (tmp_path / "profiles").write_bytes(text)
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw")
    assert str(error.value).startswith(words.format(folder=tmp_path))
    assert "KEY\n" not in "".join(traceback.format_exception(error.value))


def test_the_key_may_come_from_a_profile(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLHUB_API_KEY")
    monkeypatch.setenv("MLHUB_HOME", str(tmp_path))
    (tmp_path / "profiles").write_text(f"[mine]\napi_key = {server.key}\n")
    monkeypatch.setenv("MLHUB_PROFILE", "mine")
    assert fetch(tmp_path / "raw")[1] == []


@pytest.mark.parametrize("root", ["http://[bad", "https://the host/", "host/mlhub/v1/", ""])
def test_an_invalid_root_url_is_refused(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, root: str
) -> None:
    monkeypatch.setenv("MLHUB_ROOT_URL", root)
    message = refusal(tmp_path / "raw")
    assert message.startswith(f"MLHUB_ROOT_URL: {root.rstrip('/') + '/'!r} is not a URL; expected https://")


def test_the_root_url_is_normalized(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLHUB_ROOT_URL", server.root.replace("http://127.0.0.1", "HTTP://me:word@LocalHost"))
    assert fetch(tmp_path / "raw")[1] == []
    basic = f"Basic {base64.b64encode(b'me:word').decode()}"
    assert {received.headers.get("Authorization") for received in server.api.received} == {basic}
    assert {received.headers.get("Authorization") for received in server.blobs.received} == {None}
