"""Turns the kept dates of Sentinel-2 chips and their labels into RGB PNGs and palette masks."""

from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd
from pydantic import Field, model_validator

from pipeline.core.cli import in_parallel, progress, run
from pipeline.core.errors import PipelineError
from pipeline.core.failures import OnError, catch_failures, partition_results, report_failures
from pipeline.core.files import published
from pipeline.core.params import Params, Stretch
from pipeline.core.stage_cache import StageCache, stage_cache
from pipeline.formats.chips import (
    OFFICIAL,
    Imagery,
    Origin,
    dropped_in_words,
    failed_in_origin,
    link_chips,
    make_chip_folders,
    unmatched_in_origin,
    write_tables,
)
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.datasets import BandsSection, DatasetName
from pipeline.formats.png import save_chip
from pipeline.raster.imagery import to_rgb
from pipeline.raster.labels import declared_in_words
from pipeline.raster.layout import RawFolder, SourceItem, asset
from pipeline.raster.originals import naming_originals
from pipeline.raster.sidecars import with_sidecars
from pipeline.sentinel.clouds import PixelKind
from pipeline.sentinel.date_selection import CloudFilterSection
from pipeline.sentinel.items import ReadOptions, describe, read_bands, read_clouds, read_label


class Conversion(Params):
    """How values become 8-bit colours, and which pixels of the masks count."""

    scale: float = Field(gt=0)
    offset: float
    """Reflectance is `scale * value + offset`."""
    stretch: Literal["minmax"] | Stretch
    """The reflectances that become black and white; or each picture's own extremes, as the study did."""
    ignore_clouds: bool
    """Whether the hidden pixels of a kept date are ignored."""


class LandcovernetConversion(Conversion):
    """`tif_to_png.landcovernet` of params.yaml."""

    min_consensus: int = Field(ge=0, le=100)
    """Label pixels whose labellers agreed less, in percent, are ignored."""


class TifToPngSection(Params):
    """`tif_to_png` of params.yaml."""

    landcovernet: LandcovernetConversion
    ghana: Conversion


class TifToPngParams(Params):
    """What `tif_to_png` reads of params.yaml."""

    on_error: OnError
    bands: BandsSection
    cloud_filter: CloudFilterSection
    tif_to_png: TifToPngSection

    @model_validator(mode="after")
    def _ignored_clouds_are_known(self) -> "TifToPngParams":
        if self.tif_to_png.ghana.ignore_clouds and self.cloud_filter.ghana.clouds == "none":
            raise ValueError(
                "tif_to_png.ghana.ignore_clouds is true, but cloud_filter.ghana.clouds is none, so that nothing tells "
                "where clouds are; set one to false or the other to mask"
            )
        return self

    def imagery(self, dataset: DatasetName) -> Imagery:
        """How the dataset's values become 8-bit RGB."""
        how: Conversion = getattr(self.tif_to_png, dataset)
        return Imagery(tuple(map(str, getattr(self.bands, dataset))), how.scale, how.offset, how.stretch)


def picture(item: SourceItem, options: ReadOptions, imagery: Imagery) -> tuple[np.ndarray, np.ndarray]:
    """An item's RGB, uint8 (height, width, 3), and what its pixels show, codes of `PixelKind` (height, width)."""
    bands_CHW = read_bands(item, options, imagery)
    clouds_HW = read_clouds(item, options, bands_CHW)
    return to_rgb(bands_CHW, imagery, clouds_HW != PixelKind.NO_DATA), clouds_HW


@dataclass(frozen=True)
class Converted:
    """What became of one item."""

    row: dict[str, object] | None
    """The chip's row of `chips.csv`; None when no pixel of it is labelled."""
    declared: dict[str, int]
    """From class to the pixels of it that the label declares as no-data."""


def convert(
    pair: tuple[SourceItem, Path], options: ReadOptions, params: TifToPngParams, table: ClassTable, folder: Path
) -> Converted:
    """Make one chip of an item and its label's folder."""
    item, label = pair
    how: Conversion = getattr(params.tif_to_png, options.dataset)
    consensus = how.min_consensus if isinstance(how, LandcovernetConversion) else 0
    image_HWC, clouds_HW = picture(item, options, params.imagery(options.dataset))
    labels = read_label(label, item, options, table, consensus)
    mask_HW = labels.mask_HW
    mask_HW[clouds_HW >= (PixelKind.SHADOW if how.ignore_clouds else PixelKind.NO_DATA)] = IGNORE
    if (mask_HW == IGNORE).all():
        return Converted(None, labels.declared)
    return Converted(save_chip(folder, describe(item, options), image_HWC, mask_HW, table), labels.declared)


def converted(
    pair: tuple[SourceItem, Path], options: ReadOptions, params: TifToPngParams, table: ClassTable, pieces: StageCache
) -> tuple[Path, Converted]:
    """What `convert` makes of an item, kept: the folder with the chip, and its row.

    Raises:
        PipelineError: a file is missing, cannot be read, or holds what it should not.
    """
    item, label = pair

    def build(folder: Path) -> dict[str, Any]:
        make_chip_folders(folder)
        return asdict(convert(pair, options, params, table, folder))

    inputs = with_sidecars((*item.files, asset(options.dataset, label, "labels")))
    folder, found = pieces.make(item.id, inputs, build)
    return folder, Converted(**found)


def require_chips(made: int, dropped: dict[str, int], failed: int, source: RawFolder) -> None:
    """Check that there is a chip.

    Raises:
        PipelineError: there is none; what became of the dates, and what to change.
    """
    if made:
        return
    unlabelled = dropped["without a labelled pixel"]
    advice = "check the labels"
    if unlabelled and source.dataset == "landcovernet":
        advice += ", or lower tif_to_png.landcovernet.min_consensus"
    raise PipelineError(
        f"no chip came out of {failed + sum(dropped.values())} clear dates in {source.path}: {failed} failed, "
        f"{dropped['without a label item']} have no label item and {unlabelled} no labelled pixel; {advice}"
    )


def rejected(verdicts: pd.DataFrame) -> dict[str, int]:
    """From the cloud filter's reason to the number of dates that it dropped."""
    reasons = verdicts.loc[verdicts["verdict"] == "drop", "reason"].value_counts().sort_index()
    return {f"dates: {str(reason).replace('_', '-')}": int(count) for reason, count in reasons.items()}


@naming_originals
def tif_to_png(
    dataset: DatasetName, raw: Path, clear: Path, chips: Path, failures: Path, params: TifToPngParams
) -> str:
    """Convert the dates of DATASET in RAW that the table CLEAR keeps into the chips folder CHIPS.

    Those that cannot be converted are in the table FAILURES.
    """
    source = RawFolder(dataset, raw)
    table = source.classes
    options = params.cloud_filter.read_options(dataset, params.bands)
    verdicts = pd.read_csv(clear, dtype=str)
    kept = set(verdicts.loc[verdicts["verdict"] == "keep", "id"])
    items = [item for item in source.items if item.id in kept]
    labels, official = source.labels, source.official_parts
    pairs = [(item, labels[item.chip]) for item in items if item.chip in labels]
    settings = asdict(options), params.imagery(dataset), getattr(params.tif_to_png, dataset).model_dump()
    with (
        stage_cache(f"tif_to_png-{dataset}", source.checksum, *settings, table.model_dump()) as pieces,
        published(chips) as folder,
    ):
        make_chip_folders(folder)
        make = partial(converted, options=options, params=params, table=table, pieces=pieces)
        one = catch_failures(make, lambda pair: str(pair[0].folder.relative_to(raw)))
        made, failed = partition_results(progress(in_parallel(one, pairs), f"tif_to_png {dataset}", len(pairs)))
        settled = report_failures(failed, params.on_error, failures, raw)
        for piece, _ in made:
            link_chips(piece, folder)
        found = [each.row for _, each in made if each.row is not None]
        rows = [row | {OFFICIAL: official.get(str(row["scene"]))} for row in found]
        dropped = {
            "without a label item": len(items) - len(pairs),
            "without a labelled pixel": len(made) - len(rows),
        }
        require_chips(len(rows), dropped, len(failed), source)
        dropped |= unmatched_in_origin(official, (row["scene"] for row in rows))
        imagery = replace(params.imagery(dataset), synthetic=source.synthetic)
        left_out = rejected(verdicts) | dropped | failed_in_origin("dates", len(failed))
        write_tables(folder, rows, table, imagery, Origin(source.source, left_out))
    told = f"{dropped_in_words(dropped)}{declared_in_words(each.declared for _, each in made)}{settled}"
    return f"{len(items)} clear dates in, {len(rows)} chips kept, {told}"


if __name__ == "__main__":
    run(tif_to_png)
