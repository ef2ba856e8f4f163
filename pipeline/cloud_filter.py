"""Judges every chip and date by what hides the ground, and keeps the clearest dates of each chip."""

from collections import Counter
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.cli import parallel_map, progress, run
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, Failures, OnError, catch_failures, partition_results, report_failures
from pipeline.core.files import write_text
from pipeline.core.params import Params
from pipeline.core.stage_cache import StageCache, stage_cache
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.raster.layout import RawFolder, SourceItem, has_any_asset
from pipeline.raster.originals import report_original_paths
from pipeline.raster.sidecars import with_sidecars
from pipeline.sentinel.date_selection import CloudFilterSection, DateSelection, Thresholds, judge, look
from pipeline.sentinel.items import Reading


class CloudFilterParams(Params):
    """What `cloud_filter` reads of params.yaml."""

    on_error: OnError
    bands: BandsSection
    cloud_filter: CloudFilterSection


def measured(item: SourceItem, reading: Reading, pieces: StageCache) -> DateSelection:
    """What `look` finds, kept.

    Raises:
        PipelineError: a file is missing or cannot be read.
    """
    found: dict[str, Any] = pieces.get(item.id, with_sidecars(item.files), lambda _: asdict(look(item, reading)))[1]
    return DateSelection(**found)


def judged(
    looked: list[DateSelection], thresholds: Thresholds, folders: dict[str, Path], reading: Reading
) -> tuple[list[DateSelection], dict[Path, str]]:
    """What `judge` says of the dates that have bands where they need them.

    A date that would be kept, but whose bands a source left out, leaves its place to the next clearest.

    Returns:
        The verdicts, and for the folder of each date without its bands what is wrong.
    """
    bare: dict[Path, str] = {}
    while True:
        verdicts = judge([one for one in looked if folders[one.id] not in bare], thresholds)
        kept = [folders[one.id] for one in verdicts if one.verdict == "keep"]
        new = [folder for folder in kept if not has_any_asset(reading.dataset, folder, reading.band_assets)]
        if not new:
            return verdicts, bare
        for folder in new:
            bare[folder] = (
                f"{folder} is clear enough to be kept, but has none of {', '.join(reading.band_assets)}; "
                f"run `dvc repro download@{reading.dataset}`, which fetches the bands of clear dates"
            )


def written(verdicts: list[DateSelection]) -> str:
    """The table of the verdicts as CSV; of none its header alone."""
    columns = [field.name for field in fields(DateSelection)]
    return pd.DataFrame(map(asdict, verdicts), columns=columns).to_csv(index=False, lineterminator="\n")


def refuse_all(verdicts: list[DateSelection], dropped: str, dataset: DatasetName, raw: Path) -> None:
    """Check that a date is kept.

    Raises:
        PipelineError: all are rejected; the clearest, and what to change.
    """
    if any(one.verdict == "keep" for one in verdicts):
        return
    clearest = min(verdicts, key=lambda one: one.hidden)
    raise PipelineError(
        f"all {len(verdicts)} dates in {raw} are rejected ({dropped}); the clearest, {clearest.id}, hides "
        f"{clearest.hidden:.1%} of its pixels: raise the thresholds in cloud_filter.{dataset}"
    )


@report_original_paths
def cloud_filter(dataset: DatasetName, raw: Path, clear: Path, failures: Path, params: CloudFilterParams) -> str:
    """Write the table CLEAR: one row a chip and date of DATASET in RAW, with shares, verdict and reason.

    Dates that cannot be read are in the table FAILURES.
    """
    thresholds: Thresholds = getattr(params.cloud_filter, dataset)
    reading = params.cloud_filter.reading(dataset, params.bands)
    source = RawFolder(dataset, raw)
    items = source.items
    with stage_cache(f"cloud_filter-{dataset}", source.checksum, asdict(reading)) as pieces:
        one = catch_failures(
            partial(measured, reading=reading, pieces=pieces), lambda item: str(item.folder.relative_to(raw))
        )
        looked, failed = partition_results(progress(parallel_map(one, items), f"cloud_filter {dataset}", len(items)))
        verdicts, bare = judged(looked, thresholds, {item.id: item.folder for item in items}, reading)
        without = [Failure(str(folder.relative_to(raw)), reason) for folder, reason in bare.items()]
        settled = report_failures(Failures([*failed, *without], len(verdicts)), params.on_error, failures, raw)
        reasons = Counter(one.reason for one in verdicts if one.verdict == "drop")
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"
        refuse_all(verdicts, dropped, dataset, raw)
        write_text(clear, written(verdicts))
    chips = len({one.chip for one in verdicts})
    kept = len(verdicts) - reasons.total()
    return f"{len(verdicts)} dates of {chips} chips in, {kept} kept, dropped: {dropped}{settled}"


if __name__ == "__main__":
    run(cloud_filter)
