"""Leak of training data into the test part: test chips that touch a training chip on the ground.

And its experiment: training parts of equal size with and without the neighbours of the test chips.
"""

from typing import Any

import pandas as pd

from pipeline.splitting.locations import Locations
from pipeline.splitting.section import InfeasibleSplitError, SplitSection
from pipeline.splitting.skew import subsample


def measure_leak(chips: pd.DataFrame, locations: Locations) -> dict[str, Any]:
    """Measure how much the test part shares with the training part.

    Args:
        chips: rows of `chips.csv` with their `part`.
        locations: their locations.

    Returns:
        `leak_share`: share of test chips with an overlap or 8-neighbour in train; None if a test chip without one
        cannot be compared with all training chips. `leak_share_at_least`: its known lower bound. `scenes_shared`:
        number of scenes with chips in both test and train.
    """
    test_N, train_N = (chips["part"].to_numpy() == part for part in ("test", "train"))
    location_N = locations.location_N
    leaks_T, reference_N = locations.touching().near_any(train_N)[test_N], locations.reference_L[location_N]
    share = round(float(leaks_T.mean()), 6)
    is_known = leaks_T.all() or len({*reference_N[train_N], *reference_N[test_N][~leaks_T]}) == 1
    scenes = chips["scene"]
    return {
        "leak_share": share if is_known else None,
        "leak_share_at_least": share,
        "scenes_shared": len(set(scenes[test_N]) & set(scenes[train_N])),
    }


def select_by_neighbours(chips: pd.DataFrame, locations: Locations, section: SplitSection) -> pd.DataFrame:
    """Select the training chips by `split.neighbours`.

    Both `with` and `without` keep as many chips as touch no test chip, so that only their neighbourhood differs.

    Args:
        chips: rows of `chips.csv` with their `part`.
        locations: their locations.
        section: `neighbours`, and the seed of the draw.

    Returns:
        The rows to keep of the training part.

    Raises:
        InfeasibleSplitError: no training chip touches a test chip, or all do.
    """
    is_train_N = chips["part"] == "train"
    if section.neighbours == "any":
        return chips[is_train_N]
    touches_N = is_train_N & locations.touching().near_any((chips["part"] == "test").to_numpy())
    without, given = chips[is_train_N & ~touches_N], f"split.neighbours is {section.neighbours}"
    if not touches_N.any():
        raise InfeasibleSplitError(
            f"{given}, but no training chip touches a test chip with split.strategy={section.strategy}, so there is no "
            "leak to measure; choose split.strategy=random or split.neighbours=any"
        )
    if without.empty:
        raise InfeasibleSplitError(
            f"{given}, but every training chip touches a test chip; lower split.test, cut more chips (a smaller "
            "tile.size, more scenes) or choose split.neighbours=any"
        )
    return without if section.neighbours == "without" else subsample(chips[is_train_N], len(without), section.seed)
