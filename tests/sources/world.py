"""Archives and requests for the tests of sources."""

from datetime import date
from pathlib import Path
from typing import Any

from pipeline.download import DownloadParams
from pipeline.sources.base import Request
from pipeline.sources.sample.catalogue import Collection, geotiff_asset
from tests.world import ghana_item, ghana_label, landcovernet_item, landcovernet_label, params


def request(dataset: Any, **changes: Any) -> Request:
    """The request of the stage, with these dotted keys of the params changed."""
    given = params(DownloadParams, **changes)
    return Request(dataset, getattr(given.download, dataset), given.bands)


RING: Any = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
DAYS = [date(2018, month, 5) for month in (1, 4, 7, 10)]
CLOUDY = {DAYS[1]: 200, DAYS[3]: 60}
"""Hidden pixels of 256 on some days; the rest are clear."""


def small_landcovernet(folder: Path, chips: tuple[str, ...] = ("31PGS_01", "31PGS_02")) -> Path:
    """An archive of chips on four days, two of them cloudy, with collections, items and labels."""
    source = Collection("ref_landcovernet_af_v1_source_sentinel_2", "source", folder)
    labels = Collection("ref_landcovernet_af_v1_labels", "labels", folder)
    for number, chip in enumerate(chips):
        ring: Any = [(x + number * 2, y) for x, y in RING]
        for day in DAYS:
            item = landcovernet_item(folder, chip, day, scl=9, hidden=CLOUDY.get(day, 0))
            assets = {path.stem: geotiff_asset(path.name, path.stem) for path in sorted(item.folder.glob("*.tif"))}
            source.write_item(item.folder.name, ring, {"datetime": f"{day}T00:00:00Z"}, assets=assets)
        label = landcovernet_label(folder, chip)
        year = {"datetime": "2018-07-01T00:00:00Z"}
        labels.write_item(label.name, ring, year, assets={"labels": geotiff_asset("labels.tif", "labels")})
    for collection in (source, labels):
        collection.write([], [RING], ["2018-01-01", "2018-12-31"], "CC-BY-4.0")
    return folder


def small_ghana(folder: Path, chips: tuple[str, ...] = ("000001", "000002")) -> Path:
    """The same for Ghana."""
    source = Collection("su_african_crops_ghana_source_s2", "source", folder)
    labels = Collection("su_african_crops_ghana_labels", "labels", folder)
    for chip in chips:
        for day in DAYS:
            item = ghana_item(folder, chip, day, code=1, hidden=CLOUDY.get(day, 0))
            assets = {name: geotiff_asset(f"{name}.tif", name) for name in ("source", "cloudmask")}
            source.write_item(item.folder.name, RING, {"datetime": f"{day}T00:00:00Z"}, assets=assets)
        label = ghana_label(folder, chip)
        year = {"datetime": "2018-07-01T00:00:00Z"}
        labels.write_item(label.name, RING, year, assets={"labels": geotiff_asset("labels.tif", "labels")})
    for collection in (source, labels):
        collection.write([], [RING], ["2018-01-01", "2018-12-31"], "CC-BY-SA-4.0")
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    """Bytes by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
