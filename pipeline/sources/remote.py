"""The items of an archive on a server, and the selection of those to fetch."""

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
    """Its folder in the archive: `COLLECTION/ITEM`."""
    assets: dict[str, Remote]
    bbox: Box | None = None
    """[west, south, east, north] in degrees."""
    stac: dict[str, Any] | None = field(default=None, compare=False)
    """The item's own JSON, if it has one."""


def select_items(items: Iterable[RemoteItem], select: Selection, dataset: DatasetName) -> list[RemoteItem]:
    """Select labelled chips with their dates and labels, sorted.

    Raises:
        PipelineError: nothing matches.
    """
    items = sorted(items, key=lambda item: str(item.folder))
    chips = matching_chips(items, select, dataset)
    if not chips:
        labelled = _labelled(items)
        raise PipelineError(
            f"download.{dataset}.select matches none of {len(labelled)} labelled chips: "
            f"{len(labelled & _dated(items, select))} have dates in the range, "
            f"{len(labelled & _in_bbox(items, select))} are in the bbox; widen it"
        )
    selected = set(chips if select.chips == "none" else chips[: select.chips])
    return [item for item in items if item.chip in selected and (not item.date or _in_range(item.date, select))]


def matching_chips(items: list[RemoteItem], select: Selection, dataset: DatasetName) -> list[str]:
    """List the chips with a label and a date that match, sorted, not limited to `select.chips`."""
    chips = _labelled(items) & _dated(items, select) & _in_bbox(items, select)
    return sorted(chip for chip in chips if select.tiles == "none" or LAYOUTS[dataset].unit(chip) in select.tiles)


def _labelled(items: list[RemoteItem]) -> set[str]:
    return {item.chip for item in items if item.date is None}


def _dated(items: list[RemoteItem], select: Selection) -> set[str]:
    return {item.chip for item in items if item.date and _in_range(item.date, select)}


def _in_bbox(items: list[RemoteItem], select: Selection) -> set[str]:
    return {item.chip for item in items if _touches(item, select)}


def _in_range(day: date, select: Selection) -> bool:
    return select.dates == "none" or select.dates[0] <= day <= select.dates[1]


def _touches(item: RemoteItem, select: Selection) -> bool:
    if select.bbox == "none":
        return True
    west, south, east, north = select.bbox
    box = item.bbox
    return box is not None and box[0] <= east and box[2] >= west and box[1] <= north and box[3] >= south
