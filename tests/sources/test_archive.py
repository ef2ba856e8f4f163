import hashlib
import shutil
import zipfile
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure
from pipeline.sources.archive import fetch_archive
from pipeline.sources.base import Fetched
from tests.sources.faulty import Fault, Server, served
from tests.sources.world import files_below, request
from tests.world import orthophoto


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    folder = tmp_path / "archive"
    for scene in ("N-33", "M-34"):
        orthophoto(folder, scene)
    (folder / "train.txt").write_text("N-33_1\n")
    path = tmp_path / "served" / "landcover.ai.v1.zip"
    path.parent.mkdir()
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, body in files_below(folder).items():
            zipped.writestr(name, body)
    return path


def fetch(
    raw: Path, sha256: str, url: str = "http://127.0.0.1:9/gone.zip", path: Path | str = "data"
) -> list[Fetched | Failure]:
    raw.mkdir()
    changes = {"archive": {"url": url, "sha256": sha256}, "path": str(path)}
    requested = request("landcoverai", **{f"download.landcoverai.{key}": value for key, value in changes.items()})
    return list(fetch_archive(requested, raw))


def checksum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_a_zip_is_fetched_checked_and_unpacked(archive: Path, tmp_path: Path) -> None:
    with served(Server(archive.parent)) as server:
        server.faults["/landcover.ai.v1.zip"] = [Fault("drop", 500), Fault("status", 503), Fault("drop", 100)]
        fetched = fetch(tmp_path / "raw", checksum(archive), f"{server.url}/landcover.ai.v1.zip")
    assert files_below(tmp_path / "raw") == files_below(tmp_path / "archive")
    assert [file.origin for file in fetched if isinstance(file, Fetched)] == sorted(files_below(tmp_path / "archive"))


def test_a_second_run_transfers_nothing(archive: Path, tmp_path: Path) -> None:
    with served(Server(archive.parent)) as server:
        for raw in ("raw", "again"):
            fetch(tmp_path / raw, checksum(archive), f"{server.url}/landcover.ai.v1.zip")
        assert len(server.received) == 1
    assert files_below(tmp_path / "again") == files_below(tmp_path / "raw")


def test_a_zip_on_disk_is_unpacked_if_its_checksum_matches(archive: Path, tmp_path: Path) -> None:
    fetch(tmp_path / "raw", checksum(archive), path=archive)
    assert files_below(tmp_path / "raw") == files_below(tmp_path / "archive")
    shutil.rmtree(tmp_path / "raw")
    message = (
        f"landcover.ai.v1.zip has the SHA-256 {checksum(archive)}; download.landcoverai.archive.sha256 is {'0' * 64}: "
    )
    with pytest.raises(PipelineError, match=message):
        fetch(tmp_path / "raw", "0" * 64, path=archive)


def test_another_zip_or_a_login_page_is_refused_and_removed(archive: Path, tmp_path: Path, own_cache: Path) -> None:
    with served(Server(archive.parent)) as server:
        url = f"{server.url}/landcover.ai.v1.zip"
        origin = rf"^landcover.ai.v1.zip of {urlsplit(url).netloc} \(download.landcoverai.archive.url\)"
        with pytest.raises(PipelineError, match=rf"{origin}: sha256 is \w+, expected 0+; removed"):
            fetch(tmp_path / "1", "0" * 64, url)
        server.faults["/landcover.ai.v1.zip"] = [Fault("html")]
        with pytest.raises(PipelineError, match=rf"{origin}: the server sent a web page"):
            fetch(tmp_path / "2", "0" * 64, url)
    assert [path for path in own_cache.rglob("*") if path.is_file()] == []


def test_an_unsafe_member_fails_and_the_others_are_unpacked(archive: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(archive, "a") as zipped:
        zipped.writestr("../evil.tif", b"evil")
    fetched = fetch(tmp_path / "raw", checksum(archive), path=archive)
    (failure,) = [result for result in fetched if isinstance(result, Failure)]
    assert failure.file == "../evil.tif"
    assert files_below(tmp_path / "raw") == files_below(tmp_path / "archive")


def test_messages_contain_no_password_and_no_query_of_the_url(tmp_path: Path) -> None:
    with served(Server()) as server, pytest.raises(PipelineError) as error:
        host = server.url.removeprefix("http://")
        fetch(tmp_path / "raw", "0" * 64, f"http://me:secret@{host}/a.zip?key=secret")
    assert str(error.value) == f"a.zip of {host} (download.landcoverai.archive.url): HTTP 404 Not Found"
