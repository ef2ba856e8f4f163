"""One class is made to dominate the training part, and the others keep their minimum."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splitting.section import InfeasibleSplitError, Skew
from pipeline.splitting.skew import skew_classes, subsample
from tests.world import TWO_CLASSES


def chips(*pixels: tuple[int, int]) -> pd.DataFrame:
    """Pixels of field and of wood."""
    return pd.DataFrame(pixels, columns=["pixels_1", "pixels_2"])


def kept(train: pd.DataFrame, share: float, keep_at_least: float = 0.0, seed: int = 1) -> list[int]:
    """Rows that remain when wood is to have `share`."""
    skew = Skew.model_validate({"class": "wood", "share": share, "keep_at_least": keep_at_least})
    rows: list[int] = skew_classes(train, TWO_CLASSES, skew, seed).index.tolist()
    return rows


def test_chips_with_the_lowest_share_are_dropped_until_the_class_reaches_its_target() -> None:
    train = chips((0, 10), (10, 0), (5, 5), (8, 2))
    assert kept(train, 0.4) == [0, 1, 2, 3]  # 17 of 40
    assert kept(train, 0.5) == [0, 2, 3]  # 17 of 30
    assert kept(train, 0.7) == [0, 2]
    assert kept(train, 1.0) == [0]


def test_a_minimum_of_the_other_classes_is_kept() -> None:
    train = chips((0, 10), (10, 0), (5, 5), (8, 2))  # 23 pixels of field
    assert kept(train, 1.0, keep_at_least=0.3) == [0, 3]  # 8 pixels are more than 30 %, 5 are not
    assert kept(train, 1.0, keep_at_least=1.0) == [0, 1, 2, 3]


@given(
    st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30),
    st.floats(0.01, 1),
    st.floats(0, 1),
    st.integers(0, 3),
)
def test_the_share_never_falls_and_the_minimum_is_kept(
    pixels: list[tuple[int, int]], share: float, minimum: float, seed: int
) -> None:
    train = chips(*pixels, (3, 3))
    rows = kept(train, share, minimum, seed)
    before, after = train.sum(), train.loc[rows].sum()
    assert after["pixels_1"] >= minimum * before["pixels_1"]
    assert after["pixels_2"] > 0
    assert after["pixels_2"] * before.sum() >= before["pixels_2"] * after.sum()
    assert kept(train, share, minimum, seed) == rows


def test_ties_are_broken_by_the_seed() -> None:
    train = chips(*[(5, 5)] * 10, (0, 40))
    assert len({tuple(kept(train, 0.7, seed=seed)) for seed in range(8)}) > 1


def test_a_class_without_pixels_is_refused() -> None:
    with pytest.raises(InfeasibleSplitError, match=r"is 'wood', but no training chip has a pixel of it"):
        kept(chips((1, 0)), 0.9)


def test_a_subsample_keeps_the_order_and_depends_on_the_seed_only() -> None:
    train = chips(*[(number, 0) for number in range(20)])
    rows = subsample(train, 7, seed=1).index
    assert len(rows) == 7
    assert rows.is_monotonic_increasing
    assert rows.tolist() == subsample(train, 7, seed=1).index.tolist() != subsample(train, 7, seed=2).index.tolist()
