"""What the parts of a split are made of."""

from typing import Any

import pandas as pd

from pipeline.formats.chips import IGNORED, class_column, class_columns
from pipeline.formats.classes import ClassTable
from pipeline.formats.splits import GROUP
from pipeline.splitting.section import PARTS

RARE = 0.05
"""A class with less than this share of all labelled pixels is rare."""


def class_shares(chips: pd.DataFrame, table: ClassTable) -> dict[str, float]:
    """Each class's share of the labelled pixels; 0 where nothing is labelled."""
    return _shares(table, chips[_columns(table)].sum().tolist())


def _columns(table: ClassTable) -> list[str]:
    return [class_column(each.id) for each in table.classes]


def _shares(table: ClassTable, pixels: list[int]) -> dict[str, float]:
    labelled = sum(pixels)
    shares = (round(count / labelled, 6) if labelled else 0.0 for count in pixels)
    return dict(zip(table.names, shares, strict=True))


def composition(chips: pd.DataFrame, table: ClassTable) -> dict[str, Any]:
    """Counts of chips, scenes and groups, share of ignored pixels, and each class's share of the labelled pixels."""
    labelled, ignored = int(chips[class_columns(chips)].sum().sum()), int(chips[IGNORED].sum())
    return {
        "chips": len(chips),
        "scenes": int(chips["scene"].nunique()),
        "groups": int(chips[GROUP].nunique()),
        "ignored": round(ignored / (labelled + ignored), 6),
        "classes": class_shares(chips, table),
    }


def imbalance(chips: pd.DataFrame, table: ClassTable) -> dict[str, Any]:
    """How unevenly classes are spread.

    Args:
        chips: rows of `chips.csv` with their `part`, those without a part included.
        table: the classes.

    Returns:
        `rare`: names of the classes that have pixels, but less than `RARE` of all; `chips_without_rare`: of each part,
        and of the chips that no part took; `scenes`: chips and class shares of each.
    """
    shares = class_shares(chips, table)
    rare = [each for each in table.classes if 0 < shares[each.name] < RARE]
    without = ~(chips[[class_column(each.id) for each in rare]] > 0).any(axis=1)
    by_scene = chips.groupby("scene", sort=True)
    pixels = by_scene[_columns(table)].sum()
    scenes = {
        str(scene): {"chips": count, "classes": _shares(table, row)}
        for scene, count, row in zip(pixels.index, by_scene.size().tolist(), pixels.to_numpy().tolist(), strict=True)
    }
    return {
        "rare": [each.name for each in rare],
        "chips_without_rare": {part or "left_out": int(without[chips["part"] == part].sum()) for part in (*PARTS, "")},
        "scenes": scenes,
    }


def shares_table(chips: pd.DataFrame, table: ClassTable) -> pd.DataFrame:
    """Rows of `part`, `class`, `share` and the name of their `bar`: what the plot of the classes draws."""
    shares = {part: class_shares(chips[chips["part"] == part], table) for part in PARTS}
    rows = [(part, name, shares[part][name], f"{name}, {part}") for name in table.names for part in PARTS]
    return pd.DataFrame(rows, columns=["part", "class", "share", "bar"])
