"""The leak experiment: training parts of equal size with and without the neighbours of the test chips."""

import pandas as pd

from pipeline.splitting.locations import Locations
from pipeline.splitting.section import InfeasibleSplitError, SplitSection
from pipeline.splitting.skew import subsample


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
