from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.splitting.apportion import TOLERANCE
from pipeline.splitting.ground import Ground
from pipeline.splitting.section import PARTS, SplitSection, UnfitError
from pipeline.splitting.strategies import part_sizes, without_neighbours
from tests.splitting.world import boxes, grid, leak, placed, section, split_up, together

SECTION = section()


def frame(places: int, dates: int = 1) -> pd.DataFrame:
    return together(*(grid(f"s{place:03}") for place in range(places) for _ in range(dates)))


def part_of(chips: pd.DataFrame, how: SplitSection) -> pd.Series:
    return split_up(chips, how)["part"]


def test_the_sizes_of_the_study_come_out() -> None:
    assert part_sizes(10674, {"train": 0.8, "val": 0.1, "test": 0.1}) == {"train": 8539, "val": 1067, "test": 1068}


def test_the_sizes_of_the_real_figures_come_out() -> None:
    assert part_sizes(52, {"train": 0.7, "val": 0.1, "test": 0.2}) == {"train": 36, "val": 5, "test": 11}


shares = st.tuples(st.integers(1, 98), st.integers(1, 98)).filter(lambda pair: sum(pair) < 100)


@given(st.integers(0, 2000), shares)
def test_sizes_add_up_and_are_within_one_of_exact(count: int, percent: tuple[int, int]) -> None:
    train, val = percent
    exact = {"train": train / 100, "val": val / 100, "test": (100 - train - val) / 100}
    sizes = part_sizes(count, exact)
    assert sum(sizes.values()) == count
    assert all(abs(sizes[part] - exact[part] * count) < 1 + 1e-9 for part in PARTS)


@given(st.integers(10, 60), st.integers(1, 4), st.integers(0, 5), st.randoms())
def test_dates_stay_together_and_the_order_of_rows_is_irrelevant(
    places: int, dates: int, seed: int, random: Any
) -> None:
    rows, changed = frame(places, dates), section(seed=seed)
    part = part_of(rows, changed)
    assert part.groupby(rows["scene"]).nunique().eq(1).all()
    sizes = {name: int((part == name).sum()) // dates for name in PARTS}
    assert sizes == part_sizes(places, changed.shares)
    shuffled = rows.iloc[random.sample(range(len(rows)), len(rows))]
    assert part_of(shuffled, changed).sort_index().tolist() == part.tolist()
    assert part_of(rows, changed).tolist() == part.tolist()


def test_tiles_of_one_scene_are_places_of_their_own() -> None:
    part = part_of(grid(rows=4, columns=5), SECTION)
    assert part.value_counts().to_dict() == {"train": 16, "val": 2, "test": 2}


def test_another_seed_is_another_split() -> None:
    assert part_of(frame(60), SECTION).tolist() != part_of(frame(60), section(seed=43)).tolist()


def test_thirds_are_allowed() -> None:
    thirds = section(train=0.3333333, val=0.3333333, test=0.3333334)
    assert part_sizes(9, thirds.shares) == {"train": 3, "val": 3, "test": 3}


def test_a_part_that_would_be_empty_is_refused() -> None:
    with pytest.raises(
        UnfitError, match=r"^the part val would be empty: 3 chips at .* give .*'val': 0.* \(strategy random\)"
    ):
        part_of(frame(3), SECTION)


def test_official_parts_are_the_archives_own_and_the_rest_is_left_out() -> None:
    rows = grid(rows=1, columns=5).assign(official=["train", "test", "val", "", "train"])
    assert part_of(rows, section(strategy="official")).tolist() == ["train", "test", "val", "", "train"]


def test_official_parts_of_an_archive_without_lists_are_refused() -> None:
    with pytest.raises(UnfitError, match=r"strategy is official, but no chip has a part by train\.txt"):
        part_of(grid(rows=2, columns=2), section(strategy="official"))


@settings(max_examples=10)
@given(st.integers(0, 20))
def test_scenes_are_given_whole_and_every_class_is_in_every_part(seed: int) -> None:
    # ten scenes of two chips; the rare class is in three of them
    rows = together(*(grid(f"s{number}", 1, 2, pixels_4=7 * (number in (2, 5, 6))) for number in range(10)))
    part = part_of(rows, section(seed=seed, strategy="scene"))
    assert part.groupby(rows["scene"]).nunique().eq(1).all()
    assert part.value_counts().to_dict() == {"train": 16, "val": 2, "test": 2}
    assert rows.groupby(part.to_numpy())["pixels_4"].sum().min() > 0


def test_a_sentinel_tiles_chips_are_one_unit() -> None:
    rows = together(*(grid(f"s{number}", 1, 1).assign(unit=f"tile{number % 5}") for number in range(20)))
    part = part_of(rows, section(strategy="scene", train=0.6, val=0.2, test=0.2))
    assert part.groupby(rows["unit"]).nunique().eq(1).all()
    assert part.value_counts().to_dict() == {"train": 12, "val": 4, "test": 4}


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10), st.integers(1, 3), st.integers(0, 2))
def test_blocks_are_whole_but_for_the_gap_and_no_two_parts_are_nearer_than_it(seed: int, size: int, gap: int) -> None:
    rows = grid(rows=12, columns=12)
    changed = section(seed=seed, strategy="block", block={"chips": size, "gap": gap}, train=0.6, val=0.2, test=0.2)
    part = part_of(rows, changed)
    place = list(zip(rows["row"] // 32, rows["column"] // 32, part, strict=True))
    for row, column, ours in place:
        for other_row, other_column, theirs in place:
            if "" not in (ours, theirs) and ours != theirs:
                assert max(abs(row - other_row), abs(column - other_column)) > gap
    blocks = part[part != ""].groupby([rows["row"] // (32 * size), rows["column"] // (32 * size)])
    assert blocks.nunique().eq(1).all()
    assert (part == "").any() == (gap > 0)


def test_neighbours_are_dropped_from_the_earlier_part_and_other_scenes_do_not_matter() -> None:
    rows = together(grid("a", 1, 4), grid("b", 1, 1))
    parts, ground = pd.Series(["train", "train", "val", "test", "train"]), Ground.of(rows)
    assert without_neighbours(parts, ground, ground.within(0)).tolist() == ["train", "train", "val", "test", "train"]
    assert without_neighbours(parts, ground, ground.within(1)).tolist() == ["train", "", "", "test", "train"]


cells = st.lists(st.booleans(), min_size=24, max_size=24)


def missing(rows: pd.DataFrame, part: pd.Series) -> int:
    """Parts that have no pixel of the rare class."""
    return sum(not rows.loc[part == each, "pixels_4"].any() for each in PARTS)


def whole_blocks(rows: pd.DataFrame) -> Iterator[pd.Series]:
    """Every way to give six squares of 2 chips to the parts, with what a gap of 1 leaves of it."""
    block = (rows["row"] // 64) * 3 + rows["column"] // 64
    ground = Ground.of(rows)
    near = ground.within(1)
    for way in product(PARTS, repeat=6):
        parts = block.map(dict(enumerate(way)))
        if set(way) == set(PARTS):
            yield without_neighbours(parts, ground, near)


def off(part: pd.Series, wanted: dict[str, float]) -> float:
    kept = part[part != ""]
    return max(abs((kept == each).mean() - wanted[each]) for each in PARTS)


@settings(max_examples=6, deadline=None)
@given(cells, st.integers(0, 3))
def test_a_rare_class_is_in_every_part_where_that_can_be_after_the_gap(rare: list[bool], seed: int) -> None:
    rows = grid(rows=4, columns=6).assign(pixels_4=np.array(rare) * 7)
    wanted = section(seed=seed, strategy="block", block={"chips": 2, "gap": 1}, train=0.4, val=0.3, test=0.3)
    part = part_of(rows, wanted)
    ways = [way for way in whole_blocks(rows) if set(PARTS) <= set(way)]
    nearest = max(TOLERANCE, min(off(way, wanted.shares) for way in ways))
    assert off(part, wanted.shares) <= nearest + 1e-9
    best = min(missing(rows, way) for way in ways if off(way, wanted.shares) <= nearest + 1e-9)
    assert missing(rows, part) == best


def sheets(many: int, side: int, apart: int = 0, strategy: str = "scene", **changes: Any) -> pd.DataFrame:
    """A mosaic of `many` x `many` sheets of `side` x `side` chips, shared out."""
    step = 32 * side + apart
    rows = together(
        *(placed(grid(f"sheet_{i}_{j}", side, side), step * j, step * i) for i in range(many) for j in range(many))
    )
    return split_up(rows, section(strategy=strategy, block={"chips": 4, "gap": 1}, **changes))


@pytest.mark.parametrize("strategy", ["scene", "block"])
def test_sheets_that_touch_leak_nothing_and_leave_out_no_more_than_the_borders_between_parts(strategy: str) -> None:
    chips = sheets(4, 4, strategy=strategy)
    assert leak(chips) == 0
    assert chips["group"].nunique() == 16
    sizes = chips["part"].value_counts()
    kept = sizes[list(PARTS)] / sizes[list(PARTS)].sum()
    assert abs(kept - [0.8, 0.1, 0.1]).max() <= TOLERANCE
    assert 0 < sizes[""] < 64  # of 256
    assert leak(chips.assign(part=chips.groupby("scene")["part"].transform("max"))) > 0.4  # were they left in


def test_sheets_a_pixel_apart_do_not_touch_and_lose_nothing() -> None:
    assert (sheets(4, 4, apart=1)["part"] != "").all()


def test_blocks_run_across_the_borders_of_sheets() -> None:
    chips = sheets(8, 1, strategy="block", train=0.5, val=0.25, test=0.25)  # four blocks of sixteen sheets
    assert set(chips["part"]) == {*PARTS, ""}
    across = [chips["scene"].str.endswith(f"_{column}") for column in (0, 1, 2)]
    assert all(set(chips["part"][each]) - {""} for each in across)
    one = chips[chips["scene"].str.fullmatch(r"sheet_[0-2]_[0-2]")]
    assert one["part"].nunique() == 1


def test_files_that_overlap_lie_on_one_side_under_scene_and_their_shared_ground_under_block() -> None:
    pair = [placed(grid("a", 12, 12), 0, 0), placed(grid("b", 12, 12), 5 * 32 + 7, 3 * 32 + 11)]
    others = [placed(grid(f"c{number}", 3, 3), 3000 * number, 5000) for number in range(12)]
    chips = split_up(together(*pair, *others), section(strategy="scene", train=0.6, val=0.2, test=0.2))
    assert chips[chips["scene"].isin(["a", "b"])]["part"].nunique() == 1
    chips = split_up(together(*pair), section(strategy="block", train=0.6, val=0.2, test=0.2))
    assert leak(chips) == 0
    assert set(PARTS) <= set(chips["part"])
    assert (
        max(
            abs((chips["part"][chips["part"] != ""] == part).mean() - share)
            for part, share in (("train", 0.6), ("val", 0.2), ("test", 0.2))
        )
        <= TOLERANCE
    )


def test_dates_of_one_place_whose_grids_are_off_by_a_little_share_blocks() -> None:
    rows = together(placed(grid("a", 12, 12), 0, 0), placed(grid("b", 12, 12), 3, -2))
    chips = split_up(rows, section(strategy="block", train=0.6, val=0.2, test=0.2))
    assert leak(chips) == 0
    sides = chips[chips["part"] != ""].pivot(index=["row", "column"], columns="scene", values="part").dropna()
    assert (sides["a"] == sides["b"]).all()
    alone = split_up(rows[rows["scene"] == "a"], section(strategy="block", train=0.6, val=0.2, test=0.2))
    assert (chips["part"] == "").sum() <= 2.2 * (alone["part"] == "").sum()  # what one of them would lose, twice


def test_scenes_of_two_utm_zones_that_touch_are_parted_by_a_border() -> None:
    rows = together(
        *(placed(grid(f"a{number}", 2, 2), 64 * number, 0, "EPSG:32630", 10.0) for number in range(8)),
        placed(grid("b", 9, 2), -300, 0, "EPSG:32630", 10.0).assign(crs="EPSG:32631"),
    )
    chips = split_up(rows, section(strategy="scene", train=0.6, val=0.2, test=0.2))
    assert leak(chips) == 0


layouts = st.lists(
    st.tuples(
        st.integers(0, 12), st.integers(0, 12), st.integers(1, 4), st.integers(1, 4), st.sampled_from([0, 1, 13])
    ),
    min_size=4,
    max_size=9,
)
"""Scenes: column and row of a grid of 32 px, rows and columns of chips, pixels by which they are off the grid."""


@settings(max_examples=30)
@given(layouts, st.sampled_from(["scene", "block"]), st.integers(1, 2), st.integers(0, 2))
def test_no_test_chip_touches_a_training_chip_and_a_group_lies_on_one_side(
    layout: list[tuple[int, int, int, int, int]], strategy: str, gap: int, seed: int
) -> None:
    scenes = [
        placed(grid(f"s{number}", rows, columns), 32 * x + off, 32 * y + off)
        for number, (x, y, rows, columns, off) in enumerate(layout)
    ]
    changes = {"strategy": strategy, "block": {"chips": 2, "gap": gap}, "seed": seed}
    try:
        chips = split_up(together(*scenes), section(**changes, train=0.4, val=0.3, test=0.3))
    except UnfitError:
        return  # too little for three parts
    kept = chips[chips["part"] != ""]
    box_N4, part_N = boxes(kept), kept["part"].to_numpy()
    near_NN = np.maximum(box_N4[:, None, :2], box_N4[None, :, :2]) <= np.minimum(
        box_N4[:, None, 2:], box_N4[None, :, 2:]
    )
    assert (part_N[:, None] == part_N)[near_NN.all(axis=2)].all()
    assert leak(chips) == 0
    if strategy == "scene":
        assert kept.groupby("group")["part"].nunique().max() == 1


def test_without_a_georeference_blocks_are_of_one_scene_each() -> None:
    rows = together(grid("a", 8, 8), grid("b", 8, 8))
    chips = split_up(rows, section(strategy="block", train=0.6, val=0.2, test=0.2))
    for _, scene in chips.groupby("scene"):
        blocks = scene[scene["part"] != ""].groupby([scene["row"] // 64, scene["column"] // 64])["part"]
        assert blocks.nunique().max() == 1


@pytest.mark.parametrize(
    ("strategy", "advice"),
    [
        ("random", "raise its share in split, or cut more chips"),
        ("scene", "2 chips of 1 groups at .* choose split.strategy=block, which divides groups"),
        ("block", r"lower split\.block\.chips or split\.block\.gap"),
        ("official", r"2 chips give .* name some of these chips in its list"),
    ],
)
def test_the_advice_against_an_empty_part_is_of_the_strategy(strategy: str, advice: str) -> None:
    rows = grid(rows=1, columns=2).assign(official=["train", "test"])
    with pytest.raises(UnfitError, match=advice):
        part_of(rows, section(strategy=strategy))
