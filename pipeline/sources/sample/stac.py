"""STAC 1.0 collections and items like those of Radiant MLHub's archives, each marked as synthetic."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.core.files import write_json
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources.sample.utm import Ring, UtmGrid

JSON = "application/json"
GEOTIFF = "image/tiff; application=geotiff"

Link = dict[str, str]


@dataclass(frozen=True)
class Collection:
    """A STAC collection of an archive."""

    id: str
    title: str
    folder: Path
    """Of the archive; it contains the collection's folder."""

    def write_scene(
        self, item: str, grid: UtmGrid, day: date, rasters: dict[str, np.ndarray], nodata: dict[str, int] | None = None
    ) -> Iterator[Path]:
        """Write an item with one GeoTIFF per raster; yield each finished file, relative to the archive.

        Args:
            item: id and folder of the item.
            grid: of the pixels.
            day: of the acquisition.
            rasters: (bands, height, width) by asset key.
            nodata: by asset key; None declares none.
        """
        for key, pixels_CHW in rasters.items():
            path = Path(self.id, item, f"{key}.tif")
            write_geotiff(self.folder / path, pixels_CHW, grid.georeference, nodata=nodata and nodata[key])
            yield path
        assets = {key: geotiff_asset(f"{key}.tif", key) for key in rasters}
        yield self.write_item(item, grid.outline, {"datetime": f"{day}T00:00:00Z"}, assets=assets)

    def write_item(
        self,
        name: str,
        ring: Ring,
        properties: dict[str, Any],
        assets: dict[str, Any],
        links: Sequence[Link] = (),
        extensions: Sequence[str] = (),
    ) -> Path:
        """Write an item's `stac.json` and return its path relative to the archive.

        Args:
            name: id and folder of the item.
            ring: its outline.
            properties: its properties, including `datetime`.
            assets: by key.
            links: in addition to the usual four.
            extensions: URLs of STAC extensions.
        """
        item = {
            "type": "Feature",
            "stac_version": "1.0.0",
            "id": name,
            "properties": properties | {"title": f"Synthetic: {self.title}", "synthetic": True},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
            "bbox": _bbox([ring]),
            "links": [
                _link("self", "stac.json"),
                *(_link(relation, "../collection.json") for relation in ("parent", "root", "collection")),
                *links,
            ],
            "assets": assets,
            "stac_extensions": list(extensions),
            "collection": self.id,
        }
        path = Path(self.id, name, "stac.json")
        write_json(self.folder / path, item)
        return path

    def write(self, items: Sequence[str], rings: list[Ring], days: Sequence[str], licence: str) -> Path:
        """Write `collection.json` and return its path relative to the archive.

        Args:
            items: ids of the items.
            rings: their outlines.
            days: first and last, YYYY-MM-DD.
            licence: of the real archive.
        """
        start, end = (f"{day}T00:00:00Z" for day in (min(days), max(days)))
        collection = {
            "id": self.id,
            "stac_version": "1.0.0",
            "title": f"Synthetic: {self.title}",
            "description": f"Synthetic sample, not real data, in the layout of: {self.title}",
            "links": [_link("self", "collection.json"), _link("root", "collection.json")]
            + [_link("item", f"{item}/stac.json") for item in items],
            "extent": {"spatial": {"bbox": [_bbox(rings)]}, "temporal": {"interval": [[start, end]]}},
            "license": licence,
            "stac_extensions": [],
            "providers": [{"name": "Synthetic sample generator", "roles": ["producer"]}],
            "type": "Collection",
        }
        path = Path(self.id, "collection.json")
        write_json(self.folder / path, collection)
        return path


def _bbox(rings: list[Ring]) -> list[float]:
    """Return the bounds of all rings: [west, south, east, north]."""
    longitudes, latitudes = zip(*(point for ring in rings for point in ring), strict=True)
    return [min(longitudes), min(latitudes), max(longitudes), max(latitudes)]


def geotiff_asset(name: str, title: str) -> dict[str, str]:
    """Return the asset of a GeoTIFF."""
    return {"href": name, "type": GEOTIFF, "title": f"{title} (synthetic)"}


def _link(relation: str, href: str) -> Link:
    return {"rel": relation, "href": href, "type": JSON}
