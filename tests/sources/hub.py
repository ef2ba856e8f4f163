"""A test server with the API of Radiant MLHub, for an archive in a folder."""

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sources.faulty import Handler, Hub, ReceivedRequest, Server, served


class ApiHandler(Handler):
    """`datasets/ID`, `collections/ID`, and `catalog/ID` as a redirect; all with a key."""

    server: "Api"

    def answer(self) -> None:
        with self.server.lock:
            self.server.received.append(ReceivedRequest(self.command, self.path, dict(self.headers)))
        url = urlsplit(self.path)
        path = url.path.removeprefix("/mlhub/v1/")
        if fault := self.server.fault(path):
            self.send_fault(fault)
        elif parse_qs(url.query).get("key") != [self.server.key]:
            self.send_json({"detail": "Not authenticated"}, 401)
        elif path == f"catalog/{self.server.dataset}":
            self.redirect(f"{self.server.blobs.url}/catalog.tar.gz")
        elif path in self.server.answers:
            self.send_json(self.server.answers[path])
        else:
            self.send_json({"detail": "does not exist"}, 404)

    def redirect(self, target: str) -> None:
        self.send_response(303)
        self.send_header("Location", target)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def send_json(self, values: dict[str, Any], status: int = 200) -> None:
        text = json.dumps(values).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(text)


class Api(Server):
    def __init__(self, blobs: Server, dataset: str, key: str) -> None:
        super().__init__(handler=ApiHandler)
        self.blobs, self.dataset, self.key = blobs, dataset, key
        self.answers: dict[str, dict[str, Any]] = {}
        self.items: dict[str, dict[str, Any]] = {}


@contextmanager
def hub(archive: Path, dataset: str, key: str = "the-secret-key") -> Iterator[Hub]:
    """Serve the collections in `archive`: the API, and on a second host the catalog and the assets."""
    with served(Server(archive)) as blobs, served(Api(blobs, dataset, key)) as api:
        assert isinstance(api, Api)
        collections = sorted(path.parent for path in archive.glob("*/collection.json"))
        for folder in collections:
            api.answers[f"collections/{folder.name}"] = json.loads((folder / "collection.json").read_text())
            api.items |= dict(_items(folder, blobs.url))
        described = [{"id": folder.name, "types": ["labels"], "license": ""} for folder in collections]
        api.answers[f"datasets/{dataset}"] = {"id": dataset, "title": "", "collections": described}
        blobs.bodies["/catalog.tar.gz"] = catalog(api, dataset)
        yield Hub(api, blobs, dataset, key, api.items)


@contextmanager
def configured_hub(
    archive: Path, dataset: str, monkeypatch: pytest.MonkeyPatch, key: str = "the-secret-key"
) -> Iterator[Hub]:
    """Serve a hub and set the environment for it."""
    with hub(archive, dataset, key) as running:
        monkeypatch.setenv("MLHUB_ROOT_URL", running.root)
        monkeypatch.setenv("MLHUB_API_KEY", running.key)
        yield running


def _items(collection: Path, host: str) -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(collection.glob("*/stac.json")):
        item = json.loads(path.read_text())
        for asset in item["assets"].values():
            asset["href"] = f"{host}/{collection.name}/{path.parent.name}/{asset['href']}"
        yield item["id"], item


def catalog(api: Api, dataset: str) -> bytes:
    """The tar.gz that the API gives for a dataset."""
    files: dict[str, Any] = {f"{dataset}/catalog.json": {"id": dataset, "type": "Catalog"}}
    for path, answer in api.answers.items():
        if path.startswith("collections/"):
            files[f"{dataset}/{answer['id']}/collection.json"] = answer
    for name, item in api.items.items():
        files[f"{dataset}/{item['collection']}/{name}/{name}.json"] = item
    return tar({name: json.dumps(values).encode() for name, values in files.items()})


def tar(files: dict[str, bytes], *more: tarfile.TarInfo) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text))
        for member in more:
            archive.addfile(member)
    return packed.getvalue()
