"""Invalid servers, keys, URLs and catalogs."""

import base64
import re
import time
import traceback
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.sources import mlhub
from pipeline.sources.mlhub import KEYS
from tests.sources.faulty import Fault, Hub
from tests.sources.hub import configured_hub
from tests.sources.test_mlhub import DATASET, fetch
from tests.sources.world import small_landcovernet

CATALOG = f"catalog/{DATASET}"


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return small_landcovernet(tmp_path_factory.mktemp("archive"), ("31PGS_01",))


@pytest.fixture
def server(archive: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    monkeypatch.setattr(mlhub, "BACKOFF", 0.001)
    with configured_hub(archive, DATASET, monkeypatch) as running:
        yield running


def host(server: Hub) -> str:
    return server.api.url.removeprefix("http://")


def refusal(folder: Path) -> str:
    with pytest.raises(PipelineError) as error:
        fetch(folder)
    return str(error.value)


def test_the_download_of_the_catalog_is_resumed(server: Hub, tmp_path: Path) -> None:
    server.blobs.faults["/catalog.tar.gz"] = [Fault("drop", 200), Fault("status", 503)]
    assert fetch(tmp_path / "raw")[1] == []


def test_a_login_page_instead_of_the_catalog_is_refused(server: Hub, tmp_path: Path) -> None:
    server.blobs.faults["/catalog.tar.gz"] = [Fault("html")]
    assert refusal(tmp_path / "raw").startswith(
        "the catalog of ref_landcovernet_af_v1: the server sent a web page, such as a login"
    )


@pytest.mark.parametrize("status", [401, 403])
def test_a_catalog_that_requires_another_key_is_refused_without_retries(
    server: Hub, tmp_path: Path, status: int
) -> None:
    server.api.faults[CATALOG] = [Fault("status", status)] * 9
    message = refusal(tmp_path / "raw")
    assert f"the catalog of {DATASET}: HTTP {status} " in message
    assert message.endswith(f": {host(server)} may require another key: {KEYS}")
    assert len(server.api.gets("catalog/")) == 1


def test_a_missing_catalog_is_refused(server: Hub, tmp_path: Path) -> None:
    server.api.faults[CATALOG] = [Fault("status", 404)]
    assert refusal(tmp_path / "raw") == f"the catalog of {DATASET}: HTTP 404 Not Found"


def test_a_damaged_catalog_is_removed(server: Hub, tmp_path: Path) -> None:
    whole = server.blobs.bodies["/catalog.tar.gz"]
    server.blobs.bodies["/catalog.tar.gz"] = whole[: len(whole) // 2]
    assert re.fullmatch(
        r"\S+catalog.tar.gz.part is not a readable tar.gz: .*; removed; run again", refusal(tmp_path / "1")
    )
    server.blobs.bodies["/catalog.tar.gz"] = whole
    assert fetch(tmp_path / "2")[1] == []


def test_a_catalog_damaged_after_its_download_is_named(server: Hub, tmp_path: Path, own_cache: Path) -> None:
    fetch(tmp_path / "1")
    (catalog,) = own_cache.rglob("catalog.tar.gz")
    catalog.write_bytes(b"")
    assert refusal(tmp_path / "2") == f"{catalog} is not a readable tar.gz: empty file; remove it and run again"


def test_a_busy_server_is_retried_after_its_retry_after(server: Hub, tmp_path: Path) -> None:
    server.api.faults[f"datasets/{DATASET}"] = [Fault("status", 503), Fault("status", 429, ("Retry-After", "1"))]
    server.api.faults[CATALOG] = [Fault("status", 503, ("Retry-After", "1"))]
    start = time.monotonic()
    assert fetch(tmp_path / "raw")[1] == []
    assert time.monotonic() - start >= 2
    assert (len(server.api.gets("datasets/")), len(server.api.gets("catalog/"))) == (3, 2)


@pytest.mark.parametrize(
    ("fault", "requests", "words"),
    [
        (Fault("status", 503), 3, "responds with HTTP 503 for the dataset ref_landcovernet_af_v1; try again later"),
        (Fault("status", 500, ("Retry-After", "60")), 1, "; the server allows a retry after 60 s; run again then"),
        (Fault("status", 418), 1, "responds with HTTP 418 for the dataset ref_landcovernet_af_v1; try again later"),
    ],
)
def test_a_server_that_stays_busy_is_reported_within_15_seconds(
    server: Hub, tmp_path: Path, fault: Fault, requests: int, words: str
) -> None:
    server.api.faults[f"datasets/{DATASET}"] = [fault] * 9
    start = time.monotonic()
    assert refusal(tmp_path / "raw").endswith(words)
    assert (len(server.api.gets("datasets/")), time.monotonic() - start < 15) == (requests, True)


def test_a_dead_host_an_unknown_id_and_a_bad_key_are_one_line_within_15_seconds(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = time.monotonic()
    monkeypatch.setenv("MLHUB_API_KEY", "another-secret")
    bad_key = refusal(tmp_path / "1")
    monkeypatch.setenv("MLHUB_API_KEY", server.key)
    server.api.answers = {}  # type: ignore[attr-defined]
    unknown = refusal(tmp_path / "2")
    monkeypatch.setenv("MLHUB_ROOT_URL", "http://127.0.0.1:9/mlhub/v1/")
    dead = refusal(tmp_path / "3")
    assert time.monotonic() - start < 15
    assert bad_key.startswith(f"{host(server)} rejects the key (HTTP 401): set MLHUB_API_KEY, or MLHUB_PROFILE to ")
    assert unknown.startswith(
        f"{host(server)} has no dataset '{DATASET}'; check download.*.mlhub.dataset and MLHUB_ROOT_URL"
    )
    assert dead.startswith("127.0.0.1:9 does not respond (cannot connect). The public Radiant MLHub was shut down: ")
    assert "secret" not in bad_key + unknown + dead


def test_a_missing_key_is_refused_with_how_to_set_one(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MLHUB_API_KEY")
    monkeypatch.setenv("MLHUB_HOME", str(tmp_path))
    assert refusal(tmp_path / "raw").startswith("no key for Radiant MLHub: set MLHUB_API_KEY, or MLHUB_PROFILE to ")


def test_the_key_may_come_from_a_profile(server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MLHUB_API_KEY")
    monkeypatch.setenv("MLHUB_HOME", str(tmp_path))
    (tmp_path / "profiles").write_text(f"[mine]\napi_key = {server.key}\n")
    monkeypatch.setenv("MLHUB_PROFILE", "mine")
    assert fetch(tmp_path / "raw")[1] == []


@pytest.mark.parametrize(
    "text",
    [b"api_key = the-secret-key\n", b"[default]\nthe-secret-key\n", b"[default]\napi_key = the-secret-key%\n", b"\xff"],
)
def test_messages_on_invalid_profiles_do_not_contain_the_key(
    server: Hub, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: bytes
) -> None:
    monkeypatch.delenv("MLHUB_API_KEY")
    monkeypatch.setenv("MLHUB_HOME", str(tmp_path))
    (tmp_path / "profiles").write_bytes(text)
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw")
    assert str(error.value).startswith(
        f"{tmp_path}/profiles is not a valid file of profiles; expected a section [default], or "
    )
    assert "the-secret-key" not in "".join(traceback.format_exception(error.value))


@pytest.mark.parametrize("root", ["http://[bad", "https://x..y/mlhub/v1/", "https://the host/", "host/mlhub/v1/", ""])
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
