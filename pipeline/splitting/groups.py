"""Groups of chips that are independent of each other, for the scene split and the confidence intervals."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

from pipeline.formats.chips import UNIT
from pipeline.formats.splits import GROUP
from pipeline.splitting.assignment import TOLERANCE
from pipeline.splitting.locations import Adjacency, Locations
from pipeline.splitting.section import PARTS, SplitSection


def find_groups(chips: pd.DataFrame, locations: Locations) -> pd.Series:
    """Find the group of each chip: all orthophotos, Sentinel tiles or places with all their dates whose chips overlap.

    Units that merely touch are separate groups. A group has the name of its first unit.
    """
    return merge_connected(chips[UNIT], locations.overlapping())


def merge_connected(names: pd.Series, adjacency: Adjacency) -> pd.Series:
    """Merge names that are connected by adjacent locations.

    Args:
        names: what each chip belongs to.
        adjacency: the connected locations.

    Returns:
        For each chip the first of all names that its own is connected with, directly or through others.
    """
    name_N = pd.factorize(names)[0]
    first = int(name_N.max()) + 1  # nodes of the graph: names, then locations
    edges_2E = np.concatenate([[name_N, adjacency.location_N + first], adjacency.pairs_2M + first], axis=1)
    nodes = first + adjacency.count
    graph = coo_array((np.ones(edges_2E.shape[1], bool), (edges_2E[0], edges_2E[1])), (nodes, nodes))
    _, component = connected_components(graph, directed=False)
    return names.groupby(component[name_N]).transform("min")


def large_group_summary(chips: pd.DataFrame, section: SplitSection) -> str:
    """Report a large group that keeps the scene split from the requested shares; empty if there is none.

    Args:
        chips: rows of `chips.csv` with their group and part, including those without a part.
        section: the parameters of the split.
    """
    sizes = chips["part"][chips["part"] != ""].value_counts(normalize=True)
    actual = {part: float(sizes[part]) for part in PARTS}
    as_requested = max(abs(actual[part] - section.shares[part]) for part in PARTS) <= TOLERANCE
    largest = chips[chips[GROUP] == chips[GROUP].value_counts().idxmax()]
    fits = len(largest) / len(chips) <= min(section.shares.values()) + TOLERANCE
    if section.strategy != "scene" or as_requested or fits or not _is_divisible(largest):
        return ""
    actual_text, requested_text = (
        " / ".join(f"{100 * shares[part]:.0f}" for part in PARTS) for shares in (actual, section.shares)
    )
    advice = "split.strategy=block would divide it" if section.fold == "none" else "no fold can divide it"
    return (
        f"the parts have {actual_text} % of the chips instead of {requested_text}: group {largest[GROUP].iloc[0]} "
        f"alone has {100 * len(largest) / len(chips):.0f} %; {advice}"
    )


def _is_divisible(chips: pd.DataFrame) -> bool:
    """Return whether blocks could divide the chips: they cover more than one place."""
    return len(chips[["scene", "row", "column"]].drop_duplicates()) > 1
