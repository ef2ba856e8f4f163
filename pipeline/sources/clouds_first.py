"""Fetch cloud masks first, then only the bands of clear dates.

LandCoverNet has some 70 dates a year for each chip, and two are used. Labels and the cloud masks of all dates come
first; then the bands of every date that `cloud_filter` may keep under thresholds at least as strict as
`download.D.clouds_first`. Without cloud masks (`clouds: none`) bands are fetched until enough dates contain data.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, catch_failures
from pipeline.core.files import link, remove, write_json
from pipeline.core.interrupt import thread_pool
from pipeline.raster.geotiff import open_geotiff
from pipeline.raster.layout import SourceItem
from pipeline.sentinel.date_selection import DateSelection, judge, judge_with_bands, measure
from pipeline.sentinel.items import ReadOptions
from pipeline.sources.base import Fetched, Request
from pipeline.sources.remote import RemoteItem
from pipeline.sources.stac import local_stac
from pipeline.sources.transfer import Transfer, require_space

LABEL = ("labels",)


class ItemFetcher:
    """Fetch items into a folder that outlives the run, and link them from there into the raw folder."""

    def __init__(self, request: Request, transfer: Transfer, store: Path) -> None:
        self.options = request.read_options
        self.thresholds = request.collection.clouds_first.thresholds
        self.connections = request.collection.connections
        self.transfer = transfer
        self.store = store
        self.failures: dict[Path, list[Failure]] = defaultdict(list)
        """By the folder of the item, which is then left out as a whole."""
        self.with_bands: set[Path] = set()
        """The folders of items whose bands were fetched by this run; the store may hold others of earlier runs."""

    def fetch(self, items: list[RemoteItem], folder: Path) -> Iterator[Fetched | Failure]:
        """Fetch `items` and link them into the raw folder `folder`, with each item's JSON.

        Yields:
            Each file, then the failures: nothing of a failed item is delivered.
        """
        self.store.mkdir(parents=True, exist_ok=True)
        require_space(self.store, self.estimate(items))
        self._fetch_assets(
            [(item, key) for item in items for key in (self.options.cloud_assets if item.date else LABEL)]
        )
        dated = {self._local(item).id: item for item in items if item.date}

        def fetch_bands(kept: list[DateSelection]) -> dict[str, DateSelection | None]:
            new = {date.id: dated[date.id] for date in kept if dated[date.id].folder not in self.with_bands}
            self._fetch_assets([(item, key) for item in new.values() for key in self.options.band_assets])
            self.with_bands |= {item.folder for item in new.values()}
            return {id_: self._measure(item) for id_, item in new.items()}

        measured = [date for item in dated.values() if (date := self._measure(item))]
        judge_with_bands(measured, partial(judge, thresholds=self.thresholds, for_stricter=True), fetch_bands)
        for item in items:
            if not self.failures[item.folder]:
                yield from self._link(item, folder)
        for failures in self.failures.values():
            yield from failures

    def estimate(self, items: list[RemoteItem]) -> int:
        """Estimate the least number of bytes still to fetch.

        An asset counts as large as the first of its kind, and each chip needs bands of at least `dates` dates; how many
        more, only the cloud masks show.
        """
        dated = [item for item in items if item.date]
        chips = Counter(item.chip for item in dated)
        clear = sum(min(dates, self.thresholds.dates) for dates in chips.values())
        total = self._size([item for item in items if not item.date], "labels", len(items))
        total += sum(self._size(dated, key, len(dated)) for key in self.options.cloud_assets)
        return total + sum(self._size(dated, key, clear) for key in self.options.band_assets)

    def _size(self, items: list[RemoteItem], key: str, limit: int) -> int:
        """Return the bytes of the asset `key` of at most `limit` items, without those in the store."""
        stored = sum((self.store / item.folder / f"{key}.tif").exists() for item in items)
        missing = min(len(items), limit) - stored
        remote = next((item.assets[key] for item in items if key in item.assets), None)
        return missing * (self.transfer.length(remote) or 0) if missing > 0 and remote else 0

    def _fetch_assets(self, assets: list[tuple[RemoteItem, str]]) -> None:
        """Fetch assets in parallel; record failures by item."""
        with thread_pool(self.connections) as pool:
            for failure in pool.map(catch_failures(self._fetch_asset, lambda asset: str(asset[0].folder)), assets):
                if isinstance(failure, Failure):
                    self.failures[Path(failure.file)].append(failure)

    def _fetch_asset(self, asset: tuple[RemoteItem, str]) -> None:
        item, key = asset
        if key not in item.assets:
            advice = missing_masks_advice(self.options) if key in self.options.cloud_assets else ""
            raise PipelineError(f"{item.folder} has no asset {key}; it has {', '.join(item.assets) or 'none'}{advice}")
        remote = item.assets[key]
        self.transfer.fetch(remote, self.store / item.folder / f"{key}.tif", partial(_verify, origin=remote.origin))

    def _measure(self, item: RemoteItem) -> DateSelection | None:
        """Measure a date; None if it failed. Remove unreadable files, so that the next run fetches them again."""
        if self.failures[item.folder]:
            return None
        local = self._local(item)
        try:
            return measure(local, self.options, with_bands=item.folder in self.with_bands)
        except PipelineError as error:
            self.failures[item.folder].append(Failure(str(item.folder), " ".join(str(error).split())))
            remove(local.folder)
            return None

    def _local(self, item: RemoteItem) -> SourceItem:
        assert item.date is not None
        return SourceItem(item.chip, item.date, self.store / item.folder)

    def _link(self, item: RemoteItem, folder: Path) -> Iterator[Fetched]:
        keys = list(self.options.cloud_assets if item.date else LABEL)
        if item.folder in self.with_bands:
            keys += self.options.band_assets
        if not keys:  # a date without cloud masks whose bands were not needed
            return
        for key in keys:
            path = item.folder / f"{key}.tif"
            link(self.store / path, folder / path)
            yield Fetched(path, item.assets[key].origin)
        if item.stac is not None:
            path = item.folder / "stac.json"
            write_json(folder / path, local_stac(item, keys))
            yield Fetched(path, path.as_posix())


def missing_masks_advice(options: ReadOptions) -> str:
    """Advise on a server without cloud masks."""
    keys = f"download.{options.dataset}.clouds_first.clouds", f"cloud_filter.{options.dataset}.clouds"
    return options.missing_masks_advice(*keys)


def _verify(path: Path, origin: str) -> None:
    """Check that a file is a whole GeoTIFF, whatever its Content-Type."""
    try:
        with open_geotiff(path):
            pass
    except PipelineError as error:
        raise PipelineError(str(error).replace(str(path), origin)) from None
