"""The source `source_coop`: Source Cooperative, or any other bucket that speaks S3 and asks for no key.

No listing of it was seen by those who wrote this, so where images, cloud masks and labels lie is data: patterns in
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
from typing import Any
from urllib.parse import quote

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure
from pipeline.core.fingerprint import digest
from pipeline.formats.datasets import LAYOUTS, DatasetName
from pipeline.sentinel.items import ReadOptions
from pipeline.sources.base import Fetched, Request
from pipeline.sources.clouds_first import CloudsFirst, without_masks
from pipeline.sources.listing import Bucket
from pipeline.sources.remote import RemoteItem, chosen, fitting
from pipeline.sources.settings import SourceCoopSettings
from pipeline.sources.transfer import Remote, Transfer, new_session

SHOWN = 5
TILE = "{tile}"
NO_MD5 = "; if that is so for every file, its ETags are no MD5s: set download.{dataset}.source_coop.etag to none"
FOLDERS: dict[DatasetName, tuple[str, str, str]] = {
    "landcovernet": ("ref_landcovernet_v1", "_source_sentinel_2", "%Y%m%d"),
    "ghana": ("su_african_crops_ghana", "_source_s2", "%Y_%m_%d"),
}
"""How the raw folder names collections and dates, whatever the bucket does."""
ASSETS = {"images": "source", "clouds": "cloudmask", "labels": "labels"}
"""Which asset a file is by its kind, where its pattern has no group `asset`."""


@dataclass(frozen=True)
class Match:
    """What a pattern says of a key."""

    kind: str
    """images | clouds | labels"""
    chip: str
    date: date | None
    """None for a label."""
    asset: str


@dataclass
class Sightings:
    """What the patterns found among the keys that were listed, for a message where they do not fit."""

    keys: int = 0
    found: Counter[str] = field(default_factory=Counter)
    """Keys by kind."""
    image_folders: set[str] = field(default_factory=set)
    """The folders of images, digits as 0."""
    others: dict[str, str] = field(default_factory=dict)
    """From a key that no pattern takes, digits as 0, to the first of these keys."""

    def add(self, key: str, match: Match | None) -> None:
        """Count a key."""
        self.keys += 1
        if match is None:
            self.others.setdefault(_shape(key), key)
        else:
            self.found[match.kind] += 1
            if match.kind == "images":
                self.image_folders.add(_shape(key.rpartition("/")[0]))

    def beside_images(self) -> list[str]:
        """The first of each kind of key that lies in the folder of an image, but that no pattern takes."""
        return [key for shape, key in self.others.items() if _shape(key.rpartition("/")[0]) in self.image_folders]


def fetch_source_coop(request: Request, folder: Path) -> Iterator[Fetched | Failure]:
    """Fetch labels, cloud masks and the bands of clear dates of the chips that `select` names."""
    settings = request.collection.source_coop
    place = digest(settings.endpoint, settings.bucket, settings.prefix)[:12]
    home = cache_folder() / "downloads" / "source_coop" / f"{settings.bucket}-{place}"
    bucket = Bucket(settings.endpoint, settings.bucket, settings.prefix, home)
    items = chosen(_survey(bucket, request), request.collection.select, request.dataset)
    transfer = Transfer(new_session(request.collection.connections), request.statistics)
    store = home / digest(settings.patterns)[:12]  # a file that another pattern took for this asset is not this one
    yield from CloudsFirst(request, transfer, store).deliver(items, folder)


def _survey(bucket: Bucket, request: Request) -> list[RemoteItem]:
    """The items of the tiles that `select` names, or of the first tiles that hold as many chips as it wants.

    Raises:
        PipelineError: the bucket cannot be listed, or does not hold what was expected.
    """
    settings, select, dataset = request.collection.source_coop, request.collection.select, request.dataset
    options = request.read_options
    used = {*options.band_assets, *options.cloud_assets, "labels"}
    items: list[RemoteItem] = []
    fit, seen = 0, Sightings()
    for listing in _listings(bucket, settings.folders, request):
        new = list(mapped(listing, settings, dataset, seen))
        fit += len(fitting(new, select, dataset))
        items += [replace(item, assets={key: item.assets[key] for key in used & item.assets.keys()}) for item in new]
        if select.chips != "none" and fit >= select.chips:
            break
    require_fit(seen, bucket, settings, options)
    return items


def _listings(bucket: Bucket, folders: list[str], request: Request) -> Iterator[dict[str, dict[str, Any]]]:
    """What lies in the folders: that of one tile together, in the order of the tiles, by which chips are sorted too.

    Raises:
        PipelineError: a tile that `select` names has nothing.
    """
    tiles = request.collection.select.tiles
    if fixed := [folder for folder in folders if TILE not in folder]:
        yield _keys(bucket, fixed)
    if by_tile := [folder for folder in folders if TILE in folder]:
        above = by_tile[0].partition(TILE)[0]
        for tile in sorted(bucket.folders(above) if tiles == "none" else set(tiles)):
            of_tile = [folder.replace(TILE, tile) for folder in by_tile]
            listing = _keys(bucket, of_tile)
            if not listing and tiles != "none":
                there = get_close_matches(tile, bucket.folders(above), n=SHOWN + 1, cutoff=0)  # the closest first
                raise PipelineError(
                    f"{bucket.where}{of_tile[0]} holds nothing, but download.{request.dataset}.select.tiles names "
                    f"{tile}; {bucket.where}{above} has {_some(there)}; name one of these, or set "
                    f"download.{request.dataset}.source_coop.prefix to where it lies"
                )
            yield listing


def _keys(bucket: Bucket, folders: list[str]) -> dict[str, dict[str, Any]]:
    return {key: facts for folder in folders for key, facts in bucket.keys(folder).items()}


def mapped(
    listing: dict[str, dict[str, Any]], settings: SourceCoopSettings, dataset: DatasetName, seen: Sightings
) -> Iterator[RemoteItem]:
    """The items that the patterns find among the keys of a listing; other keys are passed over.

    Args:
        listing: from key, relative to the prefix, to `size` in bytes and `md5`, which may be null.
        settings: the patterns.
        dataset: how its chips and assets are called.
        seen: is told of each key.

    Raises:
        PipelineError: two keys are one asset of one chip and date.
    """
    found: dict[tuple[str, date | None], dict[str, Remote]] = {}
    patterns = settings.patterns
    for key, facts in sorted(listing.items()):
        match = matched(key, patterns, dataset)
        seen.add(key, match)
        if match is None:
            continue
        url = "/".join((settings.endpoint.rstrip("/"), settings.bucket, quote(settings.prefix + key)))
        checksum = ("md5", facts["md5"]) if facts["md5"] and settings.etag == "md5" else None
        remote = Remote(url, key, facts["size"], checksum, NO_MD5.format(dataset=dataset))
        assets = found.setdefault((match.chip, match.date), {})
        if (first := assets.setdefault(match.asset, remote)) != remote:
            of = f"{match.asset} of {match.chip}{f' on {match.date}' if match.date else ''}"
            raise PipelineError(
                f"{first.origin} and {key} in {settings.bucket}/{settings.prefix} are two files for {of}; narrow "
                f"download.{dataset}.source_coop.{match.kind} or prefix"
            )
    for (chip, day), assets in found.items():
        yield RemoteItem(chip, day, _folder(chip, day, dataset), assets)


def matched(key: str, patterns: dict[str, str], dataset: DatasetName) -> Match | None:
    """What the first pattern that takes the key says of it; None if none does, or if it names no date or asset."""
    for kind, pattern in patterns.items():
        if (match := re.fullmatch(pattern, key)) is None:
            continue
        groups = match.groupdict()
        asset = _assets(dataset).get(groups["asset"].lower()) if "asset" in groups else ASSETS[kind]
        day = None if kind == "labels" else _day(groups["date"])
        if asset is not None and (day is not None or kind == "labels"):
            return Match(kind, groups["chip"], day, asset)
    return None


@cache
def _assets(dataset: DatasetName) -> dict[str, str]:
    """From what an asset may be called, in small letters, to its key."""
    assets = LAYOUTS[dataset].assets
    return {name.lower(): key for key, described in assets.items() for name in (described, key)}


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


def require_fit(seen: Sightings, bucket: Bucket, settings: SourceCoopSettings, options: ReadOptions) -> None:
    """Check that every pattern that is needed fits the bucket.

    Raises:
        PipelineError: nothing was listed, or a pattern finds nothing; what was found beside what was expected.
    """
    place = f"download.{options.dataset}.source_coop"
    if not seen.keys:
        folders = ", ".join(settings.folders)
        raise PipelineError(f"{bucket.where} holds nothing in {place}.folders ({folders}); see {place}.prefix")
    beside = seen.beside_images()
    for kind, pattern in settings.patterns.items():
        if seen.found[kind] or (kind == "clouds" and not options.cloud_assets):
            continue
        found, advice = _some(seen.others.values()), ""
        if kind == "clouds":
            found, advice = f"beside the images {_some(beside)}" if beside else found, without_masks(options)
        raise PipelineError(
            f"none of {seen.keys} keys in {bucket.root} is one of the {kind}: expected {pattern}, found {found}; set "
            f"{place}.{kind} to a pattern that fits{advice}"
        )


def _some(texts: Iterable[str]) -> str:
    """The first few."""
    listed = list(texts)
    return ", ".join(listed[:SHOWN]) + (", …" if len(listed) > SHOWN else "") or "nothing"


def _shape(key: str) -> str:
    return re.sub(r"\d+", "0", key)
