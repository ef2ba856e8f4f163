"""A scene by URL or in S3 has the pixels of the file, in few requests; a failing network is never taken for damage."""

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.core.failures import OnError
from pipeline.formats.chips import Imagery
from pipeline.raster.geotiff import write_geotiff
from pipeline.raster.remote import NetworkError
from pipeline.scenes.geotiff_scene import open_scene
from pipeline.scenes.scene import ReadOptions
from tests.sources.bucket import bucket_server, put
from tests.sources.faulty import Fault, Server, served
from tests.world import at

RGB = Imagery(("1", "2", "3"))
WINDOWS = [Window(column, row, 300, 300) for row in (0, 250, 500) for column in (0, 250, 500)]


@pytest.fixture(autouse=True)
def _fast_retries(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_RETRY_DELAY", "0.01")
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "1")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With `a.tif` of 800 x 800 px of noise, 1.9 MB."""
    noise_CHW = np.random.default_rng(0).integers(0, 256, (3, 800, 800), np.uint8)
    tiles = {"tiled": True, "blockxsize": 256, "blockysize": 256, "compress": "deflate", "interleave": "pixel"}
    write_geotiff(tmp_path / "files/a.tif", noise_CHW, at(), nodata=0, **tiles)
    return tmp_path / "files"


@pytest.fixture
def server(folder: Path) -> Iterator[Server]:
    with served(Server(folder)) as server:
        yield server


def read_windows(source: str, on_error: OnError = "stop") -> list[np.ndarray]:
    with open_scene(source, ReadOptions(RGB, on_error)) as scene:
        assert scene.georeference == at()
        return [array for window in WINDOWS for array in scene.read(window)]


def same(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return all(np.array_equal(one, other) for one, other in zip(first, second, strict=True))


def refused(source: str, message: str, on_error: OnError = "stop") -> None:
    with pytest.raises(PipelineError, match=message) as error:
        read_windows(source, on_error)
    assert "\n" not in str(error.value)
    assert "secret" not in str(error.value)


def test_a_url_has_the_pixels_of_the_file_in_few_requests(folder: Path, server: Server) -> None:
    assert same(read_windows(f"{server.url}/a.tif"), read_windows(str(folder / "a.tif")))
    size = (folder / "a.tif").stat().st_size
    assert {received.path for received in server.received} == {"/a.tif"}  # no sidecars
    assert len(server.received) <= 1 + 1 + len(WINDOWS)
    assert server.sent <= 1.2 * size


def test_one_window_fetches_only_its_blocks(folder: Path, server: Server) -> None:
    with open_scene(f"{server.url}/a.tif", ReadOptions(RGB)) as scene:
        scene.read(Window(300, 300, 100, 100))
    assert server.sent <= 256 * 256 * 3 + 2 * 32768


def test_the_identity_of_a_url_follows_the_block_index(folder: Path, server: Server) -> None:
    def identity() -> object:
        with open_scene(f"{server.url}/a.tif?key=secret{len(server.received)}", ReadOptions(RGB)) as scene:
            return scene.identity

    first = identity()
    assert identity() == first
    write_geotiff(folder / "a.tif", np.zeros((3, 800, 800), np.uint8), at(), tiled=True, compress="deflate")
    assert identity() != first


@pytest.mark.parametrize(
    ("fault", "message"),
    [
        (Fault("status", 403), r"/a.tif may not be read \(HTTP 403\); check the URL, a signature"),
        (Fault("status", 503), r"/a.tif cannot be fetched, its server answers HTTP 503; run again later"),
        (Fault("no_range"), r"/a.tif is not a GeoTIFF, or its server does not send parts of files"),
        (Fault("html"), r"/a.tif is not a GeoTIFF, or its server does not send parts of files"),
    ],
)
def test_what_a_server_answers_is_one_line(
    server: Server, fault: Fault, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if fault.kind == "status":  # this server injects faults into GET only
        monkeypatch.setenv("CPL_VSIL_CURL_USE_HEAD", "NO")
    server.every = (1, fault)
    refused(f"{server.url}/a.tif?key=secret", message)


def test_a_missing_file_or_server_is_one_line(server: Server) -> None:
    refused(f"{server.url}/b.tif", r"/b.tif does not exist on its server \(HTTP 404\); check the URL$")
    refused(
        "http://127.0.0.1:9/a.tif", r"/a.tif cannot be reached: .*127.0.0.1 port 9.*; check the URL and the network"
    )
    refused("https://no-such-host.invalid/a.tif", "cannot be reached: Could not resolve host: no-such-host.invalid; ")


def test_a_network_that_fails_is_never_taken_for_damage(server: Server) -> None:
    with open_scene(f"{server.url}/a.tif?key=secret", ReadOptions(RGB, "skip"), check_values=False) as scene:
        server.every = (1, Fault("status", 503))
        with pytest.raises(NetworkError, match=r"/a.tif was not sent in full, after retries; run again"):
            scene.read(WINDOWS[-1])
        server.every = None
        assert scene.read(WINDOWS[-1])[1].any()
        assert scene.damaged == []


def test_damage_to_a_remote_file_is_left_out(folder: Path, server: Server) -> None:
    content = (folder / "a.tif").read_bytes()
    middle = len(content) // 2
    (folder / "a.tif").write_bytes(content[:middle] + b"\xff" * 50000 + content[middle + 50000 :])
    refused(f"{server.url}/a.tif?key=secret", r"/a.tif cannot be read, the file is damaged: block column ")
    url = f"{server.url}/a.tif?another=secret"
    assert same(read_windows(url, "skip"), read_windows(str(folder / "a.tif"), "skip"))


def test_s3_has_the_pixels_of_the_file(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_PROFILE", "AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)
    with bucket_server() as endpoint:
        put(endpoint, "scenes", "2024/", folder)
        monkeypatch.setenv("AWS_ENDPOINT_URL", endpoint)
        monkeypatch.setenv("AWS_NO_SIGN_REQUEST", "YES")
        assert same(read_windows("s3://scenes/2024/a.tif"), read_windows(str(folder / "a.tif")))
        refused("s3://scenes/2024/b.tif", r"s3://scenes/2024/b.tif does not exist on its server \(HTTP 404\)")
        monkeypatch.delenv("AWS_NO_SIGN_REQUEST")
        monkeypatch.setenv("AWS_ACCESS_KEY_ID", "owner")
        monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "owner")
        monkeypatch.setenv("AWS_REGION", "us-east-1")
        assert same(read_windows("s3://scenes/2024/a.tif"), read_windows(str(folder / "a.tif")))
