"""An S3 server on loopback behind a proxy that records requests, with the layout of Source Cooperative."""

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from http.client import HTTPConnection
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest

from pipeline.raster.layout import RawFolder
from pipeline.sources.transfer import USER_AGENT
from tests.sources.faulty import Fault, Handler, ReceivedRequest, Server, served
from tests.sources.world import files_below

LANDCOVERNET, GHANA = "landcovernet/landcovernet_af/data/v1.0/2018/", "africa-crops-ghana/"
"""The prefixes of params.yaml."""
PHANTOM = date(2018, 2, 14)
"""A date with other satellites, but not Sentinel-2."""


USER = {
    "AWS_ACCESS_KEY_ID": "AKIAXXXXXXXXXXXXXXXX",
    "AWS_SECRET_ACCESS_KEY": "a-secret",
    "AWS_DEFAULT_REGION": "eu-west-1",
    "AWS_PROFILE": "mine",
    "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
    "AWS_USE_FIPS_ENDPOINT": "true",
}
"""AWS settings of a user."""


@contextmanager
def bucket_server(*program: str) -> Iterator[str]:
    """Run the server in a process without the environment that tests set for the client; yield its endpoint.

    Args:
        program: arguments of python; by default those of moto's server.
    """
    program = program or ("-m", "moto.server")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", *program, "-H", "127.0.0.1", "-p", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        while server.poll() is None and not _answers(port):
            time.sleep(0.1)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


class Proxy(Server):
    """A proxy that records requests and responds 403 to other user agents than ours."""

    def __init__(self, endpoint: str) -> None:
        super().__init__(handler=_ProxyHandler)
        self.behind = urlsplit(endpoint).netloc

    @property
    def lists(self) -> list[str]:
        """The prefix of each LIST request, with `…` if it lists folders."""
        queries = [parse_qs(urlsplit(received.path).query) for received in self.gets("list-type=2")]
        return [query["prefix"][0] + ("…" if "delimiter" in query else "") for query in queries]

    @property
    def keys(self) -> list[str]:
        """The keys that were fetched, sorted."""
        return sorted(received.path.split("/", 2)[2] for received in self.gets() if "list-type=2" not in received.path)


class _ProxyHandler(Handler):
    server: Proxy

    def answer(self) -> None:
        with self.server.lock:
            self.server.received.append(ReceivedRequest(self.command, self.path, dict(self.headers)))
        if not self.headers.get("User-Agent", "").startswith(USER_AGENT):  # botocore adds its own
            self.send_fault(Fault("status", 403))
            return
        behind = HTTPConnection(self.server.behind)
        behind.request(self.command, self.path, headers=dict(self.headers))
        answer = behind.getresponse()
        headers, body = dict(answer.getheaders()), answer.read()
        behind.close()
        self.send_response(answer.status)
        for name, value in headers.items():
            if name.lower() not in ("content-length", "transfer-encoding", "connection", "date", "server"):
                self.send_header(name, value)
        self.send_header("Content-Length", headers["Content-Length"] if self.command == "HEAD" else str(len(body)))
        self.end_headers()
        self.wfile.write(body)


@contextmanager
def proxied(endpoint: str) -> Iterator[Proxy]:
    with served(Proxy(endpoint)) as proxy:
        assert isinstance(proxy, Proxy)
        yield proxy


def put(endpoint: str, bucket: str, prefix: str, folder: Path) -> None:
    """Store the files below a folder in a public bucket."""
    import boto3

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_PROFILE", raising=False)
        owner = {"aws_access_key_id": "owner", "aws_secret_access_key": "owner"}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **owner)
        client.create_bucket(Bucket=bucket, ACL="public-read")
        for name, body in files_below(folder).items():
            client.put_object(Bucket=bucket, Key=f"{prefix}{name}", Body=body, ACL="public-read")


def as_landcovernet(archive: Path, folder: Path) -> Path:
    """Write an archive in the layout of Source Cooperative: a folder per tile and chip, with other satellites.

    The files of other satellites are not images, so that fetching them fails.
    """
    for chip, label in RawFolder("landcovernet", archive).labels.items():
        here = folder / LANDCOVERNET / chip.replace("_", "/")
        _copy(label / "labels.tif", here / f"{chip}_2018_LC_10m.tif")
        _other(here / f"{chip}_labeling_dates.csv")
    for item in RawFolder("landcovernet", archive).items:
        here = folder / LANDCOVERNET / item.chip.replace("_", "/")
        for path in item.files:
            _copy(path, here / "S2" / item.id / f"{item.id}_{path.stem}_10m.tif")
        for day in (item.date, PHANTOM):
            for satellite, bands in (("L8", ("B02", "B03", "B04")), ("S1", ("VV", "VH"))):
                scene = f"{item.chip}_{day:%Y%m%d}"
                for band in bands:
                    _other(here / satellite / scene / f"{scene}_{band}_10m.tif")
    return folder


def as_ghana(archive: Path, folder: Path, clouds: str = "cloudmask") -> Path:
    """The same for Ghana, with cloud masks called `clouds`; "" omits them."""
    for chip, label in RawFolder("ghana", archive).labels.items():
        _copy(label / "labels.tif", folder / GHANA / f"truth/truth_ghana_{chip}/truth_ghana_{chip}_label.tif")
    for item in RawFolder("ghana", archive).items:
        for satellite in ("s2", "s1", "planet"):
            for day in (item.date,) if satellite == "s2" else (item.date, PHANTOM):
                scene = f"{satellite}_ghana_{item.chip}_{day:%Y_%m_%d}"
                here = folder / GHANA / satellite / f"{satellite}_ghana_{item.chip}" / scene
                if satellite == "s2":
                    _copy(item.folder / "source.tif", here / f"{scene}_data.tif")
                    if clouds:
                        _copy(item.folder / "cloudmask.tif", here / f"{scene}_{clouds}.tif")
                else:
                    for name in ("data", "source", "cloudmask"):
                        _other(here / f"{scene}_{name}.tif")
    return folder


def _copy(path: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy(path, target)


def _other(target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_text("of another satellite")
