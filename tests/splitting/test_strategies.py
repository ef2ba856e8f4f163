from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import PipelineError
from pipeline.splitting.apportion import TOLERANCE
from pipeline.splitting.section import PARTS
from pipeline.splitting.strategies import at_random, by_block, by_scene, part_sizes, share_out, without_neighbours
from tests.splitting.world import grid, section

SECTION = section()


def frame(places: int, dates: int = 1) -> pd.DataFrame:
    rows = [(f"s{place:03}_{day}", f"s{place:03}", 0, 0) for place in range(places) for day in range(dates)]
    return pd.DataFrame(rows, columns=["id", "scene", "row", "column"])


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
    part = share_out(rows, changed)
    assert part.groupby(rows["scene"]).nunique().eq(1).all()
    sizes = {name: int((part == name).sum()) // dates for name in PARTS}
    assert sizes == part_sizes(places, changed.shares)
    shuffled = rows.iloc[random.sample(range(len(rows)), len(rows))]
    assert share_out(shuffled, changed).sort_index().tolist() == part.tolist()
    assert share_out(rows, changed).tolist() == part.tolist()


def test_tiles_of_one_scene_are_places_of_their_own() -> None:
    part = share_out(grid(rows=4, columns=5), SECTION)
    assert part.value_counts().to_dict() == {"train": 16, "val": 2, "test": 2}


def test_another_seed_is_another_split() -> None:
    assert at_random(frame(60), SECTION).tolist() != at_random(frame(60), section(seed=43)).tolist()


def test_thirds_are_allowed() -> None:
    thirds = section(train=0.3333333, val=0.3333333, test=0.3333334)
    assert part_sizes(9, thirds.shares) == {"train": 3, "val": 3, "test": 3}


def test_a_part_that_would_be_empty_is_refused() -> None:
    with pytest.raises(
        PipelineError, match=r"^the part val would be empty: 3 chips at .* give .*'val': 0.* \(strategy random\)"
    ):
        share_out(frame(3), SECTION)


def test_official_parts_are_the_archives_own_and_the_rest_is_left_out() -> None:
    rows = grid(rows=1, columns=5).assign(official=["train", "test", "val", "", "train"])
    assert share_out(rows, section(strategy="official")).tolist() == ["train", "test", "val", "", "train"]


def test_official_parts_of_an_archive_without_lists_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"strategy is official, but none of these chips is named by train\.txt"):
        share_out(grid(rows=2, columns=2), section(strategy="official"))


@settings(max_examples=10)
@given(st.integers(0, 20))
def test_scenes_are_given_whole_and_every_class_is_in_every_part(seed: int) -> None:
    # ten scenes of two chips; the rare class is in three of them
    rows = pd.concat(grid(f"s{number}", 1, 2, pixels_4=7 * (number in (2, 5, 6))) for number in range(10))
    rows = rows.reset_index(drop=True)
    part = by_scene(rows, section(seed=seed, strategy="scene"))
    assert part.groupby(rows["scene"]).nunique().eq(1).all()
    assert part.value_counts().to_dict() == {"train": 16, "val": 2, "test": 2}
    assert rows.groupby(part.to_numpy())["pixels_4"].sum().min() > 0


def test_a_sentinel_tiles_chips_are_one_unit() -> None:
    rows = pd.concat([grid(f"s{number}", 1, 1).assign(unit=f"tile{number % 5}") for number in range(20)])
    rows = rows.reset_index(drop=True)
    part = by_scene(rows, section(strategy="scene", train=0.6, val=0.2, test=0.2))
    assert part.groupby(rows["unit"]).nunique().eq(1).all()
    assert part.value_counts().to_dict() == {"train": 12, "val": 4, "test": 4}


@settings(max_examples=12, deadline=None)
@given(st.integers(0, 10), st.integers(1, 3), st.integers(0, 2))
def test_blocks_are_whole_but_for_the_gap_and_no_two_parts_are_nearer_than_it(seed: int, size: int, gap: int) -> None:
    rows = grid(rows=12, columns=12)
    changed = section(seed=seed, strategy="block", block={"chips": size, "gap": gap}, train=0.6, val=0.2, test=0.2)
    part = by_block(rows, changed)
    place = list(zip(rows["row"] // 32, rows["column"] // 32, part, strict=True))
    for row, column, ours in place:
        for other_row, other_column, theirs in place:
            if "" not in (ours, theirs) and ours != theirs:
                assert max(abs(row - other_row), abs(column - other_column)) > gap
    blocks = part[part != ""].groupby([rows["row"] // (32 * size), rows["column"] // (32 * size)])
    assert blocks.nunique().eq(1).all()
    assert (part == "").any() == (gap > 0)


def test_neighbours_are_dropped_from_the_earlier_part_and_other_scenes_do_not_matter() -> None:
    rows = pd.concat([grid("a", 1, 4), grid("b", 1, 1)]).reset_index(drop=True)
    parts = pd.Series(["train", "train", "val", "test", "train"])
    assert without_neighbours(rows, parts, 0).tolist() == ["train", "train", "val", "test", "train"]
    assert without_neighbours(rows, parts, 1).tolist() == ["train", "", "", "test", "train"]


cells = st.lists(st.booleans(), min_size=24, max_size=24)


def missing(rows: pd.DataFrame, part: pd.Series) -> int:
    """Parts that have no pixel of the rare class."""
    return sum(not rows.loc[part == each, "pixels_4"].any() for each in PARTS)


def whole_blocks(rows: pd.DataFrame) -> Iterator[pd.Series]:
    """Every way to give six squares of 2 chips to the parts, with what a gap of 1 leaves of it."""
    block = (rows["row"] // 64) * 3 + rows["column"] // 64
    for way in product(PARTS, repeat=6):
        parts = block.map(dict(enumerate(way)))
        if set(way) == set(PARTS):
            yield without_neighbours(rows, parts, 1)


def off(part: pd.Series, wanted: dict[str, float]) -> float:
    kept = part[part != ""]
    return max(abs((kept == each).mean() - wanted[each]) for each in PARTS)


@settings(max_examples=6, deadline=None)
@given(cells, st.integers(0, 3))
def test_a_rare_class_is_in_every_part_where_that_can_be_after_the_gap(rare: list[bool], seed: int) -> None:
    rows = grid(rows=4, columns=6).assign(pixels_4=np.array(rare) * 7)
    wanted = section(seed=seed, strategy="block", block={"chips": 2, "gap": 1}, train=0.4, val=0.3, test=0.3)
    part = by_block(rows, wanted)
    ways = [way for way in whole_blocks(rows) if set(PARTS) <= set(way)]
    nearest = max(TOLERANCE, min(off(way, wanted.shares) for way in ways))
    assert off(part, wanted.shares) <= nearest + 1e-9
    best = min(missing(rows, way) for way in ways if off(way, wanted.shares) <= nearest + 1e-9)
    assert missing(rows, part) == best
