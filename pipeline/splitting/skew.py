"""The study's imbalance experiment: a training part in which one class prevails, and its fair control."""

import random

import numpy as np
import pandas as pd

from pipeline.core.choices import invalid_choice
from pipeline.formats.chips import class_column
from pipeline.formats.classes import ClassTable
from pipeline.splitting.section import Skew, UnfitError


def skewed(train: pd.DataFrame, table: ClassTable, skew: Skew, seed: int) -> pd.DataFrame:
    """The training chips that stay when those with the lowest share of a class go first, ties by chance.

    Stops as soon as the class has its share. A chip stays when without it another class would have less than
    `keep_at_least` of the pixels that it had; so the share may not be reached.

    Args:
        train: rows of `chips.csv`.
        table: the classes.
        skew: which class, which share, how much of the others.
        seed: of the ties.

    Raises:
        UnfitError: no such class, or none of its pixels in the training part.
    """
    require_class(table, skew)
    pixels_NK = train[[class_column(each.id) for each in table.classes]].to_numpy(np.int64)
    own = table.names.index(skew.class_name)
    if not pixels_NK[:, own].any():
        raise UnfitError(f"split.skew.class is {skew.class_name!r}, but no training chip has a pixel of it")
    left_K = pixels_NK.sum(axis=0)
    floor_K, stays_N = left_K * skew.keep_at_least, np.ones(len(train), bool)
    floor_K[own] = 1
    for number in _poorest_first(pixels_NK, own, seed):
        if left_K[own] >= skew.share * left_K.sum():
            break
        without_K = left_K - pixels_NK[number]
        poorer = pixels_NK[number, own] * left_K.sum() < left_K[own] * pixels_NK[number].sum()
        if poorer and (without_K >= floor_K).all():
            left_K, stays_N[number] = without_K, False
    return train[stays_N]


def require_class(table: ClassTable, skew: Skew) -> None:
    """Check that the class that is to prevail is one of the table.

    Raises:
        UnfitError: it is not.
    """
    if skew.class_name not in ("none", *table.names):
        raise UnfitError(invalid_choice("split.skew.class", skew.class_name, ("none", *table.names)))


def thinned(train: pd.DataFrame, count: int, seed: int) -> pd.DataFrame:
    """`count` of the training chips, drawn at random.

    Raises:
        UnfitError: there are fewer.
    """
    if count > len(train):
        raise UnfitError(f"split.thin is {count}, but the training part has {len(train)} chips; lower it")
    kept = sorted(random.Random(seed).sample(range(len(train)), count))
    return train.iloc[kept]


def _poorest_first(pixels_NK: np.ndarray, own: int, seed: int) -> list[int]:
    """Chips by their share of a class, the lowest first, ties by chance."""
    share_N = pixels_NK[:, own] / np.maximum(pixels_NK.sum(axis=1), 1)
    order = list(range(len(share_N)))
    random.Random(seed).shuffle(order)
    return sorted(order, key=lambda number: float(share_N[number]))
