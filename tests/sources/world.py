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


LANDCOVERNET_ID = "ref_landcovernet_af_v1"
"""The dataset of a hub."""
RING: Any = [[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]
DAYS = [date(2018, month, 5) for month in (1, 4, 7, 10)]
CLOUDY = {DAYS[1]: 200, DAYS[3]: 60}
"""Hidden pixels of 256 on some days; the rest are clear."""


def small_landcovernet(folder: Path, chips: tuple[str, ...] = ("31PGS_01", "31PGS_02")) -> Path:
    """An archive of chips on four days, two of them cloudy, with collections, items and labels."""
    for chip in chips:
        landcovernet_label(folder, chip)
        for day in DAYS:
            landcovernet_item(folder, chip, day, scl=9, hidden=CLOUDY.get(day, 0))
    return _described(folder, chips)


def small_ghana(folder: Path, chips: tuple[str, ...] = ("000001", "000002")) -> Path:
    """The same for Ghana."""
    for chip in chips:
        ghana_label(folder, chip)
        for day in DAYS:
            ghana_item(folder, chip, day, code=1, hidden=CLOUDY.get(day, 0))
    return _described(folder, chips)


def _described(folder: Path, chips: tuple[str, ...]) -> Path:
    """Add the STAC items and collections; the chips are two degrees apart."""
    for path in sorted(folder.iterdir()):
        collection = Collection(path.name, "labels" if path.name.endswith("_labels") else "source", folder)
        for item in sorted(path.iterdir()):
            chip = next(chip for chip in chips if chip in item.name)
            ring: Any = [(x + chips.index(chip) * 2, y) for x, y in RING]
            assets = {tiff.stem: geotiff_asset(tiff.name, tiff.stem) for tiff in sorted(item.glob("*.tif"))}
            collection.write_item(item.name, ring, {"datetime": "2018-07-01T00:00:00Z"}, assets=assets)
        collection.write([], [RING], ["2018-01-01", "2018-12-31"], "CC-BY-4.0")
    return folder


def files_below(folder: Path) -> dict[str, bytes]:
    """Bytes by path."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()
    }
