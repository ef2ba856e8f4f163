"""Tables I to III: the classes of the three datasets, their colours, and their shares as measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.formats.classes import hex_colour
from pipeline.formats.datasets import CLASSES, DATASETS, DatasetName
from pipeline.studies.table import Table, share_text

PARTS = ("train", "val", "test")
PUBLISHED_AS: dict[DatasetName, str] = {"landcovernet": "Table I", "ghana": "Table II", "landcoverai": "Table III"}
PRINTED: dict[DatasetName, str] = {
    "landcovernet": "The paper prints the value 7 for cultivated too; it is 6. Unlabelled pixels (0) are ignored here.",
    "ghana": "The paper prints ground nut, nyenabe and pepper only. Unlabelled pixels (0) are ignored here.",
    "landcoverai": "The paper calls background unknown.",
}
"""What the paper's tables print otherwise."""


@dataclass(frozen=True)
class Measured:
    """The parts of a split dataset."""

    split: dict[str, Any]
    """Contents of metrics/split/D.json."""
    origin: str
    """Of which images they are."""


UNKNOWN = Measured({}, "")


def class_tables(measured: Mapping[str, Measured]) -> list[Table]:
    """Make Tables I to III.

    Args:
        measured: by dataset; without it, shares are missing.
    """
    return [
        _class_table(name, measured.get(name, UNKNOWN))
        for name in sorted(DATASETS, key=lambda name: PUBLISHED_AS[name])
    ]


def _class_table(dataset: DatasetName, measured: Measured) -> Table:
    shares = [measured.split.get(part, {}).get("classes", {}) for part in PARTS]
    classes = CLASSES[dataset].classes
    notes = [PRINTED[dataset]]
    if not {name for part in shares for name in part} <= {each.name for each in classes}:
        shares = [{}] * len(PARTS)
        notes.append("No shares: the runs have classes of their own.")
    elif any(shares):
        notes.append(f"Shares of the labelled pixels of {measured.origin}.")
    else:
        notes.append("No shares: the dataset has not been split yet.")
    rows = []
    for each in classes:
        cells = (share_text(part.get(each.name)) for part in shares)
        colour = hex_colour(each.colour)
        rows.append((str(each.id), each.name, colour, ", ".join(map(str, each.colour)), *cells))
    numbers = ("value", *(f"share, {part}" for part in PARTS))
    titles = ("value", "class", "colour", "red, green, blue", *numbers[1:])
    caption = f"Classes of {dataset} ({PUBLISHED_AS[dataset]})"
    synthetic = any(shares) and bool(measured.split.get("synthetic"))
    return Table.of(caption, titles, rows, notes, synthetic, numbers=numbers, folded=dataset == "ghana")
