"""The source `mlhub`: a server with the API of Radiant MLHub, at `MLHUB_ROOT_URL`.

The client `radiant_mlhub` provides key and server as configured for it. It does not download: it would write under
final names without timeouts or checks, print a rejected key, and unpack members outside its folder.
"""

import configparser
import logging
import os
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from urllib.parse import urlsplit

import requests
from requests.auth import AuthBase, HTTPBasicAuth
from requests.utils import get_auth_from_url
from urllib3.util import Retry

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure, catch_failures, partition_results
from pipeline.core.fingerprint import digest
from pipeline.formats.datasets import DatasetName
from pipeline.sources.base import Fetched, Request
from pipeline.sources.clouds_first import ItemFetcher
from pipeline.sources.http_errors import BUSY, describe_error, retry_advice, retry_after
from pipeline.sources.remote import RemoteItem, select_items
from pipeline.sources.settings import http_address
from pipeline.sources.stac import parse_item
from pipeline.sources.transfer import Remote, Transfer, new_session
from pipeline.sources.unpack import read_tar

PROBE_TIMEOUT = (5.0, 6.0)
"""Seconds to connect and to respond, for the request that checks key and dataset."""
PROBE_RETRIES = Retry(
    2, connect=0, read=0, status_forcelist=BUSY, backoff_factor=0.5, retry_after_max=4, raise_on_status=False
)
"""For a server that is busy for seconds; one that requires a longer wait is reported."""
LARGEST_ITEM = 4 * 1024 * 1024
"""Largest JSON of an item, in bytes."""
KEYS = "set MLHUB_API_KEY, or MLHUB_PROFILE to a profile of ~/.mlhub/profiles (__anonymous__ for none)"


@dataclass(frozen=True)
class Hub:
    """A server with the API."""

    root: str
    """Ends in a slash."""
    key: str | None = field(repr=False)

    @property
    def host(self) -> str:
        """The host for messages, without user and password."""
        return urlsplit(self.root).netloc.rpartition("@")[2]


def fetch_mlhub(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Fetch labels, cloud masks and the bands of clear dates of the selected chips."""
    name = request.collection.mlhub.dataset
    hub = _configured_hub()
    store = cache_folder() / "downloads" / "mlhub" / f"{name}-{digest(hub.root)[:12]}"
    logging.getLogger("urllib3").setLevel(logging.CRITICAL)  # its debug lines and warnings contain URLs with the key
    transfer = Transfer(new_session(request.collection.connections), request.statistics)
    transfer.session.auth = _KeyForRoot(hub)
    catalog = store / "catalog.tar.gz"
    if not catalog.exists():
        _probe(hub, name)
        transfer.fetch(Remote(f"{hub.root}catalog/{name}", f"the catalog of {name}"), catalog)
    items, failures = partition_results(_items(catalog, request.dataset, f"{hub.root}collections/"))
    yield from failures
    if not items:
        raise PipelineError(
            f"the catalog of {name} contains no item of {request.dataset}; check download.*.mlhub.dataset"
        )
    selected = select_items(items, request.collection.select, request.dataset)
    yield from ItemFetcher(request, transfer, store).fetch(selected, folder)


def _configured_hub() -> Hub:
    """Read server and key from the configuration of the client.

    Raises:
        PipelineError: there is no key, the profiles cannot be read, or the root is not a URL.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # its models use pydantic 1
        from radiant_mlhub.exceptions import APIKeyNotFound
        from radiant_mlhub.session import get_session
    try:
        session = get_session(profile=os.environ.get("MLHUB_PROFILE"))
    except APIKeyNotFound:
        raise PipelineError(f"no key for Radiant MLHub: {KEYS}") from None
    except (configparser.Error, UnicodeDecodeError, OSError):  # whose text quotes the file, with the key
        profiles = Path(os.environ.get("MLHUB_HOME", "~/.mlhub"), "profiles")
        raise PipelineError(
            f"{profiles} is not a valid file of profiles; expected a section [default], or [NAME] if MLHUB_PROFILE is "
            "NAME, with a line api_key = YOUR_KEY, % written as %%"
        ) from None
    root = session.root_url.rstrip("/") + "/"  # without it, relative URLs would replace the last part of the path
    try:
        http_address(root)
    except ValueError as error:
        raise PipelineError(f"MLHUB_ROOT_URL: {error}, such as https://host/mlhub/v1/") from None
    key = session.params.get("key") if isinstance(session.params, dict) else None
    return Hub(root, None if key is None else str(key))


def _probe(hub: Hub, name: str) -> None:
    """Check key and dataset by one short request.

    Raises:
        PipelineError: the server does not respond, the key is rejected, or there is no such dataset.
    """
    try:
        with new_session(1, PROBE_RETRIES) as session:
            session.auth = _KeyForRoot(hub)
            response = session.get(f"{hub.root}datasets/{name}", timeout=PROBE_TIMEOUT)
    except (requests.RequestException, ValueError, OverflowError) as error:  # the last two: of a Retry-After
        raise PipelineError(
            f"{hub.host} does not respond ({describe_error(error)}). The public Radiant MLHub was shut down: set "
            "MLHUB_ROOT_URL to a server with its API, or use another source"
        ) from None
    status, wait = response.status_code, retry_after(response)
    if status in (401, 403):
        raise PipelineError(f"{hub.host} rejects the key (HTTP {status}): {KEYS}")
    if status == 404:
        raise PipelineError(f"{hub.host} has no dataset {name!r}; check download.*.mlhub.dataset and MLHUB_ROOT_URL")
    if not response.ok:
        advice = "try again later" if wait is None else retry_advice(wait)
        raise PipelineError(f"{hub.host} responds with HTTP {status} for the dataset {name}; {advice}")


def _items(catalog: Path, dataset: DatasetName, base: str) -> Iterator[RemoteItem | Failure]:
    """Read the dataset's items from a catalog; skip other files.

    Raises:
        PipelineError: it is not a readable tar.gz, or too large; it is removed, so that the next run fetches it again.
    """

    def parse(member: tuple[PurePosixPath, bytes]) -> RemoteItem | None:
        return parse_item(member[1], dataset, base)

    parsed = catch_failures(parse, lambda member: str(member[0]))
    try:
        for member in read_tar(catalog, LARGEST_ITEM):
            if isinstance(member, Failure):
                yield member
            elif member[0].suffix == ".json" and (item := parsed(member)) is not None:
                yield item
    except StageError:
        raise
    except PipelineError as error:
        catalog.unlink(missing_ok=True)
        raise PipelineError(f"{error}; removed, run again") from None


class _KeyForRoot(AuthBase):
    """Add the key to requests of the API only: assets are on other hosts, which must not receive it."""

    def __init__(self, hub: Hub) -> None:
        self.root = requests.Request("GET", hub.root).prepare().url or ""  # normalised as requests does
        self.key = hub.key
        self.user, self.password = get_auth_from_url(hub.root)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        if (request.url or "").startswith(self.root):
            if self.key:
                request.prepare_url(request.url, {"key": self.key})
            if self.user:
                HTTPBasicAuth(self.user, self.password)(request)
        return request
