"""The items that an archive on a server has, and which of them are wanted."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any

from pipeline.core.errors import PipelineError
from pipeline.formats.datasets import LAYOUTS, DatasetName
from pipeline.sources.settings import Selection
from pipeline.sources.transfer import Remote

Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class RemoteItem:
    """An item on a server: a chip on a date, or a chip's label."""

    chip: str
    date: date | None
    """None for a label."""
    folder: Path
    """Where it lies in the archive: `COLLECTION/ITEM`."""
    assets: dict[str, Remote]
    bbox: Box | None = None
    """[west, south, east, north] in degrees."""
    stac: dict[str, Any] | None = field(default=None, compare=False)
    """The item's own JSON, if it has one."""


def chosen(items: Iterable[RemoteItem], select: Selection, dataset: DatasetName) -> list[RemoteItem]:
    """The labelled chips that `select` names, with their dates and labels, sorted.

    Raises:
        PipelineError: nothing is left; what there was.
    """
    everything = sorted(items, key=lambda item: str(item.folder))
    if select.bbox != "none" and not any(item.bbox for item in everything):
        raise PipelineError(f"download.{dataset}.select.bbox: this source does not say where chips lie; use tiles")
    chips = fitting(everything, select, dataset)
    if not chips:
        labelled = _labelled(everything)
        raise PipelineError(
            f"download.{dataset}.select leaves none of {len(labelled)} labelled chips, of which "
            f"{len(labelled & _dated(everything, select))} have dates in the range and "
            f"{len(labelled & _here(everything, select))} lie in the bbox; widen it"
        )
    kept = set(chips if select.chips == "none" else chips[: select.chips])
    return [item for item in everything if item.chip in kept and (not item.date or _within(item.date, select))]


def fitting(items: list[RemoteItem], select: Selection, dataset: DatasetName) -> list[str]:
    """The chips with a label and a date that `select` names, sorted, however many it wants."""
    there = _labelled(items) & _dated(items, select) & _here(items, select)
    return sorted(chip for chip in there if _of_tiles(chip, select, dataset))


def _labelled(items: list[RemoteItem]) -> set[str]:
    return {item.chip for item in items if item.date is None}


def _dated(items: list[RemoteItem], select: Selection) -> set[str]:
    return {item.chip for item in items if item.date and _within(item.date, select)}


def _here(items: list[RemoteItem], select: Selection) -> set[str]:
    return {item.chip for item in items if _touches(item, select)}


def _within(day: date, select: Selection) -> bool:
    return select.dates == "none" or select.dates[0] <= day <= select.dates[1]


def _touches(item: RemoteItem, select: Selection) -> bool:
    if select.bbox == "none":
        return True
    west, south, east, north = select.bbox
    box = item.bbox
    return box is not None and box[0] <= east and box[2] >= west and box[1] <= north and box[3] >= south


def _of_tiles(chip: str, select: Selection, dataset: DatasetName) -> bool:
    return select.tiles == "none" or LAYOUTS[dataset].unit(chip) in select.tiles
