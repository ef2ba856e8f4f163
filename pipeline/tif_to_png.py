"""Convert the kept dates of Sentinel-2 chips and their labels to 8-bit PNGs and palette masks."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from pipeline.core.cli import parallel_map, progress, run
from pipeline.core.errors import PipelineError
from pipeline.core.failures import OnError, catch_failures, partition_results, report_failures
from pipeline.core.files import atomic_path
from pipeline.core.params import Params, Stretch
from pipeline.core.stage_cache import StageCache, stage_cache
from pipeline.formats.chips import (
    OFFICIAL,
    Imagery,
    Origin,
    dropped_summary,
    failed_entry,
    link_chips,
    make_chip_folders,
    unmatched_entry,
    write_tables,
)
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.formats.png import save_chip
from pipeline.raster.imagery import to_8bit
from pipeline.raster.labels import nodata_classes_summary
from pipeline.raster.layout import RawFolder, SourceItem, asset
from pipeline.raster.originals import report_original_paths
from pipeline.raster.sidecars import with_sidecars
from pipeline.sentinel.clouds import PixelKind
from pipeline.sentinel.date_selection import CloudFilterSection
from pipeline.sentinel.items import ReadOptions, describe_chip, read_bands, read_clouds, read_label


class Conversion(Params):
    """How to convert values to 8-bit colours, and which pixels of the masks to ignore."""

    scale: float = Field(gt=0)
    offset: float
    """Reflectance is `scale * value + offset`."""
    stretch: Literal["minmax"] | Stretch
    """The reflectances that become black and white; or the extremes of each image, as in the study."""
    ignore_clouds: bool
    """Whether to ignore the hidden pixels of a kept date."""


class LandcovernetConversion(Conversion):
    """`tif_to_png.landcovernet` of params.yaml."""

    min_consensus: int = Field(ge=0, le=100)
    """Ignore label pixels with less agreement of the annotators, in percent."""


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
        conversion = self.conversion(dataset)
        bands = tuple(map(str, getattr(self.bands, dataset)))
        return Imagery(bands, conversion.scale, conversion.offset, conversion.stretch)


def read_item(item: SourceItem, options: ReadOptions, imagery: Imagery) -> tuple[np.ndarray, np.ndarray]:
    """Read an item as 8 bits, uint8 (height, width, bands), and its clouds, `PixelKind` (height, width)."""
    bands_CHW = read_bands(item, options, imagery)
    clouds_HW = read_clouds(item, options, bands_CHW)
    return to_8bit(bands_CHW, imagery, clouds_HW != PixelKind.NO_DATA), clouds_HW


@dataclass(frozen=True)
class LabelledItem:
    """A chip and date with the folder of its label."""

    source: SourceItem
    label: Path


@dataclass(frozen=True)
class Converted:
    """The result of one item."""

    row: dict[str, object] | None
    """The chip's row of `chips.csv`; None without a labelled pixel."""
    nodata_classes: dict[str, int]
    """Pixels by class that the label declares as no-data."""


def convert(
    item: LabelledItem, options: ReadOptions, params: TifToPngParams, table: ClassTable, folder: Path
) -> Converted:
    """Write the chip of an item."""
    conversion = params.conversion(options.dataset)
    consensus = conversion.min_consensus if isinstance(conversion, LandcovernetConversion) else 0
    image_HWC, clouds_HW = read_item(item.source, options, params.imagery(options.dataset))
    labels = read_label(item.label, item.source, options, table, consensus)
    mask_HW = labels.mask_HW
    mask_HW[clouds_HW >= (PixelKind.SHADOW if conversion.ignore_clouds else PixelKind.NO_DATA)] = IGNORE
    if (mask_HW == IGNORE).all():
        return Converted(None, labels.nodata_classes)
    return Converted(
        save_chip(folder, describe_chip(item.source, options), image_HWC, mask_HW, table), labels.nodata_classes
    )


def convert_cached(
    item: LabelledItem, options: ReadOptions, params: TifToPngParams, table: ClassTable, cache: StageCache
) -> tuple[Path, Converted]:
    """Convert an item, or reuse what an earlier run converted.

    Returns:
        The folder with the chip, and its row.

    Raises:
        PipelineError: a file is missing, cannot be read, or contains invalid values.
    """

    def build(folder: Path) -> dict[str, Any]:
        make_chip_folders(folder, len(params.imagery(options.dataset).bands))
        return asdict(convert(item, options, params, table, folder))

    inputs = with_sidecars((*item.source.files, asset(options.dataset, item.label, "labels")))
    folder, result = cache.get(item.source.id, inputs, build)
    return folder, Converted(**result)


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


def dropped_dates(selection: pd.DataFrame) -> dict[str, int]:
    """Count the dates that the cloud filter dropped, by reason."""
    reasons = selection.loc[selection["verdict"] == "drop", "reason"].value_counts().sort_index()
    return {f"dates: {str(reason).replace('_', '-')}": int(count) for reason, count in reasons.items()}


@report_original_paths
def tif_to_png(
    dataset: DatasetName, raw: Path, clear: Path, chips: Path, failures: Path, params: TifToPngParams
) -> str:
    """Convert the dates of DATASET in RAW that the table CLEAR keeps to chips in the folder CHIPS.

    Dates that cannot be converted are listed in the table FAILURES.
    """
    source = RawFolder(dataset, raw)
    table = source.classes
    options = params.cloud_filter.read_options(dataset, params.bands)
    selection = pd.read_csv(clear, dtype=str)
    kept = set(selection.loc[selection["verdict"] == "keep", "id"])
    items = [item for item in source.items if item.id in kept]
    labels, official = source.labels, source.official_parts
    labelled = [LabelledItem(item, labels[item.chip]) for item in items if item.chip in labels]
    bands = len(params.imagery(dataset).bands)
    settings = asdict(options), params.imagery(dataset), params.conversion(dataset).model_dump()
    with (
        stage_cache(f"tif_to_png-{dataset}", source.checksum, *settings, table.model_dump()) as cache,
        atomic_path(chips) as folder,
    ):
        make_chip_folders(folder, bands)
        attempt = catch_failures(
            partial(convert_cached, options=options, params=params, table=table, cache=cache),
            lambda item: str(item.source.folder.relative_to(raw)),
        )
        results = progress(parallel_map(attempt, labelled), f"tif_to_png {dataset}", len(labelled))
        converted, failed = partition_results(results)
        failures_summary = report_failures(failed, params.on_error, failures, raw)
        for cached, _ in converted:
            link_chips(cached, folder, bands)
        kept_rows = [chip.row for _, chip in converted if chip.row is not None]
        rows = [row | {OFFICIAL: official.get(str(row["scene"]))} for row in kept_rows]
        dropped = {
            "without a label item": len(items) - len(labelled),
            "without a labelled pixel": len(converted) - len(rows),
        }
        require_chips(len(rows), dropped, len(failed), source)
        dropped |= unmatched_entry(sorted(official.keys() - {str(row["scene"]) for row in rows}))
        imagery = replace(params.imagery(dataset), synthetic=source.synthetic)
        left_out = dropped_dates(selection) | dropped | failed_entry("dates", len(failed))
        write_tables(folder, rows, table, imagery, Origin(source.source, left_out))
    nodata_summary = nodata_classes_summary(chip.nodata_classes for _, chip in converted)
    details = f"{dropped_summary(dropped)}{nodata_summary}{failures_summary}"
    return f"{len(items)} clear dates in, {len(rows)} chips kept, {details}"


if __name__ == "__main__":
    run(tif_to_png)
