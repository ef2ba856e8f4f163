"""Shares, whole groups, folds and gaps between parts: no strategy leaks but random, and none leaves a part empty."""

from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.splitting.assignment import TOLERANCE
from pipeline.splitting.groups import find_groups
from pipeline.splitting.locations import Locations
from pipeline.splitting.section import PARTS, InfeasibleSplitError, SplitSection
from pipeline.splitting.strategies import drop_near_later_parts, find_folds, part_sizes
from tests.splitting.world import grid, leak_share, placed, section, split_up, together, touching

pytestmark = pytest.mark.usefixtures("few_moves")

SECTION = section()
SIX_TWO_TWO: dict[str, Any] = {"train": 0.6, "val": 0.2, "test": 0.2}


def scenes(count: int, dates: int = 1) -> pd.DataFrame:
    names = [f"s{number:03}" for number in range(count)]
    return together(*[grid(columns=count).assign(scene=names, unit=names, column=0)] * dates)


def parts_of(chips: pd.DataFrame, params: SplitSection) -> pd.Series:
    return split_up(chips, params)["part"]


def deviation(part: pd.Series, target: dict[str, float]) -> float:
    """Largest deviation of a part's share, among the chips that have a part."""
    kept = part[part != ""]
    return max(abs((kept == name).mean() - target[name]) for name in PARTS)


@pytest.mark.parametrize(
    ("count", "shares", "sizes"),
    [
        (10674, (0.8, 0.1, 0.1), (8539, 1067, 1068)),  # the study's
        (52, (0.7, 0.1, 0.2), (36, 5, 11)),  # exact: 36.4, 5.2, 10.4
        (9, (0.3333333, 0.3333333, 0.3333334), (3, 3, 3)),
    ],
)
def test_sizes_are_rounded_by_largest_remainder(count: int, shares: tuple[float, ...], sizes: tuple[int, ...]) -> None:
    assert tuple(part_sizes(count, dict(zip(PARTS, shares, strict=True))).values()) == sizes


percentages = st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: sum(pair) < 100)


@given(st.integers(0, 2000), percentages)
def test_sizes_add_up_and_are_within_one_of_the_exact_value(count: int, percent: tuple[int, int]) -> None:
    train, val = percent
    shares = {"train": train / 100, "val": val / 100, "test": (100 - train - val) / 100}
    sizes = part_sizes(count, shares)
    assert sum(sizes.values()) == count
    assert all(abs(sizes[part] - shares[part] * count) < 1 + 1e-9 for part in PARTS)


@settings(max_examples=30)
@given(st.integers(10, 60), st.integers(1, 4), st.integers(0, 5), st.randoms())
def test_dates_stay_together_and_the_order_of_rows_is_irrelevant(
    places: int, dates: int, seed: int, random: Any
) -> None:
    rows, params = scenes(places, dates), section(seed=seed)
    part = parts_of(rows, params)
    assert part.groupby(rows["scene"]).nunique().eq(1).all()
    sizes = {name: int((part == name).sum()) // dates for name in PARTS}
    assert sizes == part_sizes(places, params.shares)
    shuffled = rows.iloc[random.sample(range(len(rows)), len(rows))]
    assert parts_of(shuffled, params).sort_index().tolist() == part.tolist()
    assert parts_of(rows, params).tolist() == part.tolist()


def test_the_random_split_assigns_tiles_of_one_scene_separately() -> None:
    part = parts_of(grid(rows=4, columns=5), SECTION)
    assert part.value_counts().to_dict() == {"train": 16, "val": 2, "test": 2}


def test_another_seed_gives_another_split() -> None:
    assert parts_of(scenes(60), SECTION).tolist() != parts_of(scenes(60), section(seed=43)).tolist()


def test_the_official_split_follows_the_lists_and_leaves_out_the_rest() -> None:
    rows = grid(rows=1, columns=5).assign(official=["train", "test", "val", "", "train"])
    assert parts_of(rows, section(strategy="official")).tolist() == ["train", "test", "val", "", "train"]


@settings(max_examples=10)
@given(st.integers(0, 20))
def test_the_scene_split_keeps_scenes_whole_with_every_class_in_every_part(seed: int) -> None:
    # ten scenes of two chips; the rare class is in three of them
    rows = together(*(grid(f"s{number}", 1, 2, pixels_4=7 * (number in (2, 5, 6))) for number in range(10)))
    part = parts_of(rows, section(seed=seed, strategy="scene"))
    assert part.groupby(rows["scene"]).nunique().eq(1).all()
    assert part.value_counts().to_dict() == {"train": 16, "val": 2, "test": 2}
    assert rows.groupby(part.to_numpy())["pixels_4"].sum().min() > 0


@settings(max_examples=12)
@given(st.integers(0, 10), st.integers(1, 3), st.integers(0, 2))
def test_blocks_are_whole_except_for_the_gap_between_parts(seed: int, size: int, gap: int) -> None:
    rows = grid(rows=12, columns=12)
    params = section(seed=seed, strategy="block", block={"chips": size, "gap": gap}, **SIX_TWO_TWO)
    part = parts_of(rows, params)
    cells = list(zip(rows["row"] // 32, rows["column"] // 32, part, strict=True))
    for row, column, own in cells:
        for other_row, other_column, other in cells:
            if "" not in (own, other) and own != other:
                assert max(abs(row - other_row), abs(column - other_column)) > gap
    blocks = part[part != ""].groupby([rows["row"] // (32 * size), rows["column"] // (32 * size)])
    assert blocks.nunique().eq(1).all()
    assert (part == "").any() == (gap > 0)


def test_chips_near_a_later_part_of_the_same_scene_are_dropped() -> None:
    locations = Locations.from_chips(together(grid("a", 1, 4), grid("b", 1, 1)))
    parts = pd.Series(["train", "train", "val", "test", "train"])
    assert drop_near_later_parts(parts, locations.within(0)).tolist() == parts.tolist()
    assert drop_near_later_parts(parts, locations.within(1)).tolist() == ["train", "", "", "test", "train"]


@settings(max_examples=6)
@given(st.lists(st.booleans(), min_size=24, max_size=24), st.integers(0, 3))
def test_a_rare_class_is_in_every_part_if_possible_after_the_gap(has_rare: list[bool], seed: int) -> None:
    rows = grid(rows=4, columns=6).assign(pixels_4=np.array(has_rare) * 7)
    params = section(seed=seed, strategy="block", block={"chips": 2, "gap": 1}, train=0.4, val=0.3, test=0.3)
    part_N = parts_of(rows, params).map({part: rank for rank, part in enumerate(PARTS)} | {"": -1}).to_numpy()
    row_N, column_N = rows["row"].to_numpy() // 32, rows["column"].to_numpy() // 32
    near_NN = (abs(row_N[:, None] - row_N) <= 1) & (abs(column_N[:, None] - column_N) <= 1)
    all_A6 = np.array(list(product(range(3), repeat=6)))
    all_AN = all_A6[:, row_N // 2 * 3 + column_N // 2]
    is_kept_AN = np.where(near_NN, all_AN[:, None], 0).max(axis=2) <= all_AN
    in_part_AP = np.stack([(all_AN == part) & is_kept_AN for part in range(3)], axis=1)
    in_part_AP = np.concatenate([in_part_AP, [[part_N == part for part in range(3)]]])  # the last is the one found
    chips_AP = in_part_AP.sum(axis=2)
    deviation_A = abs(chips_AP / chips_AP.sum(axis=1, keepdims=True) - list(params.shares.values())).max(axis=1)
    missing_A = (~(in_part_AP & np.array(has_rare)).any(axis=2)).sum(axis=1)
    is_full_A = (chips_AP > 0).all(axis=1)
    allowed = max(TOLERANCE, deviation_A[is_full_A].min()) + 1e-9
    assert deviation_A[-1] <= allowed
    assert missing_A[-1] == missing_A[is_full_A & (deviation_A <= allowed)].min()


def mosaic(count: int, side: int, distance: int = 0, strategy: str = "scene", **changes: Any) -> pd.DataFrame:
    """Split `count` x `count` scenes of `side` x `side` chips, `distance` pixels apart."""
    step = 32 * side + distance
    rows = together(
        *(placed(grid(f"scene_{i}_{j}", side, side), step * j, step * i) for i in range(count) for j in range(count))
    )
    return split_up(rows, section(strategy=strategy, block={"chips": 4, "gap": 1}, **changes))


@pytest.mark.parametrize("strategy", ["scene", "block"])
def test_a_mosaic_leaks_nothing_and_loses_only_the_borders_between_parts(strategy: str) -> None:
    chips = mosaic(4, 4, strategy=strategy)
    assert leak_share(chips) == 0
    assert chips["group"].nunique() == 16
    assert deviation(chips["part"], SECTION.shares) <= TOLERANCE
    assert 0 < (chips["part"] == "").sum() < 64  # of 256
    assert leak_share(chips.assign(part=chips.groupby("scene")["part"].transform("max"))) > 0.4  # with the borders


def test_scenes_one_pixel_apart_do_not_touch_and_lose_nothing() -> None:
    assert (mosaic(4, 4, distance=1)["part"] != "").all()


def test_blocks_extend_across_the_scenes_of_a_mosaic() -> None:
    chips = mosaic(8, 1, strategy="block", train=0.5, val=0.25, test=0.25)  # four blocks of sixteen scenes
    assert set(chips["part"]) == {*PARTS, ""}
    columns = [chips["scene"].str.endswith(f"_{column}") for column in (0, 1, 2)]
    assert all(set(chips["part"][column]) - {""} for column in columns)
    first_block = chips[chips["scene"].str.fullmatch(r"scene_[0-2]_[0-2]")]
    assert first_block["part"].nunique() == 1


def test_overlapping_files_are_divided_without_a_leak_by_block() -> None:
    pair = [placed(grid("a", 12, 12), 0, 0), placed(grid("b", 12, 12), 5 * 32 + 7, 3 * 32 + 11)]
    chips = split_up(together(*pair), section(strategy="block", **SIX_TWO_TWO))
    assert leak_share(chips) == 0
    assert set(PARTS) <= set(chips["part"])
    assert deviation(chips["part"], SIX_TWO_TWO) <= TOLERANCE


def test_dates_of_a_place_with_slightly_offset_grids_share_blocks() -> None:
    rows = together(placed(grid("a", 12, 12), 0, 0), placed(grid("b", 12, 12), 3, -2))
    chips = split_up(rows, section(strategy="block", **SIX_TWO_TWO))
    assert leak_share(chips) == 0
    parts = chips[chips["part"] != ""].pivot(index=["row", "column"], columns="scene", values="part").dropna()
    assert (parts["a"] == parts["b"]).all()
    alone = split_up(rows[rows["scene"] == "a"], section(strategy="block", **SIX_TWO_TWO))
    assert (chips["part"] == "").sum() <= 2.2 * (alone["part"] == "").sum()  # twice what a single date loses


def require_parts_apart(chips: pd.DataFrame) -> pd.DataFrame:
    """Check that no chips of two parts touch; return those with a part."""
    kept = chips[chips["part"] != ""]
    part_N = kept["part"].to_numpy()
    assert (part_N[:, None] == part_N)[touching(kept)].all()
    return kept


def place_all(layout: list[tuple[int, int, int, int, int]]) -> pd.DataFrame:
    return together(
        *(
            placed(grid(f"s{number}", height, width), 32 * x + offset, 32 * y + offset)
            for number, (x, y, height, width, offset) in enumerate(layout)
        )
    )


layouts = st.lists(
    st.tuples(
        st.integers(0, 12), st.integers(0, 12), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, 1, 13])
    ),
    min_size=4,
    max_size=9,
)
"""Scenes: column and row in a grid of 32 px, rows and columns of chips, offset from the grid in pixels."""


@settings(max_examples=30)
@given(layouts, st.sampled_from(["scene", "block"]), st.integers(1, 2), st.integers(0, 2))
def test_no_two_parts_touch_and_a_group_is_in_one_part(
    layout: list[tuple[int, int, int, int, int]], strategy: str, gap: int, seed: int
) -> None:
    rows = place_all(layout)
    changes = {"strategy": strategy, "block": {"chips": 2, "gap": gap}, "seed": seed}
    try:
        chips = split_up(rows, section(**changes, train=0.4, val=0.3, test=0.3))
    except InfeasibleSplitError:
        return  # too few chips for three parts
    kept = require_parts_apart(chips)
    assert leak_share(chips) == 0
    if strategy == "scene":
        assert kept.groupby("group")["part"].nunique().max() == 1


def split_into_folds(rows: pd.DataFrame, count: int, **changes: Any) -> list[pd.DataFrame]:
    return [split_up(rows, section(strategy="scene", fold=f"{i}/{count}", **changes)) for i in range(1, count + 1)]


@settings(max_examples=15)
@given(layouts, st.integers(2, 4), st.integers(0, 2))
def test_folds_test_every_group_once_and_leave_no_neighbour_of_a_test_chip(
    layout: list[tuple[int, int, int, int, int]], count: int, seed: int
) -> None:
    far = [(40 * number, 40, 2, 2, 0) for number in range(4)]  # so that no part is empty
    rows = place_all([*layout, *far])
    locations = Locations.from_chips(rows)
    rows = rows.assign(group=find_groups(rows, locations))
    fold_N = find_folds(rows, count, seed)
    assert set(fold_N) == set(range(1, count + 1))
    assert fold_N.groupby(rows["group"]).nunique().eq(1).all()
    largest = rows["group"].value_counts(normalize=True).max()
    assert (fold_N.value_counts(normalize=True) - 1 / count).abs().max() <= max(TOLERANCE, largest) + 1e-9
    for number in range(1, count + 1):
        try:
            chips = split_up(rows, section(strategy="scene", fold=f"{number}/{count}", seed=seed))
        except InfeasibleSplitError:
            continue  # the other folds' groups are too few for train and val
        assert ((chips["part"] == "test") == (fold_N == number)).all()
        assert require_parts_apart(chips).groupby("group")["part"].nunique().max() == 1


def test_folds_of_equal_scenes_have_equal_shares_and_every_class() -> None:
    rows = together(*(grid(f"s{number:02}", 1, 4, pixels_2=9 * (number < 6)) for number in range(30)))
    folds = split_into_folds(rows, 3, train=0.7, val=0.2, test=0.1)
    for chips in folds:
        assert (chips["part"] == "test").sum() == 40
        rest = chips["part"].value_counts()
        assert abs(rest["val"] / (rest["val"] + rest["train"]) - 2 / 9) <= TOLERANCE
        assert all(chips["pixels_2"][chips["part"] == part].any() for part in PARTS)
    tested = [set(chips["id"][chips["part"] == "test"]) for chips in folds]
    assert sum(map(len, tested)) == len(set.union(*tested)) == 120


def test_folds_depend_on_the_seed_and_not_on_the_order_of_rows() -> None:
    rows = scenes(12)
    folds = [chips["part"].tolist() for chips in split_into_folds(rows, 3)]
    assert folds == [chips["part"].tolist() for chips in split_into_folds(rows, 3)]
    assert folds == [chips.sort_index()["part"].tolist() for chips in split_into_folds(rows[::-1], 3)]
    assert folds != [chips["part"].tolist() for chips in split_into_folds(rows, 3, seed=1)]


@pytest.mark.parametrize(
    ("count", "fold", "message"),
    [
        (3, "1/4", r"split\.fold asks for 4 folds, but the chips have 3 groups, and each fold needs one; choose fewer"),
        (
            2,
            "1/2",
            r"the part \w+ would be empty: 2 chips of 2 groups at .*'test': 0\.5\} give .* "
            r"\(strategy scene, fold 1/2\); choose another number of folds in split\.fold, or add scenes$",
        ),
    ],
)
def test_too_few_groups_for_the_folds_are_refused(count: int, fold: str, message: str) -> None:
    with pytest.raises(InfeasibleSplitError, match=f"^{message}"):
        parts_of(scenes(count), section(strategy="scene", fold=fold))


def test_without_a_georeference_every_scene_has_its_own_blocks() -> None:
    rows = together(grid("a", 8, 8), grid("b", 8, 8))
    chips = split_up(rows, section(strategy="block", **SIX_TWO_TWO))
    for _, scene in chips.groupby("scene"):
        blocks = scene[scene["part"] != ""].groupby([scene["row"] // 64, scene["column"] // 64])["part"]
        assert blocks.nunique().max() == 1


@pytest.mark.parametrize(
    ("strategy", "message"),
    [
        ("random", r"2 chips at \{.*\} give \{.*\} \(strategy random\); raise its share in split, or cut more chips"),
        ("scene", r"2 chips of 1 groups at .* choose split\.strategy=block, which divides groups"),
        ("block", r"2 chips at .* lower split\.block\.chips or split\.block\.gap"),
        ("official", r"2 chips give .* name some of these chips in its list"),
    ],
)
def test_an_empty_part_is_refused_with_advice_for_the_strategy(strategy: str, message: str) -> None:
    rows = grid(rows=1, columns=2).assign(official=["train", "test"])
    with pytest.raises(InfeasibleSplitError, match=rf"^the part (train|val|test) would be empty: {message}"):
        parts_of(rows, section(strategy=strategy))
