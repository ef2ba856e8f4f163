"""Parse STAC items of unknown origin.

`pystac` takes 1.6 times as long per item, accepts the collection `../out` and a bbox of two numbers, and raises an
AttributeError, KeyError or TypeError on others.
"""

import json
import re
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

from pydantic import BaseModel, Field, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.formats.datasets import LAYOUTS, DatasetName
from pipeline.sources.remote import RemoteItem
from pipeline.sources.settings import Latitude, Longitude
from pipeline.sources.transfer import Remote


class _Asset(BaseModel):
    href: str
    size: int | None = Field(default=None, alias="file:size", ge=0)
    checksum: str | None = Field(default=None, alias="file:checksum")


class _Item(BaseModel):
    """The used fields of an item."""

    id: str
    collection: str = Field(pattern=r"^\w+$")
    bbox: tuple[Longitude, Latitude, Longitude, Latitude] | None = None
    assets: dict[str, _Asset] = Field(min_length=1)


def parse_item(text: bytes, dataset: DatasetName, base: str) -> RemoteItem | None:
    """Parse an item of a dataset; None for other JSON, such as a collection, and for items of other datasets.

    Args:
        text: its JSON.
        dataset: the dataset, for the names of items and assets.
        base: the base URL of relative hrefs.

    Raises:
        PipelineError: invalid JSON, no assets, an invalid bbox, collection or href.
    """
    try:
        values = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise PipelineError(f"not valid JSON: {error}") from None
    if not isinstance(values, dict) or values.get("type") != "Feature":
        return None
    try:
        item = _Item.model_validate(values)
    except ValidationError as error:
        raise PipelineError(f"not a STAC item: {_first(error)}") from None
    if (chip_and_date := _chip_and_date(item.id, dataset)) is None:
        return None
    names = {key: f"{item.collection}/{item.id}/{key}.tif" for key in item.assets}
    assets = {
        key: _remote(asset, names[key], base) for key, asset in item.assets.items() if key in LAYOUTS[dataset].assets
    }
    return RemoteItem(*chip_and_date, Path(item.collection, item.id), assets, item.bbox, values)


def local_stac(item: RemoteItem, fetched: list[str]) -> dict[str, Any]:
    """Return the item's JSON for the raw folder, with local files as assets and without links to servers."""
    values = dict(item.stac or {})
    values["assets"] = {key: values["assets"][key] | {"href": f"{key}.tif"} for key in sorted(fetched)}
    links = values.get("links")
    values["links"] = [
        link
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, dict) and not re.match(r"[A-Za-z][\w+.-]*:|//", str(link.get("href", "")).strip())
    ]
    return values


def _chip_and_date(name: str, dataset: DatasetName) -> tuple[str, date | None] | None:
    """Parse the id of a source or label item; the patterns match no slash, so no id leaves the archive's folder."""
    layout = LAYOUTS[dataset]
    if match := layout.source_item.fullmatch(name):
        try:
            return match["chip"], date.fromisoformat(match["date"].replace("_", "-"))
        except ValueError:
            raise PipelineError(f"id ends in {match['date']}, which is not a date") from None
    if match := layout.label_item.fullmatch(name):
        return match["chip"], None
    return None


def _remote(asset: _Asset, origin: str, base: str) -> Remote:
    """Return the file of an asset, on any host; a relative href is relative to `base`."""
    try:
        url = urljoin(base, asset.href)
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        raise PipelineError(f"{origin}: href {asset.href!r} is not an http or https URL")
    return Remote(url, origin, asset.size, _sha256(asset.checksum))


def _sha256(multihash: str | None) -> tuple[str, str] | None:
    """Parse a SHA-256 multihash (code 12, length 20, in hex); None for other kinds, which are not checked."""
    match = re.fullmatch(r"1220([0-9a-f]{64})", multihash or "")
    return ("sha256", match[1]) if match else None


def _first(error: ValidationError) -> str:
    details = error.errors()[0]
    return f"{'.'.join(map(str, details['loc'])) or 'item'}: {details['msg']}"
