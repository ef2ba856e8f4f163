"""The source `mlhub`: the API of Radiant MLHub, at whatever server `MLHUB_ROOT_URL` names.

The client `radiant_mlhub` finds the key and the server, as its users have set them. It brings no file: it would write
under final names without a timeout or a check, print the key when it is refused, and unpack wherever the members say.
"""

import configparser
import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure
from pipeline.core.fingerprint import digest
from pipeline.formats.datasets import DatasetName
from pipeline.sources.base import Fetched, Request
from pipeline.sources.clouds_first import CloudsFirst
from pipeline.sources.http_errors import BUSY, RefusedError, describe, retry_advice, retry_after
from pipeline.sources.remote import RemoteItem, chosen
from pipeline.sources.settings import http_address
from pipeline.sources.stac import parse_item
from pipeline.sources.transfer import Remote, Transfer, new_session
from pipeline.sources.unpack import read_tar

PROBE = (5.0, 6.0)
"""Seconds to connect and to answer, before anything is begun."""
PATIENCE = 12.0
"""Seconds for all tries of the probe."""
TRIES = 3
BACKOFF = 0.5
"""Seconds before the second try of the probe; doubled for the third."""
LARGEST_ITEM = 4 * 1024 * 1024
"""Bytes of one item's JSON."""
KEYS = "set MLHUB_API_KEY, or MLHUB_PROFILE to a profile of ~/.mlhub/profiles (__anonymous__ for none)"


@dataclass(frozen=True)
class Hub:
    """A server that speaks the API."""

    root: str
    """Ends in a slash."""
    key: str | None = field(repr=False)

    @property
    def host(self) -> str:
        """As messages name it: without a user's password."""
        return urlsplit(self.root).netloc.rpartition("@")[2]


def fetch_mlhub(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Fetch labels, cloud masks and the bands of clear dates of the chips that `select` names."""
    name = request.collection.mlhub.dataset
    hub = _hub()
    store = cache_folder() / "downloads" / "mlhub" / f"{name}-{digest(hub.root)[:12]}"
    with _secret(hub.key):
        transfer = Transfer(new_session(request.collection.connections), request.statistics)
        transfer.session.auth = _KeyForRoot(hub)
        catalog = store / "catalog.tar.gz"
        if not catalog.exists():
            _probe(transfer.session, hub, name)
            _fetch_catalog(transfer, hub, name, catalog)
        items: list[RemoteItem] = []
        for item in _items(catalog, request.dataset, f"{hub.root}collections/"):
            if isinstance(item, Failure):
                yield item
            else:
                items.append(item)
        if not items:
            raise PipelineError(
                f"the catalog of {name} holds no item of {request.dataset}; see download.*.mlhub.dataset"
            )
        wanted = chosen(items, request.collection.select, request.dataset)
        yield from CloudsFirst(request, transfer, store).deliver(wanted, folder)


def _hub() -> Hub:
    """The server and the key that the client finds.

    Raises:
        PipelineError: there is no key, the profiles cannot be read, or the root is no address.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its models are written for pydantic 1
        from radiant_mlhub.exceptions import APIKeyNotFound
        from radiant_mlhub.session import get_session
    try:
        session = get_session(profile=os.environ.get("MLHUB_PROFILE"))
    except APIKeyNotFound:
        raise PipelineError(f"no key for Radiant MLHub: {KEYS}") from None
    except (configparser.Error, UnicodeDecodeError, OSError):  # whose text quotes the file, and so the key
        profiles = Path(os.environ.get("MLHUB_HOME", "~/.mlhub"), "profiles")
        raise PipelineError(
            f"{profiles} cannot be read as a file of profiles; expected a line [default], or the name that "
            "MLHUB_PROFILE says, and below it api_key = YOUR_KEY, in which %% stands for a %"
        ) from None
    root = session.root_url.rstrip("/") + "/"  # relative addresses would lose the last part of a path without it
    try:
        http_address(root)
    except ValueError as error:
        raise PipelineError(f"MLHUB_ROOT_URL: {error}, such as https://host/mlhub/v1/") from None
    key = session.params.get("key") if isinstance(session.params, dict) else None
    return Hub(root, None if key is None else str(key))


def _probe(session: requests.Session, hub: Hub, name: str) -> None:
    """Ask for the dataset, briefly.

    Raises:
        PipelineError: nobody answers, the key is refused, or there is no such dataset.
    """
    try:
        answer = _asked(session, f"{hub.root}datasets/{name}")
    except (requests.RequestException, ValueError) as error:
        problem = describe(error)
        raise PipelineError(
            f"{hub.host} does not answer ({problem}). The public Radiant MLHub was shut down: set MLHUB_ROOT_URL "
            "to a server that speaks its API, or use another source"
        ) from None
    status, wait = answer.status_code, retry_after(answer)
    if status in (401, 403):
        raise PipelineError(f"{hub.host} refuses the key ({status}): {KEYS}")
    if status == 404:
        raise PipelineError(f"{hub.host} has no dataset {name!r}; see download.*.mlhub.dataset and MLHUB_ROOT_URL")
    if not answer.ok:
        then = "; try again later" if wait is None else f"; {retry_advice(wait)}"
        raise PipelineError(f"{hub.host} answers {status} when asked for {name}{then}")


def _asked(session: requests.Session, url: str) -> requests.Response:
    """The head of the answer: of a busy server's the last one that a few tries and `PATIENCE` allow."""
    ends, tries = time.monotonic() + PATIENCE, 0
    while True:
        left = ends - time.monotonic()
        with session.get(url, timeout=(min(PROBE[0], left / 2), min(PROBE[1], left / 2)), stream=True) as answer:
            wait = retry_after(answer)
        tries += 1
        wait = BACKOFF * 2 ** (tries - 1) if wait is None else wait
        if answer.status_code not in BUSY or tries == TRIES or time.monotonic() + wait > ends - 1:
            return answer
        time.sleep(wait)


def _fetch_catalog(transfer: Transfer, hub: Hub, name: str, catalog: Path) -> None:
    """Bring the catalog, to which the API redirects.

    Raises:
        PipelineError: it cannot be had, or is no tar.gz.
    """
    try:
        transfer.fetch(Remote(f"{hub.root}catalog/{name}", f"the catalog of {name}"), catalog, _require_whole)
    except RefusedError as error:
        if error.status in (401, 403):
            raise PipelineError(f"{error}: {hub.host} may want another key: {KEYS}") from None
        raise


def _require_whole(part: Path) -> None:
    for _ in _members(part, "it was removed, run again"):
        pass


def _members(catalog: Path, advice: str) -> Iterator[tuple[PurePosixPath, bytes] | Failure]:
    """Its files; an error ends with `advice`."""
    try:
        yield from read_tar(catalog, LARGEST_ITEM)
    except StageError:
        raise
    except PipelineError as error:
        raise PipelineError(f"{error}; {advice}") from None


def _items(catalog: Path, dataset: DatasetName, base: str) -> Iterator[RemoteItem | Failure]:
    """The dataset's items in a catalog; other files in it are passed over."""
    for member in _members(catalog, "remove it and run again"):
        if isinstance(member, Failure):
            yield member
            continue
        path, text = member
        if path.suffix != ".json" or path.name in ("catalog.json", "collection.json"):
            continue
        try:
            item = parse_item(text, dataset, base)
        except PipelineError as error:
            yield Failure(str(path), f"the item {path}: {error}")
        else:
            if item is not None:
                yield item


class _KeyForRoot(AuthBase):
    """Adds the key to addresses of the API alone: assets lie on other hosts, which must not see it."""

    def __init__(self, hub: Hub) -> None:
        self.root, self.key = requests.Request("GET", hub.root).prepare().url or "", hub.key  # as requests writes it
        self.user, self.password = get_auth_from_url(hub.root)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if (request.url or "").startswith(self.root):
            if self.key:
                request.prepare_url(request.url, {"key": self.key})
            if self.user:
                HTTPBasicAuth(self.user, self.password)(request)
        return request


@contextmanager
def _secret(key: str | None) -> Iterator[None]:
    """Keep `key` out of every log record, such as those of urllib3, which name addresses."""
    make = logging.getLogRecordFactory()

    def without_key(*arguments: object, **named: object) -> logging.LogRecord:
        record = make(*arguments, **named)
        for text in (key, quote(key, safe="")) if key else ():
            record.msg = record.getMessage().replace(text, "***")
            record.args = ()
        return record

    logging.setLogRecordFactory(without_key)
    try:
        yield
    finally:
        logging.setLogRecordFactory(make)
