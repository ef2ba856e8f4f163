"""The source `mlhub`: the API of Radiant MLHub, at whatever server `MLHUB_ROOT_URL` names.

The client `radiant_mlhub` finds the key, speaks to the API and brings the catalog. It does not bring the assets,
which it would write under their final names without a timeout or a check, and it does not unpack the catalog, which it
would do wherever the members say.
"""

import logging
import os
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import requests
from requests.auth import AuthBase

from pipeline.batch import Failure
from pipeline.cache import cache_folder
from pipeline.datasets import DatasetName
from pipeline.errors import PipelineError
from pipeline.fingerprint import digest
from pipeline.sources.answers import in_words
from pipeline.sources.base import Fetched, Request
from pipeline.sources.clouds_first import CloudsFirst
from pipeline.sources.remote import RemoteItem, chosen
from pipeline.sources.settings import CollectionSettings
from pipeline.sources.stac import parse_item
from pipeline.sources.traffic import Traffic
from pipeline.sources.transfer import ATTEMPTS, TIMEOUT, Transfer, new_session
from pipeline.sources.unpack import read_tar

if TYPE_CHECKING:
    from radiant_mlhub.session import Session

PROBE = (5.0, 8.0)
"""Seconds to connect and to answer, before anything is begun."""
LARGEST_ITEM = 4 * 1024 * 1024
"""Bytes of one item's JSON."""
BACKOFF = 0.5
"""Seconds before the second try for the catalog; doubled for each one after that."""
KEYS = "set MLHUB_API_KEY, or MLHUB_PROFILE to a profile of ~/.mlhub/profiles (__anonymous__ for none)"


def fetch_mlhub(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Fetch labels, cloud masks and the bands of clear dates of the chips that `select` names."""
    assert isinstance(request.settings, CollectionSettings)
    name = request.settings.mlhub.dataset
    session = _session()
    store = cache_folder() / "downloads" / "mlhub" / f"{name}-{digest(session.root_url)[:12]}"
    with _secret(_key(session)):
        catalog = store / "catalog.tar.gz"
        if not catalog.exists():
            _probe(session, name)
            _fetch_catalog(session, name, catalog, request.traffic)
        items: list[RemoteItem] = []
        for item in _items(catalog, request.dataset, f"{session.root_url}collections/"):
            if isinstance(item, Failure):
                yield item
            else:
                items.append(item)
        if not items:
            raise PipelineError(
                f"the catalog of {name} holds no item of {request.dataset}; see download.*.mlhub.dataset"
            )
        transfer = Transfer(new_session(request.settings.connections), request.traffic)
        transfer.session.auth = _KeyForRoot(session)
        wanted = chosen(items, request.settings.select, request.dataset)
        yield from CloudsFirst(request, transfer, store).deliver(wanted, folder)


def _session() -> "Session":
    """The client's session, with its key, and without its retries: those take 204 s over an id that is not there.

    Raises:
        PipelineError: there is no key, or the root is no address.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its models are written for pydantic 1
        from radiant_mlhub.exceptions import APIKeyNotFound
        from radiant_mlhub.session import get_session
    try:
        session = get_session(profile=os.environ.get("MLHUB_PROFILE"))
    except APIKeyNotFound:
        raise PipelineError(f"no key for Radiant MLHub: {KEYS}") from None
    session.root_url = session.root_url.rstrip("/") + "/"  # the client drops the last part of a path without it
    if urlsplit(session.root_url).scheme not in ("http", "https"):
        raise PipelineError(
            f"MLHUB_ROOT_URL is {session.root_url!r}; expected an address such as https://host/mlhub/v1/"
        )
    for prefix in ("http://", "https://"):
        session.mount(prefix, _Impatient())
    return session


class _Impatient(requests.adapters.HTTPAdapter):
    """Gives up on a silent server; the client sets no timeout."""

    def send(self, request: requests.PreparedRequest, **options: Any) -> requests.Response:  # type: ignore[override]
        return super().send(request, **options | {"timeout": options.get("timeout") or TIMEOUT})


def _key(session: "Session") -> str | None:
    key = session.params.get("key") if isinstance(session.params, dict) else None
    return None if key is None else str(key)


def _probe(session: "Session", name: str) -> None:
    """Ask for the dataset, once and briefly.

    Raises:
        PipelineError: nobody answers, the key is refused, or there is no such dataset.
    """
    host = urlsplit(session.root_url).netloc.rpartition("@")[2]
    try:
        # not through the client, whose exception for a refused key prints the key
        answer = requests.Session.request(session, "GET", f"{session.root_url}datasets/{name}", timeout=PROBE)
    except requests.RequestException as error:
        raise PipelineError(
            f"{host} does not answer ({in_words(error)}). The public Radiant MLHub was shut down: set MLHUB_ROOT_URL "
            "to a server that speaks its API, or use another source"
        ) from None
    if answer.status_code in (401, 403):
        raise PipelineError(f"{host} refuses the key ({answer.status_code}): {KEYS}")
    if answer.status_code == 404:
        raise PipelineError(f"{host} has no dataset {name!r}; see download.*.mlhub.dataset and MLHUB_ROOT_URL")
    if not answer.ok:
        raise PipelineError(f"{host} answers {answer.status_code} when asked for {name}; try again later")


def _fetch_catalog(session: "Session", name: str, catalog: Path, traffic: Traffic) -> None:
    """Bring the catalog with the client's own downloader, which continues where the line broke.

    Raises:
        PipelineError: it cannot be had, or is no tar.gz.
    """
    from radiant_mlhub.client.resumable_downloader import ResumableDownloader
    from radiant_mlhub.exceptions import MLHubException
    from radiant_mlhub.if_exists import DownloadIfExistsOpts

    catalog.parent.mkdir(parents=True, exist_ok=True)
    part = catalog.with_name(f"{catalog.name}.part")
    downloader = ResumableDownloader(
        f"catalog/{name}", part, session=session, if_exists=DownloadIfExistsOpts.resume, chunk_size=1 << 18
    )
    for attempt in range(ATTEMPTS):
        have = part.stat().st_size if part.exists() else 0
        try:
            downloader.run()
            traffic.add(part.stat().st_size - have)
            break
        except (AssertionError, KeyError, ValueError):  # its way to say that a file has no length, or knows no Range
            part.unlink(missing_ok=True)
            problem = "the server sends something else, such as a login page, or cannot continue a transfer"
        except (requests.RequestException, MLHubException) as error:  # whose text holds the key
            answer = getattr(error, "response", None)
            problem = in_words(error) if answer is None else f"the server answers {answer.status_code}"
        time.sleep(BACKOFF * 2**attempt)
    else:
        raise PipelineError(f"the catalog of {name}: {problem}; gave up after {ATTEMPTS} tries, run again")
    for _ in read_tar(part, LARGEST_ITEM):  # the whole of it, or the error that says why not
        pass
    part.rename(catalog)


def _items(catalog: Path, dataset: DatasetName, base: str) -> Iterator[RemoteItem | Failure]:
    """The dataset's items in a catalog; other files in it are passed over."""
    for member in read_tar(catalog, LARGEST_ITEM):
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

    def __init__(self, session: "Session") -> None:
        self.root, self.key = session.root_url, _key(session)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if self.key and (request.url or "").startswith(self.root):
            request.prepare_url(request.url, {"key": self.key})
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
