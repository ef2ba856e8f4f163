"""Of Sentinel-2 chips on a server only what is needed is fetched: clouds first.

The labels and the cloud masks of every date come first; then the bands of those dates alone that the cloud filter will
keep. A year of LandCoverNet has some 70 dates a chip, of which two are used. Without cloud masks (`clouds: none`) bands
are fetched until as many dates as are kept have turned out to hold data.
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
from pipeline.sentinel.date_selection import DateSelection, Thresholds, judge, measure
from pipeline.sources.base import Fetched, Request
from pipeline.sources.remote import RemoteItem
from pipeline.sources.settings import CollectionSettings
from pipeline.sources.stac import local_stac
from pipeline.sources.transfer import Transfer, require_space

LABEL = ("labels",)


class CloudsFirst:
    """Brings items to a folder that outlives the run, and links them from there into the raw folder."""

    def __init__(self, request: Request, transfer: Transfer, store: Path) -> None:
        assert isinstance(request.settings, CollectionSettings)
        self.reading = request.cloud_filter.reading(request.dataset, request.bands)
        self.thresholds: Thresholds = getattr(request.cloud_filter, request.dataset)
        self.connections = request.settings.connections
        self.transfer = transfer
        self.store = store
        self.failures: dict[Path, list[Failure]] = defaultdict(list)
        """By the folder of the item, which is then left out as a whole."""
        self.clear: set[Path] = set()
        """The folders of items whose bands are fetched."""

    def deliver(self, items: list[RemoteItem], folder: Path) -> Iterator[Fetched | Failure]:
        """Fetch `items` and link them into the raw folder `folder`, with each item's JSON.

        Yields:
            Each file, then what failed: of an item with a failure nothing is delivered.
        """
        self.store.mkdir(parents=True, exist_ok=True)
        require_space(self.store, self.estimate(items))
        dated = [item for item in items if item.date]
        self._fetch([(item, key) for item in items for key in (self.reading.cloud_assets if item.date else LABEL)])
        looked = self._measure(dated)
        while new := [item for item in self._kept(looked, dated) if item.folder not in self.clear]:
            self._fetch([(item, key) for item in new for key in self.reading.band_assets])
            self.clear |= {item.folder for item in new}
            looked |= self._measure(new)  # a band may show no-data that the masks did not
        for item in items:
            if not self.failures[item.folder]:
                yield from self._link(item, folder)
        for failures in self.failures.values():
            yield from failures

    def estimate(self, items: list[RemoteItem]) -> int:
        """About how many bytes are still to be fetched: an asset is taken to be as large as the first of its kind."""
        dated = [item for item in items if item.date]
        chips = Counter(item.chip for item in dated)
        clear = sum(min(dates, self.thresholds.dates) for dates in chips.values())
        total = self._size([item for item in items if not item.date], "labels", len(items))
        total += sum(self._size(dated, key, len(dated)) for key in self.reading.cloud_assets)
        return total + sum(self._size(dated, key, clear) for key in self.reading.band_assets)

    def _size(self, items: list[RemoteItem], key: str, most: int) -> int:
        """Bytes of the asset `key` of at most `most` of the items, without those that are there already."""
        there = sum((self.store / item.folder / f"{key}.tif").exists() for item in items)
        missing = min(len(items), most) - there
        remote = next((item.assets[key] for item in items if key in item.assets), None)
        return missing * (self.transfer.length(remote) or 0) if missing > 0 and remote else 0

    def _kept(self, looked: dict[str, DateSelection], dated: list[RemoteItem]) -> list[RemoteItem]:
        """The clearest of what is delivered: a date that failed leaves its place to the next one."""
        there = [item for item in dated if not self.failures[item.folder]]
        judged = judge([looked[self._local(item).id] for item in there], self.thresholds)
        keep = {verdict.id for verdict in judged if verdict.verdict == "keep"}
        return [item for item in there if self._local(item).id in keep]

    def _fetch(self, wanted: list[tuple[RemoteItem, str]]) -> None:
        """Fetch assets in parallel; what fails is noted."""
        with thread_pool(self.connections) as pool:
            for failure in pool.map(catch_failures(self._fetch_one, lambda one: str(one[0].folder)), wanted):
                if isinstance(failure, Failure):
                    self.failures[Path(failure.file)].append(failure)

    def _fetch_one(self, wanted: tuple[RemoteItem, str]) -> None:
        item, key = wanted
        if key not in item.assets:
            advice = self.reading.without_clouds if key in self.reading.cloud_assets else ""
            raise PipelineError(f"{item.folder} has no asset {key}; it has {', '.join(item.assets) or 'none'}{advice}")
        remote = item.assets[key]
        self.transfer.fetch(remote, self.store / item.folder / f"{key}.tif", partial(_verify, origin=remote.origin))

    def _measure(self, items: list[RemoteItem]) -> dict[str, DateSelection]:
        """What hides the ground of each; what cannot be read is removed, so that another run fetches it again."""
        found = {}
        for item in (item for item in items if not self.failures[item.folder]):
            local = self._local(item)
            try:
                found[local.id] = measure(local, self.reading, with_bands=item.folder in self.clear)
            except PipelineError as error:
                self.failures[item.folder].append(Failure(str(item.folder), " ".join(str(error).split())))
                remove(local.folder)
        return found

    def _local(self, item: RemoteItem) -> SourceItem:
        assert item.date is not None
        return SourceItem(item.chip, item.date, self.store / item.folder)

    def _link(self, item: RemoteItem, folder: Path) -> Iterator[Fetched]:
        keys = list(self.reading.cloud_assets if item.date else LABEL)
        if item.folder in self.clear:
            keys += self.reading.band_assets
        if not keys:  # a date that nothing was fetched of
            return
        for key in keys:
            path = item.folder / f"{key}.tif"
            link(self.store / path, folder / path)
            yield Fetched(path, item.assets[key].origin)
        if item.stac is not None:
            path = item.folder / "stac.json"
            write_json(folder / path, local_stac(item, keys))
            yield Fetched(path, path.as_posix())


def _verify(path: Path, origin: str) -> None:
    """Check that a file is a whole GeoTIFF, whatever the server called it."""
    try:
        with open_geotiff(path):
            pass
    except PipelineError as error:
        raise PipelineError(str(error).replace(str(path), origin)) from None
