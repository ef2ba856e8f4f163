"""A test server with the API of Radiant MLHub, for an archive in a folder."""

import io
import json
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.sources.faulty import Fault, Handler, Server, served

API = "/mlhub/v1/"


class ApiHandler(Handler):
    """`datasets/ID`, `collections/ID`, and `catalog/ID` as a redirect; all with a key."""

    server: "Api"

    def answer(self) -> None:
        if parse_qs(urlsplit(self.path).query).get("key") == [self.server.key]:
            super().answer()
        else:
            self.send_fault(Fault("status", 401))


class Api(Server):
    def __init__(self, key: str) -> None:
        super().__init__(handler=ApiHandler)
        self.key = key


@dataclass
class Hub:
    """An API of Radiant MLHub and the host of its assets."""

    api: Server
    blobs: Server
    dataset: str
    key: str
    items: dict[str, dict[str, Any]] = field(default_factory=dict)

    @property
    def root(self) -> str:
        return f"{self.api.url}{API}"

    def publish(self) -> None:
        """Serve the archive's collections and `items`, alone and in the catalog."""
        assert self.blobs.root
        files = {f"{item['collection']}/{name}/{name}.json": item for name, item in self.items.items()}
        collections = {
            path.parent.name: json.loads(path.read_text()) for path in self.blobs.root.glob("*/collection.json")
        }
        for name, collection in collections.items():
            self.api.bodies[f"{API}collections/{name}"] = json.dumps(collection).encode()
            files[f"{name}/collection.json"] = collection
        described = [{"id": name, "types": ["labels"], "license": ""} for name in sorted(collections)]
        dataset = {"id": self.dataset, "title": "", "collections": described}
        self.api.bodies[f"{API}datasets/{self.dataset}"] = json.dumps(dataset).encode()
        self.api.redirects[f"{API}catalog/{self.dataset}"] = f"{self.blobs.url}/catalog.tar.gz"
        files["catalog.json"] = {"id": self.dataset, "type": "Catalog"}
        self.blobs.bodies["/catalog.tar.gz"] = tar(
            {f"{self.dataset}/{name}": json.dumps(values).encode() for name, values in files.items()}
        )


@contextmanager
def hub(archive: Path, dataset: str, key: str = "the-secret-key") -> Iterator[Hub]:
    """Serve the collections in `archive`: the API, and on a second host the catalog and the assets."""
    with served(Server(archive)) as blobs, served(Api(key)) as api:
        running = Hub(api, blobs, dataset, key)
        for path in sorted(archive.glob("*/*/stac.json")):
            item = json.loads(path.read_text())
            for asset in item["assets"].values():
                asset["href"] = f"{blobs.url}/{path.parent.relative_to(archive)}/{asset['href']}"
            running.items[item["id"]] = item
        running.publish()
        yield running


@contextmanager
def configured_hub(
    archive: Path, dataset: str, monkeypatch: pytest.MonkeyPatch, key: str = "the-secret-key"
) -> Iterator[Hub]:
    """Serve a hub and set the environment for it."""
    with hub(archive, dataset, key) as running:
        monkeypatch.setenv("MLHUB_ROOT_URL", running.root)
        monkeypatch.setenv("MLHUB_API_KEY", running.key)
        yield running


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
