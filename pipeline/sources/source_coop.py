"""The source `source_coop`: Source Cooperative, or any other bucket that speaks S3 and asks for no key.

Its layout was never seen by those who wrote this, so where images and labels lie is data: two patterns in params.yaml.
"""

import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import quote

from pipeline.batch import Failure
from pipeline.cache import cache_folder
from pipeline.datasets import LAYOUTS, DatasetName
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.fingerprint import digest
from pipeline.sources.base import Fetched, Request
from pipeline.sources.clouds_first import CloudsFirst
from pipeline.sources.remote import RemoteItem, chosen
from pipeline.sources.settings import CollectionSettings, SourceCoopSettings
from pipeline.sources.transfer import Remote, Transfer, new_session

SHOWN = 5
NO_MD5 = "; if that is so for every file, its ETags are no MD5s: set download.{dataset}.source_coop.etag to none"
FOLDERS: dict[DatasetName, tuple[str, str, str]] = {
    "landcovernet": ("ref_landcovernet_v1", "_source_sentinel_2", "%Y%m%d"),
    "ghana": ("su_african_crops_ghana", "_source_s2", "%Y_%m_%d"),
}
"""How the raw folder names collections and dates, whatever the bucket does."""


def fetch_source_coop(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Fetch labels, cloud masks and the bands of clear dates of the chips that `select` names."""
    assert isinstance(request.settings, CollectionSettings)
    settings = request.settings.source_coop
    place = digest(settings.endpoint, settings.bucket, settings.prefix)[:12]
    store = cache_folder() / "downloads" / "source_coop" / f"{settings.bucket}-{place}"
    listing = store / "listing.json"
    if not listing.exists():
        write_json(listing, _list(settings))
    items = list(mapped(read_json(listing), settings, request.dataset))
    _require_both(items, read_json(listing), settings, request.dataset)
    transfer = Transfer(new_session(request.settings.connections), request.traffic)
    yield from CloudsFirst(request, transfer, store).deliver(
        chosen(items, request.settings.select, request.dataset), folder
    )


def mapped(
    listing: dict[str, dict[str, Any]], settings: SourceCoopSettings, dataset: DatasetName
) -> Iterator[RemoteItem]:
    """The items that the patterns find among the keys of a listing; other keys are passed over.

    Args:
        listing: from key, relative to the prefix, to `size` in bytes and `md5`, which may be null.
        settings: the patterns.
        dataset: how its chips and assets are called.

    Raises:
        PipelineError: two keys are one asset of one chip and date.
    """
    found: dict[tuple[str, date | None], dict[str, Remote]] = {}
    names = {described.lower(): key for key, described in LAYOUTS[dataset].assets.items()}
    names |= {key.lower(): key for key in LAYOUTS[dataset].assets}
    for key, facts in sorted(listing.items()):
        for kind in ("images", "labels"):
            match = re.fullmatch(getattr(settings, kind), key)
            if match is None or (asset := names.get(match["asset"].lower() if kind == "images" else "labels")) is None:
                continue
            day = _day(match["date"]) if kind == "images" else None
            if kind == "images" and day is None:
                continue
            url = "/".join((settings.endpoint.rstrip("/"), settings.bucket, quote(settings.prefix + key)))
            checksum = ("md5", facts["md5"]) if facts["md5"] and settings.etag == "md5" else None
            remote = Remote(url, key, facts["size"], checksum, NO_MD5.format(dataset=dataset))
            if (first := found.setdefault((match["chip"], day), {}).setdefault(asset, remote)) != remote:
                of = f"{asset} of {match['chip']}{f' on {day}' if day else ''}"
                raise PipelineError(
                    f"{first.origin} and {key} in {settings.bucket}/{settings.prefix} are two files for {of}; narrow "
                    f"download.{dataset}.source_coop.{kind} or prefix"
                )
            break
    for (chip, day), assets in found.items():
        yield RemoteItem(chip, day, _folder(chip, day, dataset), assets)


def _folder(chip: str, day: date | None, dataset: DatasetName) -> Path:
    prefix, source, written = FOLDERS[dataset]
    if day is None:
        return Path(f"{prefix}_labels", f"{prefix}_labels_{chip}")
    return Path(f"{prefix}{source}", f"{prefix}{source}_{chip}_{day.strftime(written)}")


def _day(text: str) -> date | None:
    try:
        return date.fromisoformat(re.sub(r"[_-]", "", text))
    except ValueError:
        return None


def _list(settings: SourceCoopSettings) -> dict[str, dict[str, Any]]:
    """Every key below the prefix, with its size and, where the ETag is one, its MD5.

    Raises:
        PipelineError: nobody answers, or there is no such bucket or prefix.
    """
    import s3fs  # a second to import, which the other sources need not wait for
    from botocore.exceptions import BotoCoreError, ClientError

    root = f"{settings.bucket}/{settings.prefix}"
    where = f"{settings.endpoint}/{root}"
    options = {"connect_timeout": 5, "read_timeout": 30, "retries": {"max_attempts": 2}}
    try:
        with _anonymous():
            files = s3fs.S3FileSystem(
                anon=True, endpoint_url=settings.endpoint, config_kwargs=options, skip_instance_cache=True
            )
            found: dict[str, dict[str, Any]] = files.find(root, detail=True)
    except (OSError, ValueError, BotoCoreError, ClientError) as error:  # ValueError: an endpoint that botocore dislikes
        raise PipelineError(f"{where} cannot be listed: {' '.join(str(error).split())}") from None
    if not found:
        raise PipelineError(f"{where} holds nothing; see download.*.source_coop in params.yaml")
    return {
        path[len(root) :]: {"size": facts["size"], "md5": _md5(str(facts.get("ETag", "")))}
        for path, facts in sorted(found.items())
    }


@contextmanager
def _anonymous() -> Iterator[None]:
    """Hide what a person has set for buckets of their own: even an anonymous client looks for their profile."""
    theirs = {name: value for name, value in os.environ.items() if name.startswith("AWS_") and name != "AWS_CA_BUNDLE"}
    for name in theirs:
        del os.environ[name]
    try:
        yield
    finally:
        os.environ |= theirs


def _md5(etag: str) -> str | None:
    """An ETag is the MD5 of what was stored in one part, by convention; else it has a dash."""
    text = etag.strip('"')
    return text if re.fullmatch(r"[0-9a-f]{32}", text) else None


def _require_both(items: list[RemoteItem], listing: dict[str, Any], settings: SourceCoopSettings, dataset: str) -> None:
    """Check that the patterns fit the bucket.

    Raises:
        PipelineError: they find no image or no label; what was found beside what was expected.
    """
    for kind, present in (("images", any(item.date for item in items)), ("labels", any(not i.date for i in items))):
        if not present:
            shown = ", ".join(list(listing)[:SHOWN])
            raise PipelineError(
                f"none of {len(listing)} keys in {settings.bucket}/{settings.prefix} is one of the {kind}: expected "
                f"{getattr(settings, kind)}, found {shown}{', …' if len(listing) > SHOWN else ''}; set "
                f"download.{dataset}.source_coop.{kind} to a pattern that fits"
            )
