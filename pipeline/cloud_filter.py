"""Judges every chip and date by what hides the ground, and keeps the clearest dates of each chip."""

from collections import Counter
from dataclasses import asdict
from functools import partial
from pathlib import Path

import pandas as pd

from pipeline.catalog import SourceItem, source_items
from pipeline.command import in_parallel, progress, run
from pipeline.datasets import BandsSection, DatasetName
from pipeline.errors import PipelineError
from pipeline.files import write_text
from pipeline.params import Params
from pipeline.raster.clouds import shares
from pipeline.raster.items import Reading, read_bands, read_sky
from pipeline.raster.verdicts import CloudFilterSection, Thresholds, Verdict, judge


class CloudFilterParams(Params):
    """What `cloud_filter` reads of params.yaml."""

    bands: BandsSection
    cloud_filter: CloudFilterSection


def look(item: SourceItem, reading: Reading) -> Verdict:
    """Measure one chip and date; the verdict is still open.

    Raises:
        PipelineError: a file is missing or cannot be read.
    """
    sky_HW = read_sky(item, reading, read_bands(item, reading))
    hidden = shares(sky_HW)
    kinds = hidden["cloud"], hidden["shadow"], hidden["haze"], hidden["no_data"]
    return Verdict(item.id, item.chip, item.date.isoformat(), *kinds)


def cloud_filter(dataset: DatasetName, raw: Path, clear: Path, params: CloudFilterParams) -> str:
    """Write the table CLEAR: one row a chip and date of DATASET in RAW, with shares, verdict and reason."""
    thresholds: Thresholds = getattr(params.cloud_filter, dataset)
    reading = params.cloud_filter.reading(dataset, params.bands)
    items = source_items(dataset, raw)
    looked = in_parallel(partial(look, reading=reading), items)
    verdicts = judge(list(progress(looked, f"cloud_filter {dataset}", len(items))), thresholds)
    reasons = Counter(one.reason for one in verdicts if one.verdict == "drop")
    dropped = ", ".join(f"{count} {reason}" for reason, count in sorted(reasons.items())) or "none"
    if reasons.total() == len(verdicts):
        clearest = min(verdicts, key=lambda one: one.hidden)
        raise PipelineError(
            f"all {len(verdicts)} dates in {raw} are rejected ({dropped}); the clearest, {clearest.id}, hides "
            f"{clearest.hidden:.1%} of its pixels: raise the thresholds in cloud_filter.{dataset}"
        )
    write_text(clear, pd.DataFrame(map(asdict, verdicts)).to_csv(index=False, lineterminator="\n"))
    chips = len({one.chip for one in verdicts})
    return f"{len(verdicts)} dates of {chips} chips in, {len(verdicts) - reasons.total()} kept, dropped: {dropped}"


if __name__ == "__main__":
    run(cloud_filter)
