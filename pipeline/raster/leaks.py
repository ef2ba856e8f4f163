"""Test chips that a network has as good as seen: those that touch a training chip on the ground."""

from typing import Any

import numpy as np
import pandas as pd
import shapely

TOLERANCE = 0.5
"""Pixels by which neighbours may miss each other."""


def touching(chips: pd.DataFrame, others: pd.DataFrame) -> np.ndarray:
    """Which `chips` overlap one of the `others`, or have it as one of their eight neighbours.

    Args:
        chips: rows of `chips.csv` with a CRS.
        others: the same; only those of equal CRS can touch.

    Returns:
        bool (chips,).
    """
    found = np.zeros(len(chips), bool)
    for crs, rows in chips.assign(place=np.arange(len(chips))).groupby("crs"):
        near = _boxes(others[others["crs"] == crs])
        margin = TOLERANCE * rows["pixel_size"].to_numpy(float)
        hits, _ = shapely.STRtree(near).query(_boxes(rows, margin), predicate="intersects")
        found[rows["place"].to_numpy()[np.unique(hits)]] = True
    return found


def leaks(chips: pd.DataFrame) -> dict[str, Any]:
    """What the test part shares with the training part.

    Args:
        chips: rows of `chips.csv` with their `part`.

    Returns:
        `leak_share`: share of the test chips with an overlap or an 8-neighbour in train; None where a chip of the two
        has no georeference, since then it cannot be known. `scenes_shared`: scenes with chips in test and in train.
    """
    test, train = (chips[chips["part"] == part] for part in ("test", "train"))
    known = bool((test["crs"] != "").all() and (train["crs"] != "").all())
    share = round(float(touching(test, train).mean()), 6) if known else None
    return {"leak_share": share, "scenes_shared": len(set(test["scene"]) & set(train["scene"]))}


def _boxes(chips: pd.DataFrame, margin: np.ndarray | float = 0.0) -> np.ndarray:
    left, top = chips["x"].to_numpy(float), chips["y"].to_numpy(float)
    size = chips["pixel_size"].to_numpy(float)
    right, bottom = left + chips["width"].to_numpy() * size, top - chips["height"].to_numpy() * size
    return np.asarray(shapely.box(left - margin, bottom - margin, right + margin, top + margin))
