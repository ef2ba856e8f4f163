import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.splitting.section import Skew, UnfitError
from pipeline.splitting.skew import skewed, subsample
from tests.world import TWO_CLASSES


def chips(*pairs: tuple[int, int]) -> pd.DataFrame:
    """Pixels of field and of wood."""
    return pd.DataFrame(pairs, columns=["pixels_1", "pixels_2"])


def skew(share: float, keep_at_least: float = 0.0, name: str = "wood") -> Skew:
    return Skew.model_validate({"class": name, "share": share, "keep_at_least": keep_at_least})


def test_the_poorest_chips_go_until_the_class_has_its_share() -> None:
    train = chips((0, 10), (10, 0), (5, 5), (8, 2))
    assert skewed(train, TWO_CLASSES, skew(0.4), 1).index.tolist() == [0, 1, 2, 3]  # has 17 of 40
    assert skewed(train, TWO_CLASSES, skew(0.5), 1).index.tolist() == [0, 2, 3]  # 17 of 30
    assert skewed(train, TWO_CLASSES, skew(0.7), 1).index.tolist() == [0, 2]
    assert skewed(train, TWO_CLASSES, skew(1.0), 1).index.tolist() == [0]


def test_a_minimum_of_the_other_classes_stays() -> None:
    train = chips((0, 10), (10, 0), (5, 5), (8, 2))  # 23 pixels of field
    assert skewed(train, TWO_CLASSES, skew(1.0, 0.3), 1).index.tolist() == [0, 3]  # 8 are more than 30 %, 5 are not
    assert skewed(train, TWO_CLASSES, skew(1.0, 1.0), 1).index.tolist() == [0, 1, 2, 3]


some_chips = st.lists(st.tuples(st.integers(0, 50), st.integers(0, 50)), min_size=1, max_size=30)


@given(some_chips, st.floats(0.01, 1), st.floats(0, 1), st.integers(0, 3))
def test_the_promises_hold_for_any_chips(pairs: list[tuple[int, int]], share: float, keep: float, seed: int) -> None:
    train = chips(*pairs, (3, 3))
    kept = skewed(train, TWO_CLASSES, skew(share, keep), seed)
    before, after = train.sum(), kept.sum()
    assert after["pixels_1"] >= keep * before["pixels_1"]
    assert after["pixels_2"] > 0
    assert after["pixels_2"] * before.sum() >= before["pixels_2"] * after.sum()  # its share has not fallen
    assert skewed(train, TWO_CLASSES, skew(share, keep), seed).index.tolist() == kept.index.tolist()


def test_ties_are_broken_by_the_seed() -> None:
    train = chips(*[(5, 5)] * 10, (0, 40))
    assert len({tuple(skewed(train, TWO_CLASSES, skew(0.7), seed).index) for seed in range(8)}) > 1


def test_an_unknown_class_is_refused_with_the_known_ones() -> None:
    with pytest.raises(UnfitError, match=r"^split\.skew\.class is 'woood'; did you mean 'wood'\? allowed: none, field"):
        skewed(chips((1, 1)), TWO_CLASSES, skew(0.9, name="woood"), 1)


def test_a_class_without_pixels_is_refused() -> None:
    with pytest.raises(UnfitError, match=r"is 'wood', but no training chip has a pixel of it"):
        skewed(chips((1, 0)), TWO_CLASSES, skew(0.9), 1)


def test_thinning_draws_as_many_as_asked_in_the_order_of_the_rows() -> None:
    train = chips(*[(number, 0) for number in range(20)])
    kept = subsample(train, 7, 1)
    assert len(kept) == 7
    assert kept.index.is_monotonic_increasing
    assert kept.index.tolist() == subsample(train, 7, 1).index.tolist() != subsample(train, 7, 2).index.tolist()


def test_thinning_to_more_than_there_are_is_refused() -> None:
    with pytest.raises(UnfitError, match=r"^split\.subsample is 3, but the training part has 2 chips; lower it$"):
        subsample(chips((1, 1), (1, 1)), 3, 1)
