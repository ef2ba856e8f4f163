"""Counts of pixels by class: all that most scores need, and small enough to keep for every chip.

counts_3K: int64; row 0: pixels that are the class, row 1: pixels predicted as the class, row 2: both. With a leading N
there is one for each chip, with U for each unit. Ignored pixels are in none of them.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

TRUE, PREDICTED, HITS = range(3)
COLUMNS = ("true", "predicted", "hits")


def counts_of(matrix_KK: np.ndarray) -> np.ndarray:
    """counts_3K of a confusion matrix (row: the true class, column: the predicted one); leading dimensions stay."""
    hits = np.diagonal(matrix_KK, axis1=-2, axis2=-1)
    return np.stack([matrix_KK.sum(axis=-1), matrix_KK.sum(axis=-2), hits], axis=-2)


def by_unit(counts_N3K: np.ndarray, unit_N: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """The units, sorted, and counts_U3K: those of their chips added up."""
    units, place_N = np.unique(np.asarray(unit_N, dtype=object).astype(str), return_inverse=True)
    counts_U3K = np.zeros((len(units), *counts_N3K.shape[1:]), np.int64)
    np.add.at(counts_U3K, place_N, counts_N3K)
    return units.tolist(), counts_U3K


def to_table(units: Sequence[str], counts_U3K: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Rows of unit, class, true, predicted, hits, in pixels; without classes that a unit neither has nor is given."""
    rows = [
        (unit, name, *map(int, counts_3K[:, number]))
        for unit, counts_3K in zip(units, counts_U3K, strict=True)
        for number, name in enumerate(names)
        if counts_3K[:, number].any()
    ]
    return pd.DataFrame(rows, columns=["unit", "class", *COLUMNS])


def from_table(table: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Undo `to_table`: the units, sorted, and counts_U3K."""
    units = sorted(set(table["unit"]))
    counts_U3K = np.zeros((len(units), 3, len(names)), np.int64)
    rows = [units.index(unit) for unit in table["unit"]]
    classes = [list(names).index(name) for name in table["class"]]
    counts_U3K[rows, :, classes] = table[list(COLUMNS)].to_numpy()
    return units, counts_U3K
