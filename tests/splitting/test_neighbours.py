import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.splitting.locations import Locations
from pipeline.splitting.neighbours import select_by_neighbours
from pipeline.splitting.section import InfeasibleSplitError
from tests.splitting.world import boxes, grid, leak_share, placed, section, split_up, together


def select(chips: pd.DataFrame, neighbours: str, **changes: object) -> list[str]:
    params = section(neighbours=neighbours, **changes)
    ids: list[str] = select_by_neighbours(chips, Locations.from_chips(chips), params)["id"].tolist()
    return ids


def reduced(chips: pd.DataFrame, neighbours: str, **changes: object) -> pd.DataFrame:
    kept = chips["id"].isin(select(chips, neighbours, **changes)) | (chips["part"] != "train")
    return chips.assign(part=chips["part"].where(kept, ""))


def test_without_keeps_the_chips_that_touch_no_test_chip_and_with_as_many_of_all() -> None:
    chips = grid(columns=6).assign(part=["train", "train", "test", "train", "val", "train"])
    assert select(chips, "any") == ["s_0_0", "s_0_1", "s_0_3", "s_0_5"]
    assert select(chips, "without") == ["s_0_0", "s_0_5"]  # the others are beside the test chip
    draws = {tuple(select(chips, "with", seed=seed)) for seed in range(30)}
    assert all(len(draw) == 2 for draw in draws)
    assert set(sum(draws, ())) == {"s_0_0", "s_0_1", "s_0_3", "s_0_5"}


def test_dates_of_the_place_of_a_test_chip_are_its_neighbours() -> None:
    chips = together(grid(), grid(), grid("t")).assign(id=["a", "b", "c"], part=["test", "train", "train"])
    assert select(chips, "without") == ["c"]


@settings(max_examples=25)
@given(st.integers(3, 7), st.integers(3, 7), st.integers(0, 4))
def test_the_arms_differ_in_the_leak_only(rows: int, columns: int, seed: int) -> None:
    mosaic = [placed(grid(f"m{number}", rows, columns), 32 * columns * number, 0) for number in range(2)]
    far = [placed(grid(f"f{number}", 1, 2), 5000 + 100 * number, 0) for number in range(6)]
    chips = split_up(together(*mosaic, *far), section(seed=seed))
    box_N4 = boxes(chips)
    low_NN2 = np.maximum(box_N4[:, None, :2], box_N4[None, :, :2])
    high_NN2 = np.minimum(box_N4[:, None, 2:], box_N4[None, :, 2:])
    touches_NN = (low_NN2 <= high_NN2).all(axis=2)
    touches_N = touches_NN[:, chips["part"] == "test"].any(axis=1)
    expected = chips["id"][(chips["part"] == "train") & ~touches_N].tolist()
    try:
        without, arm = (reduced(chips, name, seed=seed) for name in ("without", "with"))
    except InfeasibleSplitError:
        assert not expected or not (touches_N & (chips["part"] == "train")).any()
        return
    assert without["id"][without["part"] == "train"].tolist() == expected
    assert leak_share(without) == 0
    assert (arm["part"] == "train").sum() == len(expected)
    for part in ("val", "test"):
        assert ((without["part"] == part) == (arm["part"] == part)).all()


@pytest.mark.parametrize("neighbours", ["with", "without"])
@pytest.mark.parametrize("strategy", ["scene", "block"])
def test_a_split_without_a_leak_is_refused(strategy: str, neighbours: str) -> None:
    chips = together(*(placed(grid(f"s{i}", 6, 6), 192 * i, 0) for i in range(6)))
    chips = split_up(chips, section(strategy=strategy, train=0.6, val=0.2, test=0.2))
    with pytest.raises(
        InfeasibleSplitError,
        match=rf"^split\.neighbours is {neighbours}, but no training chip touches a test chip with split\.strategy="
        rf"{strategy}, so there is no leak to measure; choose split\.strategy=random or split\.neighbours=any$",
    ):
        select(chips, neighbours, strategy=strategy)


def test_a_split_where_every_training_chip_touches_a_test_chip_is_refused() -> None:
    chips = grid(columns=3).assign(part=["train", "test", "train"])
    with pytest.raises(InfeasibleSplitError, match="but every training chip touches a test chip; lower split.test, "):
        select(chips, "without")
