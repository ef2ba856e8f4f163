"""Test chips that a network has as good as seen: those that touch a training chip on the ground."""

from typing import Any

import numpy as np
import pandas as pd
import shapely
from rasterio.crs import CRS
from rasterio.errors import CRSError

from pipeline.raster.footprints import in_degrees, outlines

TOLERANCE = 0.5
"""Pixels by which neighbours may miss each other."""


def touching(chips: pd.DataFrame, others: pd.DataFrame) -> np.ndarray | None:
    """Which `chips` overlap one of the `others`, or have it as one of their eight neighbours.

    Chips of one CRS, however it is written, are compared in it, those of two in longitude and latitude.

    Args:
        chips: rows of `chips.csv`.
        others: the same.

    Returns:
        bool (chips,); None where that cannot be judged: the outline of a chip is not known, or two CRSs have no common
        ground.
    """
    ours, theirs = outlines(chips, TOLERANCE), outlines(others)
    if np.isnan(ours).any() or np.isnan(theirs).any():
        return None
    frames = _frames([*chips["crs"], *others["crs"]])
    our_frame, their_frame = chips["crs"].map(frames).to_numpy(), others["crs"].map(frames).to_numpy()
    found = np.zeros(len(chips), bool)
    for frame in np.unique(our_frame):
        mine = our_frame == frame
        found[mine] = _meet(ours[mine], theirs[their_frame == frame])
    if len(set(frames.values())) > 1:
        ours, theirs = _globe(ours, chips["crs"]), _globe(theirs, others["crs"])
        if np.isnan(ours).any() or np.isnan(theirs).any():
            return None
        for frame in np.unique(our_frame):
            mine = our_frame == frame
            found[mine] |= _meet(*_around(ours[mine], theirs[their_frame != frame]))
    return found


def leaks(chips: pd.DataFrame) -> dict[str, Any]:
    """What the test part shares with the training part.

    Args:
        chips: rows of `chips.csv` with their `part`.

    Returns:
        `leak_share`: share of the test chips with an overlap or an 8-neighbour in train; None where it cannot be
        known, see `touching`. `scenes_shared`: scenes with chips in test and in train.
    """
    test, train = (chips[chips["part"] == part] for part in ("test", "train"))
    found = touching(test, train)
    share = None if found is None else round(float(found.mean()), 6)
    return {"leak_share": share, "scenes_shared": len(set(test["scene"]) & set(train["scene"]))}


def _frames(names: list[str]) -> dict[str, int]:
    """From the name of a CRS to a number, the same for names of the same CRS."""
    known: list[CRS | str] = []
    frames: dict[str, int] = {}
    for name in dict.fromkeys(names):
        try:
            crs: CRS | str = CRS.from_user_input(name)
        except CRSError:
            crs = name
        if crs not in known:
            known.append(crs)
        frames[name] = known.index(crs)
    return frames


def _globe(outlines_N42: np.ndarray, crs: pd.Series) -> np.ndarray:
    """Outlines, each from its own CRS, in degrees."""
    degrees_N42 = np.empty(outlines_N42.shape)
    for name in crs.unique():
        here = (crs == name).to_numpy()
        degrees_N42[here] = in_degrees(outlines_N42[here], name)
    return degrees_N42


def _around(ours_N42: np.ndarray, theirs_N42: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both with longitudes counted from the first of ours, so that the 180th meridian parts no neighbours."""
    start = np.array([ours_N42[0, 0, 0] - 180, 0.0])
    turned = (ours_N42 - start, theirs_N42 - start)
    for each in turned:
        each[..., 0] %= 360
    return turned


def _meet(ours_N42: np.ndarray, theirs_N42: np.ndarray) -> np.ndarray:
    """Which of ours intersect one of theirs."""
    hits, _ = shapely.STRtree(shapely.polygons(theirs_N42)).query(shapely.polygons(ours_N42), predicate="intersects")
    return np.isin(np.arange(len(ours_N42)), hits)
