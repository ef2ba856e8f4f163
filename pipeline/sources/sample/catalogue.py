"""What an archive says about its images: STAC 1.0 as in Radiant MLHub's archives, outlines, the official split."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine

from pipeline.core.files import write_json, write_text
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import write_geotiff
from pipeline.sources.sample.noise import Rng, Shape, derive_seed

JSON = "application/json"
GEOTIFF = "image/tiff; application=geotiff"

Link = dict[str, str]
Ring = list[list[float]]
"""Closed outline of [longitude, latitude]."""
AXIS = 6378137.0
E2 = 0.00669437999014
SCALE = 0.9996
DEGREE = math.pi / 180
PIXEL = 10
"""Pixel size of Sentinel-2 in metres."""


@dataclass(frozen=True)
class UtmGrid:
    """Pixel grid of a Sentinel-2 chip."""

    shape: Shape
    zone: int
    south: bool
    left: int
    """Easting of the left edge, in metres."""
    top: int
    """Northing of the top edge, in metres."""

    @property
    def georeference(self) -> Georeference:
        """CRS and transform."""
        crs = f"EPSG:{(32700 if self.south else 32600) + self.zone}"
        return Georeference(crs, Affine(PIXEL, 0.0, self.left, 0.0, -PIXEL, self.top))

    @property
    def outline(self) -> Ring:
        """Corners of the grid, counterclockwise from the bottom left."""
        bottom, right = self.top - PIXEL * self.shape[0], self.left + PIXEL * self.shape[1]
        corners = (self.left, bottom), (right, bottom), (right, self.top), (self.left, self.top), (self.left, bottom)
        return [to_degrees(easting, northing, self.zone, self.south) for easting, northing in corners]


def to_degrees(easting: float, northing: float, zone: int, south: bool) -> list[float]:
    """Convert to [longitude, latitude] in degrees, to six decimals: the last bit of a sine depends on the CPU.

    Formulas: J. P. Snyder, Map Projections, a Working Manual (USGS 1987), pages 63 and 64; WGS 84. Accurate to 0.5 m.
    Projecting with pyproj instead changes the sixth decimal of one number in ten, and so the bytes of the archives.
    """
    foot = _footpoint((northing - 10_000_000.0 * south) / SCALE)
    sine, cosine = math.sin(foot), math.cos(foot)
    tangent2 = (sine / cosine) ** 2
    c = E2 / (1 - E2) * cosine * cosine
    radius = AXIS / math.sqrt(1 - E2 * sine * sine)
    d = (easting - 500_000.0) / (radius * SCALE)
    d2 = d * d
    fall = d2 / 2 - (5 + 3 * tangent2 + 10 * c - 4 * c * c - 9 * E2 / (1 - E2)) * d2 * d2 / 24
    latitude = foot - sine / cosine * (1 - E2 * sine * sine) / (1 - E2) * fall
    turn = 1 - (1 + 2 * tangent2 + c) * d2 / 6 + (5 + 28 * tangent2 + 24 * tangent2 * tangent2) * d2 * d2 / 120
    longitude = d * turn / cosine
    return [round(zone * 6 - 183 + longitude / DEGREE, 6), round(latitude / DEGREE, 6)]


def _footpoint(arc: float) -> float:
    """Return the footpoint latitude in radians for a meridian arc of `arc` metres from the equator."""
    mu = arc / (AXIS * (1 - E2 / 4 - 3 * E2 * E2 / 64 - 5 * E2 * E2 * E2 / 256))
    root = math.sqrt(1 - E2)
    e1 = (1 - root) / (1 + root)
    return mu + 3 * e1 / 2 * math.sin(2 * mu) + 21 * e1 * e1 / 16 * math.sin(4 * mu)


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


def write_split_lists(chip_ids: Sequence[str], seed: int, folder: Path) -> Iterator[Path]:
    """Split `chip_ids` at random 70/15/15 and write `train.txt`, `val.txt` and `test.txt`."""
    shuffled = Rng(derive_seed(seed, "lists")).shuffled(chip_ids)
    count = len(chip_ids) * 15 // 100
    parts = {"train": shuffled[2 * count :], "val": shuffled[:count], "test": shuffled[count : 2 * count]}
    for part, members in parts.items():
        write_text(folder / f"{part}.txt", "".join(f"{chip_id}\n" for chip_id in sorted(members)))
        yield Path(f"{part}.txt")
