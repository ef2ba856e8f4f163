"""Groups of chips that are independent of each other: the units of a split by scenes and of the intervals of scores."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.formats.chips import UNIT
from pipeline.formats.splits import GROUP
from pipeline.splitting.apportion import TOLERANCE
from pipeline.splitting.ground import Ground
from pipeline.splitting.section import PARTS, SplitSection


def groups(chips: pd.DataFrame, ground: Ground) -> pd.Series:
    """The group of each chip: units (an orthophoto, a Sentinel tile, all dates of a place) whose chips overlap.

    Units that merely touch stay apart. A group has the name of its first unit.
    """
    return joined(chips[UNIT], ground.place_N, ground.overlapping())


def joined(names: pd.Series, place_N: np.ndarray, pairs_2M: np.ndarray) -> pd.Series:
    """Join what is connected by pairs of places.

    Args:
        names: of what each chip belongs to.
        place_N: the place of each chip.
        pairs_2M: places that are connected.

    Returns:
        For each chip the first name of all that its own is connected with, directly or by others.
    """
    number_N = pd.factorize(names)[0]
    first = int(number_N.max()) + 1  # the nodes of a graph: names, then places
    ends = np.concatenate([[number_N, place_N + first], pairs_2M + first], axis=1)
    nodes = first + int(place_N.max()) + 1
    graph = coo_array((np.ones(ends.shape[1], bool), (ends[0], ends[1])), (nodes, nodes))
    _, component = connected_components(graph, directed=False)
    return names.groupby(component[number_N]).transform("min")


def too_large(chips: pd.DataFrame, section: SplitSection) -> str:
    """What to say of a split by scenes whose shares a large group keeps from what was asked; else nothing.

    Args:
        chips: rows of `chips.csv` with their group and part, those without a part included.
        section: how they were split.
    """
    sizes = chips["part"][chips["part"] != ""].value_counts(normalize=True)
    reached = {part: float(sizes[part]) for part in PARTS}
    as_asked = max(abs(reached[part] - section.shares[part]) for part in PARTS) <= TOLERANCE
    largest = chips[chips[GROUP] == chips[GROUP].value_counts().idxmax()]
    fits = len(largest) / len(chips) <= min(section.shares.values()) + TOLERANCE
    if section.strategy != "scene" or as_asked or fits or not _divisible(largest):
        return ""
    asked, found = (" / ".join(f"{100 * each[part]:.0f}" for part in PARTS) for each in (section.shares, reached))
    return (
        f"the parts have {found} % of the chips, not {asked}: the group {largest[GROUP].iloc[0]} alone has "
        f"{100 * len(largest) / len(chips):.0f} %, and split.strategy=block would divide it"
    )


def _divisible(chips: pd.DataFrame) -> bool:
    """Whether blocks could divide chips: they are of more than one place."""
    return len(chips[["scene", "row", "column"]].drop_duplicates()) > 1
