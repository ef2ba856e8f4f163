"""Composition of the parts of a split."""

from typing import Any

import pandas as pd

from pipeline.formats.chips import IGNORED, class_column, class_columns
from pipeline.formats.classes import ClassTable
from pipeline.formats.splits import GROUP
from pipeline.splitting.section import PARTS

RARE = 0.05
"""A class is rare below this share of all labelled pixels."""


def class_shares(chips: pd.DataFrame, table: ClassTable) -> dict[str, float]:
    """Return each class's share of the labelled pixels; 0 if there are none."""
    return _shares(table, chips[_columns(table)].sum().tolist())


def _columns(table: ClassTable) -> list[str]:
    return [class_column(class_id) for class_id in table.ids]


def _shares(table: ClassTable, pixels: list[int]) -> dict[str, float]:
    labelled = sum(pixels)
    shares = (round(count / labelled, 6) if labelled else 0.0 for count in pixels)
    return dict(zip(table.names, shares, strict=True))


def composition(chips: pd.DataFrame, table: ClassTable) -> dict[str, Any]:
    """Count chips, scenes and groups; compute the shares of ignored pixels and of each class."""
    labelled, ignored = int(chips[class_columns(chips)].sum().sum()), int(chips[IGNORED].sum())
    return {
        "chips": len(chips),
        "scenes": int(chips["scene"].nunique()),
        "groups": int(chips[GROUP].nunique()),
        "ignored": round(ignored / (labelled + ignored), 6),
        "classes": class_shares(chips, table),
    }


def imbalance(chips: pd.DataFrame, table: ClassTable) -> dict[str, Any]:
    """Measure how unevenly the classes are distributed.

    Args:
        chips: rows of `chips.csv` with their `part`, including those without a part.
        table: the classes.

    Returns:
        `rare`: names of the classes below `RARE` that have pixels; `chips_without_rare`: number of chips without any
        of them, by part and for the chips left out; `scenes`: number of chips and class shares of each scene.
    """
    shares = class_shares(chips, table)
    rare = [land_cover for land_cover in table.classes if 0 < shares[land_cover.name] < RARE]
    has_none = ~(chips[[class_column(land_cover.id) for land_cover in rare]] > 0).any(axis=1)
    by_scene = chips.groupby("scene", sort=True)
    pixels = by_scene[_columns(table)].sum()
    scenes = {
        str(scene): {"chips": count, "classes": _shares(table, row)}
        for scene, count, row in zip(pixels.index, by_scene.size().tolist(), pixels.to_numpy().tolist(), strict=True)
    }
    return {
        "rare": [land_cover.name for land_cover in rare],
        "chips_without_rare": {part or "left_out": int(has_none[chips["part"] == part].sum()) for part in (*PARTS, "")},
        "scenes": scenes,
    }


def shares_table(chips: pd.DataFrame, table: ClassTable) -> pd.DataFrame:
    """Return the data of the class plot: rows of `part`, `class`, `share` and the label of the `bar`."""
    shares = {part: class_shares(chips[chips["part"] == part], table) for part in PARTS}
    rows = [(part, name, shares[part][name], f"{name}, {part}") for name in table.names for part in PARTS]
    return pd.DataFrame(rows, columns=["part", "class", "share", "bar"])
