"""The study's imbalance experiment: a training part dominated by one class, and its control, a random subsample."""

import random

import numpy as np
import pandas as pd

from pipeline.core.choices import invalid_choice
from pipeline.formats.chips import class_column
from pipeline.formats.classes import ClassTable
from pipeline.splitting.section import InfeasibleSplitError, Skew


def skew_classes(train: pd.DataFrame, table: ClassTable, skew: Skew, seed: int) -> pd.DataFrame:
    """Drop the training chips with the lowest share of a class until the class reaches its target share.

    A chip is kept if dropping it would leave another class with less than `keep_at_least` of its original pixels;
    the target share may then not be reached.

    Args:
        train: rows of `chips.csv`.
        table: the classes.
        skew: the class, its target share and the minimum of the others.
        seed: decides between chips with equal shares.

    Raises:
        InfeasibleSplitError: the class does not exist or has no training pixels.
    """
    require_class(table, skew)
    pixels_NK = train[[class_column(land_cover.id) for land_cover in table.classes]].to_numpy(np.int64)
    target = table.names.index(skew.class_name)
    if not pixels_NK[:, target].any():
        raise InfeasibleSplitError(f"split.skew.class is {skew.class_name!r}, but no training chip has a pixel of it")
    total_K = pixels_NK.sum(axis=0)
    minimum_K, keep_N = total_K * skew.keep_at_least, np.ones(len(train), bool)
    minimum_K[target] = 1
    for chip in _by_share(pixels_NK, target, seed):
        if total_K[target] >= skew.share * total_K.sum():
            break
        remaining_K = total_K - pixels_NK[chip]
        below_mean = pixels_NK[chip, target] * total_K.sum() < total_K[target] * pixels_NK[chip].sum()
        if below_mean and (remaining_K >= minimum_K).all():
            total_K, keep_N[chip] = remaining_K, False
    return train[keep_N]


def require_class(table: ClassTable, skew: Skew) -> None:
    """Check that the class of `skew` is in the class table.

    Raises:
        InfeasibleSplitError: it is not.
    """
    if skew.class_name not in ("none", *table.names):
        raise InfeasibleSplitError(invalid_choice("split.skew.class", skew.class_name, ("none", *table.names)))


def subsample(train: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """Draw `count` training chips at random.

    Raises:
        InfeasibleSplitError: there are fewer.
    """
    if count > len(train):
        raise InfeasibleSplitError(
            f"split.subsample is {count}, but the training part has {len(train)} chips; lower it"
        )
    rows = sorted(random.Random(seed).sample(range(len(train)), count))
    return train.iloc[rows]


def _by_share(pixels_NK: np.ndarray, target: int, seed: int) -> list[int]:
    """Sort chips by their share of a class, ascending, ties in random order."""
    share_N = pixels_NK[:, target] / np.maximum(pixels_NK.sum(axis=1), 1)
    order = list(range(len(share_N)))
    random.Random(seed).shuffle(order)
    return sorted(order, key=lambda chip: float(share_N[chip]))
