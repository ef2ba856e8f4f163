"""Select the clearest dates of each chip, for `download` and `cloud_filter`."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Literal

from pydantic import Field

from pipeline.core.params import Params, Share
from pipeline.core.stage_cache import CachedTask
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.raster.gdal import quiet_gdal
from pipeline.raster.layout import SourceItem
from pipeline.raster.sidecars import with_sidecars
from pipeline.sentinel.clouds import shares
from pipeline.sentinel.items import ReadOptions, read_bands, read_clouds

KINDS = ("cloud", "shadow", "haze", "no_data")


class LandcovernetClouds(Params):
    """How clouds are found in LandCoverNet."""

    clouds: Literal["scl", "cld"]
    """By sen2cor's scene classification, or by its cloud probability."""
    cld_threshold: int = Field(ge=1, le=100)
    """Minimum cloud probability in percent, for `cld`."""


class GhanaClouds(Params):
    """How clouds are found in the Ghana dataset."""

    clouds: Literal["mask", "none"]
    """By the archive's cloud masks, or not at all: every date counts as clear."""
    cld_threshold: ClassVar[int] = 100  # Ghana has no cloud probabilities


class Thresholds(Params):
    """The largest share of a chip's pixels, 0 to 1, that each kind may hide, and the number of dates to keep."""

    max_cloud: Share
    max_shadow: Share
    max_haze: Share
    max_no_data: Share
    dates: int = Field(ge=1)
    """Dates kept per chip: the clearest of those within the thresholds."""


class LandcovernetThresholds(Thresholds, LandcovernetClouds):
    """`cloud_filter.landcovernet` of params.yaml."""


class GhanaThresholds(Thresholds, GhanaClouds):
    """`cloud_filter.ghana` of params.yaml."""


class CloudFilterSection(Params):
    """`cloud_filter` of params.yaml."""

    landcovernet: LandcovernetThresholds
    ghana: GhanaThresholds

    def thresholds(self, dataset: DatasetName) -> LandcovernetThresholds | GhanaThresholds:
        """Return the thresholds of a Sentinel-2 dataset."""
        return self.ghana if dataset == "ghana" else self.landcovernet

    def read_options(self, dataset: DatasetName, bands: BandsSection) -> ReadOptions:
        """Return how to read the items of a dataset."""
        section = self.thresholds(dataset)
        return ReadOptions(dataset, bands, section.clouds, section.cld_threshold)


@dataclass(frozen=True)
class DateSelection:
    """One chip and date: the shares hidden, and whether it is kept."""

    id: str
    chip: str
    date: str
    """YYYY-MM-DD."""
    cloud: float
    shadow: float
    haze: float
    no_data: float
    verdict: Literal["keep", "drop"] = "keep"
    reason: str = ""
    """Why it is dropped: the first kind over its threshold, or `clearer dates`."""

    @property
    def hidden(self) -> float:
        """Share of the pixels that do not show the ground."""
        return self.cloud + self.shadow + self.haze + self.no_data


def measure(item: SourceItem, options: ReadOptions, with_bands: bool) -> DateSelection:
    """Measure one chip and date by its cloud masks and, `with_bands`, by the zeros of its bands.

    With neither (`clouds: none` and no bands yet) the date counts as clear.

    Raises:
        PipelineError: a file is missing or cannot be read.
    """
    hidden = dict.fromkeys(KINDS, 0.0)
    if with_bands or options.clouds != "none":
        hidden = shares(read_clouds(item, options, read_bands(item, options)[0] if with_bands else None))
    by_kind = hidden["cloud"], hidden["shadow"], hidden["haze"], hidden["no_data"]
    return DateSelection(item.id, item.chip, item.date.isoformat(), *by_kind)


@dataclass(frozen=True)
class MeasureTask(CachedTask):
    """Measure a date, or reuse what an earlier run measured."""

    options: ReadOptions

    def file(self, item: SourceItem) -> str:
        """Return the item's folder in the raw folder."""
        return str(item.folder.relative_to(self.raw))

    def __call__(self, item: SourceItem) -> DateSelection:
        """Measure a date.

        Raises:
            PipelineError: a file is missing or cannot be read.
        """

        def build(_: Path) -> dict[str, Any]:
            with quiet_gdal():  # once for all files
                return asdict(measure(item, self.options, self.options.has_bands(item)))

        return DateSelection(**self.cache.get(item.id, with_sidecars(item.files), build)[1])


def judge(measured: Iterable[DateSelection], thresholds: Thresholds, for_stricter: bool = False) -> list[DateSelection]:
    """Drop dates over a threshold, then all but the clearest dates of each chip (the earlier on a tie).

    Args:
        measured: any chips and dates.
        thresholds: the limits.
        for_stricter: also keep every date that stricter thresholds could keep. They may drop a clearer date and keep
            this one, unless the clearer date has no larger share of any kind; so only such dates count.

    Returns:
        The same chips and dates with verdict and reason, sorted by id.
    """
    judged = []
    kept: defaultdict[str, list[DateSelection]] = defaultdict(list)
    for date in sorted(measured, key=lambda date: (date.hidden, date.date)):
        over = [kind for kind in KINDS if getattr(date, kind) > getattr(thresholds, f"max_{kind}")]
        clearer = [other for other in kept[date.chip] if not for_stricter or _no_worse(other, date)]
        if not over and len(clearer) >= thresholds.dates:
            over = ["clearer dates"]
        if over:
            judged.append(replace(date, verdict="drop", reason=over[0]))
        else:
            judged.append(date)
            kept[date.chip].append(date)
    return sorted(judged, key=lambda date: date.id)


def _no_worse(date: DateSelection, other: DateSelection) -> bool:
    return all(getattr(date, kind) <= getattr(other, kind) for kind in KINDS)


def judge_with_bands(
    measured: Iterable[DateSelection],
    judge: Callable[[Iterable[DateSelection]], list[DateSelection]],
    provide_bands: Callable[[list[DateSelection]], Mapping[str, DateSelection | None]],
) -> list[DateSelection]:
    """Judge dates until all kept dates have bands.

    Args:
        measured: any chips and dates.
        judge: decides which dates are kept.
        provide_bands: takes the kept dates and returns those without bands so far, by id: measured again with their
            bands, which may contain no-data that the masks do not show; or None if there are no bands, so that the next
            clearest date takes its place.
    """
    dates = {date.id: date for date in measured}
    while True:
        judged = judge(dates.values())
        provided = provide_bands([date for date in judged if date.verdict == "keep"])
        if not provided:
            return judged
        for id_, date in provided.items():
            if date is None:
                del dates[id_]
            else:
                dates[id_] = date
