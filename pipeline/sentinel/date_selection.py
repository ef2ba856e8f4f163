"""The rule of the cloud filter: which dates of a chip are clear enough, and which of those are kept."""

from collections import Counter
from dataclasses import dataclass, replace
from typing import Literal

from pydantic import Field

from pipeline.core.params import Params, Share
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.raster.layout import SourceItem, has_any_asset
from pipeline.sentinel.clouds import shares
from pipeline.sentinel.items import Reading, read_bands, read_clouds

KINDS = ("cloud", "shadow", "haze", "no_data")


class Thresholds(Params):
    """The largest share of a chip's pixels, 0 to 1, that each kind may hide; and how many dates to keep."""

    max_cloud: Share
    max_shadow: Share
    max_haze: Share
    max_no_data: Share
    dates: int = Field(ge=1)
    """The clearest dates of a chip that are kept, of those within the thresholds."""


class LandcovernetThresholds(Thresholds):
    """`cloud_filter.landcovernet` of params.yaml."""

    clouds: Literal["scl", "cld"]
    """Cloud and haze by sen2cor's scene classification, or cloud by its probability."""
    cld_threshold: int = Field(ge=1, le=100)
    """Least probability of a cloud in percent, for `cld`."""


class GhanaThresholds(Thresholds):
    """`cloud_filter.ghana` of params.yaml."""

    clouds: Literal["mask", "none"]
    """By the archive's cloud masks; or none, where there are none: every date counts as clear."""


class CloudFilterSection(Params):
    """`cloud_filter` of params.yaml."""

    landcovernet: LandcovernetThresholds
    ghana: GhanaThresholds

    def reading(self, dataset: DatasetName, bands: BandsSection) -> Reading:
        """How the items of a dataset are read under these params."""
        clouds = self.ghana.clouds if dataset == "ghana" else self.landcovernet.clouds
        return Reading(dataset, bands, clouds, self.landcovernet.cld_threshold)


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


def look(item: SourceItem, reading: Reading) -> DateSelection:
    """Measure one chip and date; the verdict is still open.

    A date without any band, which a source did not fetch because of its clouds, is measured by its masks alone.

    Raises:
        PipelineError: a file is missing or cannot be read.
    """
    return measure(item, reading, with_bands=has_any_asset(reading.dataset, item.folder, reading.band_assets))


def measure(item: SourceItem, reading: Reading, with_bands: bool) -> DateSelection:
    """Measure one chip and date, by its masks and, `with_bands`, by the zeros of its bands.

    Where clouds are `none` and the bands are not there either, nothing speaks against it.

    Raises:
        PipelineError: a file is missing or cannot be read.
    """
    if not with_bands and reading.clouds == "none":
        return DateSelection(item.id, item.chip, item.date.isoformat(), 0.0, 0.0, 0.0, 0.0)  # until its bands are read
    hidden = shares(read_clouds(item, reading, read_bands(item, reading) if with_bands else None))
    kinds = hidden["cloud"], hidden["shadow"], hidden["haze"], hidden["no_data"]
    return DateSelection(item.id, item.chip, item.date.isoformat(), *kinds)


def judge(looked: list[DateSelection], thresholds: Thresholds) -> list[DateSelection]:
    """Drop what exceeds a threshold, then all but the clearest dates of each chip (the earlier on a tie).

    Returns:
        The same chips and dates with verdict and reason, sorted by id.
    """
    judged = []
    kept: Counter[str] = Counter()
    for one in sorted(looked, key=lambda one: (one.hidden, one.date)):
        over = [kind for kind in KINDS if getattr(one, kind) > getattr(thresholds, f"max_{kind}")]
        if not over and kept[one.chip] == thresholds.dates:
            over = ["clearer dates"]
        kept[one.chip] += not over
        judged.append(replace(one, verdict="drop", reason=over[0]) if over else one)
    return sorted(judged, key=lambda one: one.id)
