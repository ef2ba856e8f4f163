"""Pixel counts by class: sufficient for most scores, and small enough to keep for every chip.

counts_3K: int64; row 0: true pixels of the class, row 1: predicted pixels, row 2: both (hits). A leading N is one per
chip, G one per group. Ignored pixels are not counted.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

TRUE, PREDICTED, HITS = range(3)
COLUMNS = ("true", "predicted", "hits")


def counts_of(matrix_KK: np.ndarray) -> np.ndarray:
    """Reduce confusion matrices (row: true class, column: predicted class) to counts_3K; keep leading dimensions."""
    hits = np.diagonal(matrix_KK, axis1=-2, axis2=-1)
    return np.stack([matrix_KK.sum(axis=-1), matrix_KK.sum(axis=-2), hits], axis=-2)


def sum_by_group(counts_N3K: np.ndarray, group_N: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Sum the counts of each group's chips, of any dtype; return the groups, sorted, and counts_G3K."""
    groups, index_N = np.unique(np.asarray(group_N, dtype=object).astype(str), return_inverse=True)
    counts_G3K = np.zeros((len(groups), *counts_N3K.shape[1:]), counts_N3K.dtype)
    np.add.at(counts_G3K, index_N, counts_N3K)
    return groups.tolist(), counts_G3K


def to_table(groups: Sequence[str], counts_G3K: np.ndarray, names: Sequence[str]) -> pd.DataFrame:
    """Tabulate unit, class, true, predicted and hits, in pixels; omit classes with no pixels in a group."""
    rows = [
        (group, name, *map(int, counts_3K[:, class_index]))
        for group, counts_3K in zip(groups, counts_G3K, strict=True)
        for class_index, name in enumerate(names)
        if counts_3K[:, class_index].any()
    ]
    return pd.DataFrame(rows, columns=["unit", "class", *COLUMNS])


def from_table(table: pd.DataFrame, names: Sequence[str]) -> tuple[list[str], np.ndarray]:
    """Invert `to_table`; return the groups, sorted, and counts_G3K."""
    groups = sorted(set(table["unit"]))
    counts_G3K = np.zeros((len(groups), 3, len(names)), np.int64)
    rows = [groups.index(unit) for unit in table["unit"]]
    classes = [list(names).index(name) for name in table["class"]]
    counts_G3K[rows, :, classes] = table[list(COLUMNS)].to_numpy()
    return groups, counts_G3K
