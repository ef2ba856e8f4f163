"""Tables I to III: the classes of the three datasets, their colours, and their shares as measured."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.formats.datasets import CLASSES, DATASETS, DatasetName
from pipeline.studies.table import ABSENT, Column, Table, share_text

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
    known = {each.name: each for each in CLASSES[dataset].classes}
    rows = []
    for name in dict.fromkeys([*known, *(name for part in shares for name in part)]):
        value = known.get(name)
        colour = "#{:02x}{:02x}{:02x}".format(*value.colour) if value else ""
        rgb = ", ".join(map(str, value.colour)) if value else ABSENT
        cells = (share_text(part.get(name)) for part in shares)
        rows.append((str(value.id) if value else ABSENT, name, colour, rgb, *cells))
    notes = [PRINTED[dataset]]
    if any(shares):
        notes.append(f"Shares of the labelled pixels of {measured.origin}.")
    else:
        notes.append("No shares: the dataset has not been split yet.")
    if any(name not in known for part in shares for name in part):
        notes.append("Classes without a value are those of the folder's own classes.yaml.")
    heading = (
        Column("value", "number"),
        Column("class", "label"),
        Column("colour", "colour"),
        Column("red, green, blue", "label"),
        *(Column(f"share, {part}", "number") for part in PARTS),
    )
    caption = f"Classes of {dataset} ({PUBLISHED_AS[dataset]})"
    return Table(
        caption, heading, tuple(rows), tuple(notes), bool(measured.split.get("synthetic")), folded=dataset == "ghana"
    )
