"""STAC 1.0 collections and items like those of Radiant MLHub's archives; each says that it is synthetic."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.files import write_json
from pipeline.sources.sample.utm import Ring

JSON = "application/json"
GEOTIFF = "image/tiff; application=geotiff"

Link = dict[str, str]


@dataclass(frozen=True)
class Collection:
    """A collection to write items to."""

    id: str
    title: str
    folder: Path
    """Below which the collection's own folder lies."""

    def write_item(self, name: str, ring: Ring, properties: dict[str, Any], **more: Any) -> Path:
        """Write an item's `stac.json`; gives back its path relative to the archive.

        Args:
            name: the item's id and folder.
            ring: its outline.
            properties: with `datetime`.
            more: `assets` (key to asset), `links` beyond the usual four, `extensions`.
        """
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "properties": properties | {"title": f"Synthetic: {self.title}", "synthetic": True},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": bbox([ring]),
            "links": [_link("self", "stac.json"), *_links("../collection.json"), *more.get("links", [])],
            "assets": more["assets"],
            "stac_extensions": more.get("extensions", []),
            "collection": self.id,
        }
        path = Path(self.id, name, "stac.json")
        write_json(self.folder / path, item)
        return path

    def write(self, items: Sequence[str], rings: list[Ring], days: Sequence[str], licence: str) -> Path:
        """Write `collection.json`; gives back its path relative to the archive.

        Args:
            items: ids of the items.
            rings: their outlines.
            days: first and last, YYYY-MM-DD.
            licence: of the archive that this one stands for.
        """
        start, end = (f"{day}T00:00:00Z" for day in (min(days), max(days)))
        collection = {
            "id": self.id,
            "stac_version": "1.0.0",
            "title": f"Synthetic: {self.title}",
            "description": f"Synthetic sample, not real data, in the layout of: {self.title}",
            "links": [_link("self", "collection.json"), _link("root", "collection.json")]
            + [_link("item", f"{item}/stac.json") for item in items],
            "extent": {"spatial": {"bbox": [bbox(rings)]}, "temporal": {"interval": [[start, end]]}},
            "license": licence,
            "stac_extensions": [],
            "providers": [{"name": "Synthetic sample generator", "roles": ["producer"]}],
            "type": "Collection",
        }
        path = Path(self.id, "collection.json")
        write_json(self.folder / path, collection)
        return path


def bbox(rings: list[Ring]) -> list[float]:
    """[west, south, east, north] around all rings."""
    longitudes, latitudes = zip(*(point for ring in rings for point in ring), strict=True)
    return [min(longitudes), min(latitudes), max(longitudes), max(latitudes)]


def geotiff(name: str, title: str) -> dict[str, str]:
    """The asset of a GeoTIFF."""
    return {"href": name, "type": GEOTIFF, "title": f"{title} (synthetic)"}


def _links(collection: str) -> list[Link]:
    return [_link(relation, collection) for relation in ("parent", "root", "collection")]


def _link(relation: str, href: str) -> Link:
    return {"rel": relation, "href": href, "type": JSON}
