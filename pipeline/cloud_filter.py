"""Measure what hides the ground on each chip and date, and keep the clearest dates of each chip."""

import csv
import io
from collections import Counter
from dataclasses import asdict, fields
from functools import partial
from pathlib import Path

from pipeline.core.cli import run
from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure, Failures, OnError, report_failures
from pipeline.core.files import write_text
from pipeline.core.parallel import process
from pipeline.core.params import Params
from pipeline.core.stage_cache import stage_cache
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.raster.layout import SOURCE, RawFolder
from pipeline.raster.originals import report_original_paths
from pipeline.sentinel.date_selection import (
    CloudFilterSection,
    DateSelection,
    MeasureTask,
    Thresholds,
    judge,
    judge_with_bands,
)
from pipeline.sentinel.items import ReadOptions


class CloudFilterParams(Params):
    """Parameters of the stage."""

    on_error: OnError
    bands: BandsSection
    cloud_filter: CloudFilterSection


def select_dates(
    measured: list[DateSelection], thresholds: Thresholds, source: RawFolder, options: ReadOptions
) -> tuple[list[DateSelection], dict[Path, str]]:
    """Judge the dates; the next clearest replaces a kept date without bands.

    Returns:
        The dates with verdicts, and the errors of dates without bands, by folder.
    """
    items = {item.id: item for item in source.items}
    key = f"download.{source.dataset}.clouds_first"
    missing: dict[Path, str] = {}

    def drop_without_bands(kept: list[DateSelection]) -> dict[str, None]:
        new = [items[date.id] for date in kept if not options.has_bands(items[date.id])]
        for item in new:
            local = not (source.path / SOURCE).is_file() or source.source == "local"
            advice = "add them or remove the folder" if local else f"raise {key}.dates or {key}.max_cloud"
            bands = ", ".join(options.band_assets)
            missing[item.folder] = f"{item.folder} is clear enough to be kept, but has none of {bands}; {advice}"
        return {item.id: None for item in new}

    return judge_with_bands(measured, partial(judge, thresholds=thresholds), drop_without_bands), missing


def to_csv(dates: list[DateSelection]) -> str:
    """Return the dates as CSV; only the header if there are none."""
    text = io.StringIO()
    writer = csv.DictWriter(text, [field.name for field in fields(DateSelection)], lineterminator="\n")
    writer.writeheader()
    writer.writerows(map(asdict, dates))
    return text.getvalue()


def require_kept_date(dates: list[DateSelection], dropped: str, dataset: DatasetName, raw: Path) -> None:
    """Check that a date is kept.

    Raises:
        PipelineError: all are dropped; the clearest, and what to change.
    """
    if any(date.verdict == "keep" for date in dates):
        return
    clearest = min(dates, key=lambda date: date.hidden)
    raise PipelineError(
        f"all {len(dates)} dates in {raw} are dropped ({dropped}); in the clearest, {clearest.id}, "
        f"{clearest.hidden:.1%} of the pixels are hidden: raise the thresholds in cloud_filter.{dataset}"
    )


@report_original_paths
def cloud_filter(dataset: DatasetName, raw: Path, clear: Path, failures: Path, params: CloudFilterParams) -> str:
    """Write the table CLEAR: one row per chip and date of DATASET in RAW, with shares, verdict and reason.

    Dates that cannot be read are listed in the table FAILURES.
    """
    options = params.cloud_filter.read_options(dataset, params.bands)
    source = RawFolder(dataset, raw.absolute())
    items = source.items
    with stage_cache(f"cloud_filter-{dataset}", source.checksums, asdict(options)) as cache:
        measured, failed = process(MeasureTask(source.path, cache, options), items, f"cloud_filter {dataset}")
        thresholds = params.cloud_filter.thresholds(dataset)
        dates, missing = select_dates(measured, thresholds, source, options)
        failed = Failures(
            [*failed, *(Failure(str(folder.relative_to(source.path)), reason) for folder, reason in missing.items())],
            len(dates),
        )
        failures_summary = report_failures(failed, params.on_error, failures, source.path)
        reasons = Counter(date.reason for date in dates if date.verdict == "drop")
        dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"
        require_kept_date(dates, dropped, dataset, raw)
        write_text(clear, to_csv(dates))
    chips = len({date.chip for date in dates})
    kept = len(dates) - reasons.total()
    return f"{len(dates)} dates of {chips} chips in, {kept} kept, dropped: {dropped}{failures_summary}"


if __name__ == "__main__":
    run(cloud_filter)
