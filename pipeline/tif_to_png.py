"""Convert the kept dates of Sentinel-2 chips and their labels to 8-bit PNGs and palette masks."""

import csv
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, replace
from pathlib import Path

from pydantic import model_validator

from pipeline.core.cli import run
from pipeline.core.errors import PipelineError
from pipeline.core.failures import OnError, report_failures
from pipeline.core.files import atomic_path, link
from pipeline.core.parallel import process
from pipeline.core.params import Params
from pipeline.core.stage_cache import stage_cache
from pipeline.formats.chips import (
    OFFICIAL,
    Imagery,
    Origin,
    chip_folders,
    dropped_summary,
    failed_entry,
    make_chip_folders,
    unmatched_entry,
    write_tables,
)
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.raster.labels import nodata_classes_summary
from pipeline.raster.layout import RawFolder
from pipeline.raster.originals import report_original_paths
from pipeline.sentinel.conversion import Conversion, ConvertTask, LabelledItem, LandcovernetConversion, flat_path
from pipeline.sentinel.date_selection import CloudFilterSection


class TifToPngSection(Params):
    """`tif_to_png` of params.yaml."""

    landcovernet: LandcovernetConversion
    ghana: Conversion


class TifToPngParams(Params):
    """Parameters of the stage."""

    on_error: OnError
    bands: BandsSection
    cloud_filter: CloudFilterSection
    tif_to_png: TifToPngSection

    @model_validator(mode="after")
    def _require_cloud_masks(self) -> "TifToPngParams":
        if self.tif_to_png.ghana.ignore_clouds and self.cloud_filter.ghana.clouds == "none":
            raise ValueError(
                "tif_to_png.ghana.ignore_clouds is true, but cloud_filter.ghana.clouds is none, which finds "
                "no clouds; set one to false or the other to mask"
            )
        return self

    def conversion(self, dataset: DatasetName) -> Conversion:
        """Return the section of a Sentinel-2 dataset."""
        return self.tif_to_png.ghana if dataset == "ghana" else self.tif_to_png.landcovernet

    def imagery(self, dataset: DatasetName) -> Imagery:
        """Return how to convert the dataset's values to 8 bits."""
        return self.conversion(dataset).imagery(self.cloud_filter.read_options(dataset, self.bands).band_names)


def require_chips(chips: int, dropped: dict[str, int], failed: int, source: RawFolder) -> None:
    """Check that at least one chip was made.

    Raises:
        PipelineError: there is none; why, and what to change.
    """
    if chips:
        return
    unlabelled = dropped["without a labelled pixel"]
    advice = "check the labels"
    if unlabelled and source.dataset == "landcovernet":
        advice += ", or lower tif_to_png.landcovernet.min_consensus"
    raise PipelineError(
        f"no chips from {failed + sum(dropped.values())} clear dates in {source.path}: {failed} failed, "
        f"{dropped['without a label item']} have no label item and {unlabelled} no labelled pixel; {advice}"
    )


def read_selection(clear: Path) -> list[dict[str, str]]:
    """Read the rows of the table that `cloud_filter` wrote."""
    with clear.open(encoding="utf-8", newline="") as reader:
        return list(csv.DictReader(reader))


def dropped_dates(selection: Iterable[dict[str, str]]) -> dict[str, int]:
    """Count the dates that the cloud filter dropped, by reason."""
    reasons = Counter(row["reason"] for row in selection if row["verdict"] == "drop")
    return {f"dates: {reason.replace('_', '-')}": count for reason, count in sorted(reasons.items())}


@report_original_paths
def tif_to_png(
    dataset: DatasetName, raw: Path, clear: Path, chips: Path, failures: Path, params: TifToPngParams
) -> str:
    """Convert the dates of DATASET in RAW that the table CLEAR keeps to chips in the folder CHIPS.

    Dates that cannot be converted are listed in the table FAILURES.
    """
    source = RawFolder(dataset, raw.absolute())
    table = source.classes
    options = params.cloud_filter.read_options(dataset, params.bands)
    selection = read_selection(clear)
    kept = {row["id"] for row in selection if row["verdict"] == "keep"}
    items = [item for item in source.items if item.id in kept]
    labels, official = source.labels, source.official_parts
    labelled = [LabelledItem(item, labels[item.chip]) for item in items if item.chip in labels]
    imagery, conversion = params.imagery(dataset), params.conversion(dataset)
    bands = len(imagery.bands)
    settings = asdict(options), imagery, conversion.model_dump()
    with (
        stage_cache(f"tif_to_png-{dataset}", source.checksums, *settings, table.model_dump()) as cache,
        atomic_path(chips) as folder,
    ):
        make_chip_folders(folder, bands)
        task = ConvertTask(source.path, cache, options, conversion, table)
        converted, failed = process(task, labelled, f"tif_to_png {dataset}")
        failures_summary = report_failures(failed, params.on_error, failures, source.path)
        kept_rows = [(cached, chip.row) for cached, chip in converted if chip.row is not None]
        for cached, row in kept_rows:
            for kind in chip_folders(bands):
                link(flat_path(cached, kind), folder / kind / f"{row['id']}.png")
        rows = [row | {OFFICIAL: official.get(str(row["scene"]))} for _, row in kept_rows]
        dropped = {
            "without a label item": len(items) - len(labelled),
            "without a labelled pixel": len(converted) - len(rows),
        }
        require_chips(len(rows), dropped, len(failed), source)
        dropped |= unmatched_entry(sorted(official.keys() - {str(row["scene"]) for row in rows}))
        left_out = dropped_dates(selection) | dropped | failed_entry("dates", len(failed))
        imagery = replace(imagery, synthetic=source.synthetic)
        write_tables(folder, rows, table, imagery, Origin(source.source, left_out))
    nodata_summary = nodata_classes_summary(chip.nodata_classes for _, chip in converted)
    details = f"{dropped_summary(dropped)}{nodata_summary}{failures_summary}"
    return f"{len(items)} clear dates in, {len(rows)} chips kept, {details}"


if __name__ == "__main__":
    run(tif_to_png)
