"""The source `source_coop`: Source Cooperative, or any other public S3 bucket.

Its listing was not available when this was written, so the locations of images, cloud masks and labels are patterns in
params.yaml.
"""

import re
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import date
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from urllib.parse import quote

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure
from pipeline.core.fingerprint import digest
from pipeline.formats.datasets import LAYOUTS, DatasetName
from pipeline.sentinel.items import ReadOptions
from pipeline.sources.base import Fetched, Request
from pipeline.sources.clouds_first import ItemFetcher, missing_masks_advice
from pipeline.sources.listing import Bucket, Listing
from pipeline.sources.remote import RemoteItem, matching_chips, select_items
from pipeline.sources.settings import SourceCoopSettings
from pipeline.sources.transfer import Remote, Transfer, new_session

SHOWN = 5
TILE = "{tile}"
ETAG_ADVICE = "; if this happens for every file, the ETags are not MD5: set download.{dataset}.source_coop.etag to none"
FOLDERS: dict[DatasetName, tuple[str, str, str]] = {
    "landcovernet": ("ref_landcovernet_v1", "_source_sentinel_2", "%Y%m%d"),
    "ghana": ("su_african_crops_ghana", "_source_s2", "%Y_%m_%d"),
}
"""Prefix, collection and date format of folders in the raw folder, whatever those of the bucket."""
ASSETS = {"images": "source", "clouds": "cloudmask", "labels": "labels"}
"""The asset by kind of file, for patterns without a group `asset`."""


@dataclass(frozen=True)
class Match:
    """A key that matches a pattern."""

    kind: str
    """images | clouds | labels"""
    chip: str
    date: date | None
    """None for a label."""
    asset: str


@dataclass
class KeyStatistics:
    """Matched and unmatched keys, for the message when a pattern does not match."""

    keys: int = 0
    matched: Counter[str] = field(default_factory=Counter)
    """Keys by kind."""
    unmatched: dict[str, str] = field(default_factory=dict)
    """The first unmatched key by its form with numbers as 0."""

    def add(self, key: str, match: Match | None) -> None:
        """Count a key."""
        self.keys += 1
        if match is None:
            self.unmatched.setdefault(re.sub(r"\d+", "0", key), key)
        else:
            self.matched[match.kind] += 1


def fetch_source_coop(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Fetch labels, cloud masks and the bands of clear dates of the selected chips."""
    settings = request.collection.source_coop
    bucket_id = digest(settings.endpoint, settings.bucket, settings.prefix)[:12]
    cache = cache_folder() / "downloads" / "source_coop" / f"{settings.bucket}-{bucket_id}"
    bucket = Bucket(settings.endpoint, settings.bucket, settings.prefix, cache)
    items = select_items(_list_items(bucket, request), request.collection.select, request.dataset)
    transfer = Transfer(new_session(request.collection.connections), request.statistics)
    store = cache / digest(settings.patterns)[:12]  # other patterns may match another file for the same asset
    yield from ItemFetcher(request, transfer, store).fetch(items, folder)


def _list_items(bucket: Bucket, request: Request) -> list[RemoteItem]:
    """List the items of the selected tiles, or of the first tiles with enough chips.

    Raises:
        PipelineError: the bucket cannot be listed, or a pattern does not match.
    """
    settings, select, dataset = request.collection.source_coop, request.collection.select, request.dataset
    options = request.read_options
    used = {*options.band_assets, *options.cloud_assets, "labels"}
    items: list[RemoteItem] = []
    chips, statistics = 0, KeyStatistics()
    for listing in _listings(bucket, settings.folders, request):
        new = list(parse_listing(listing, settings, dataset, statistics))
        chips += len(matching_chips(new, select, dataset))
        items += [replace(item, assets={key: item.assets[key] for key in used & item.assets.keys()}) for item in new]
        if select.chips != "none" and chips >= select.chips:
            break
    require_matches(statistics, bucket, settings, options)
    return items


def _listings(bucket: Bucket, folders: list[str], request: Request) -> Iterator[Listing]:
    """List the folders: those without a tile together, then those of each tile, sorted by tile like the chips.

    Raises:
        PipelineError: a selected tile has no files.
    """
    tiles = request.collection.select.tiles
    if fixed := [folder for folder in folders if TILE not in folder]:
        yield _keys(bucket, fixed)
    if by_tile := [folder for folder in folders if TILE in folder]:
        parent = by_tile[0].partition(TILE)[0]
        for tile in sorted(bucket.folders(parent) if tiles == "none" else set(tiles)):
            tile_folders = [folder.replace(TILE, tile) for folder in by_tile]
            listing = _keys(bucket, tile_folders)
            if not listing and tiles != "none":
                closest = get_close_matches(tile, bucket.folders(parent), n=SHOWN + 1, cutoff=0)
                raise PipelineError(
                    f"{bucket.url}{tile_folders[0]} is empty, but download.{request.dataset}.select.tiles contains "
                    f"{tile}; {bucket.url}{parent} has {_first_few(closest)}; select one of these, or set "
                    f"download.{request.dataset}.source_coop.prefix to the prefix of {tile}"
                )
            yield listing


def _keys(bucket: Bucket, folders: list[str]) -> Listing:
    return {key: entry for folder in folders for key, entry in bucket.keys(folder).items()}


def parse_listing(
    listing: Listing, settings: SourceCoopSettings, dataset: DatasetName, statistics: KeyStatistics
) -> Iterator[RemoteItem]:
    """Group the keys that match a pattern by item; skip others.

    Args:
        listing: size and MD5 by key, relative to the prefix.
        settings: the patterns.
        dataset: for the names of chips and assets.
        statistics: counts each key.

    Raises:
        PipelineError: two keys match one asset of one chip and date.
    """
    items: dict[tuple[str, date | None], dict[str, Remote]] = {}
    patterns = settings.patterns
    for key, entry in sorted(listing.items()):
        match = match_key(key, patterns, dataset)
        statistics.add(key, match)
        if match is None:
            continue
        url = "/".join((settings.endpoint.rstrip("/"), settings.bucket, quote(settings.prefix + key)))
        checksum = ("md5", entry["md5"]) if entry["md5"] and settings.etag == "md5" else None
        remote = Remote(url, key, entry["size"], checksum, ETAG_ADVICE.format(dataset=dataset))
        assets = items.setdefault((match.chip, match.date), {})
        if (first := assets.setdefault(match.asset, remote)) != remote:
            asset = f"{match.asset} of {match.chip}{f' on {match.date}' if match.date else ''}"
            raise PipelineError(
                f"{first.origin} and {key} in {settings.bucket}/{settings.prefix} are two files for {asset}; narrow "
                f"download.{dataset}.source_coop.{match.kind} or prefix"
            )
    for (chip, day), assets in items.items():
        yield RemoteItem(chip, day, _item_folder(chip, day, dataset), assets)


def match_key(key: str, patterns: dict[str, str], dataset: DatasetName) -> Match | None:
    """Match a key with the first pattern that yields a valid date and a known asset; None if there is none."""
    for kind, pattern in patterns.items():
        if (match := re.fullmatch(pattern, key)) is None:
            continue
        groups = match.groupdict()
        asset = _assets(dataset).get(groups["asset"].lower()) if "asset" in groups else ASSETS[kind]
        day = None if kind == "labels" else _parse_date(groups["date"])
        if asset is not None and (day is not None or kind == "labels"):
            return Match(kind, groups["chip"], day, asset)
    return None


@cache
def _assets(dataset: DatasetName) -> dict[str, str]:
    """Map all names of assets, in lower case, to their keys."""
    assets = LAYOUTS[dataset].assets
    return {name.lower(): key for key, described in assets.items() for name in (described, key)}


def _item_folder(chip: str, day: date | None, dataset: DatasetName) -> Path:
    prefix, source, date_format = FOLDERS[dataset]
    if day is None:
        return Path(f"{prefix}_labels", f"{prefix}_labels_{chip}")
    return Path(f"{prefix}{source}", f"{prefix}{source}_{chip}_{day.strftime(date_format)}")


def _parse_date(text: str) -> date | None:
    try:
        return date.fromisoformat(re.sub(r"[_-]", "", text))
    except ValueError:
        return None


def require_matches(
    statistics: KeyStatistics, bucket: Bucket, settings: SourceCoopSettings, options: ReadOptions
) -> None:
    """Check that each required pattern matches at least one key.

    Raises:
        PipelineError: the listing is empty, or a pattern matches nothing; the keys found and the pattern.
    """
    section = f"download.{options.dataset}.source_coop"
    if not statistics.keys:
        folders = ", ".join(settings.folders)
        raise PipelineError(f"{bucket.url} has no files in {section}.folders ({folders}); check {section}.prefix")
    for kind, pattern in settings.patterns.items():
        if statistics.matched[kind] or (kind == "clouds" and not options.cloud_assets):
            continue
        advice = missing_masks_advice(options) if kind == "clouds" else ""
        raise PipelineError(
            f"none of {statistics.keys} keys in {bucket.url} matches {section}.{kind}: expected {pattern}, found "
            f"{_first_few(statistics.unmatched.values())}; set {section}.{kind} to a pattern that matches{advice}"
        )


def _first_few(texts: Iterable[str]) -> str:
    listed = list(texts)
    return ", ".join(listed[:SHOWN]) + (", …" if len(listed) > SHOWN else "") or "nothing"
