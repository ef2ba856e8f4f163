"""The leak is measured, or known to be unknown; its experiment's arms differ in the leak only."""

from collections import Counter
from itertools import groupby
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.splitting.leaks import measure_leak, select_by_neighbours
from pipeline.splitting.locations import Locations
from pipeline.splitting.section import InfeasibleSplitError
from tests.splitting.world import at_cells, grid, leak_share, placed, section, split_up, together, touching
from tests.world import LOCAL_CRS

pytestmark = pytest.mark.usefixtures("few_moves")


def measured(chips: pd.DataFrame) -> dict[str, Any]:
    return measure_leak(chips, Locations.from_chips(chips))


def shares(chips: pd.DataFrame) -> tuple[float | None, float]:
    leak = measured(chips)
    return leak["leak_share"], leak["leak_share_at_least"]


def test_the_share_of_leaking_test_chips_and_the_number_of_shared_scenes() -> None:
    chips = at_cells((0, 0), (1, 0), (9, 9), (5, 5)).assign(part=["train", "test", "test", ""], scene=list("aabc"))
    assert measured(chips) == {"leak_share": 0.5, "leak_share_at_least": 0.5, "scenes_shared": 1}


def test_without_a_georeference_only_neighbours_within_an_image_are_known() -> None:
    image = at_cells((0, 0), (1, 0), (3, 0), (5, 0), scene="a", crs="").assign(part=["train", "test", "test", "test"])
    assert shares(image) == (round(1 / 3, 6), round(1 / 3, 6))  # a single image: nothing else could leak
    both = pd.concat([image, at_cells((0, 0), scene="b", crs="").assign(part="train")])
    assert shares(both) == (None, round(1 / 3, 6))
    assert shares(pd.concat([image[:2], both[4:]])) == (1.0, 1.0)  # all leak: the other image cannot add any


def test_an_image_without_training_chips_leaves_the_leak_known() -> None:
    image = at_cells((0, 0), (3, 0), scene="a", crs="").assign(part=["train", "test"])
    assert shares(pd.concat([image, at_cells((0, 0), scene="b", crs="").assign(part="val")])) == (0.0, 0.0)


def test_the_leak_is_known_within_a_site_grid_but_not_beyond_it() -> None:
    site = at_cells((0, 0), (1, 0), (5, 5), crs=LOCAL_CRS).assign(part=["train", "test", "test"])
    assert shares(site) == (0.5, 0.5)
    assert shares(pd.concat([site, at_cells((0, 0), scene="b").assign(part="train")])) == (None, 0.5)


@pytest.mark.parametrize(("crs", "expected"), [("EPSG:2180", (1.0, 1.0)), ("", (None, 0.0))])
def test_files_of_one_place_leak_though_each_is_in_one_part_if_it_is_known(crs: str, expected: object) -> None:
    files = [at_cells((0, 0), scene=name, crs=crs).assign(part=part) for name, part in (("a", "train"), ("b", "test"))]
    assert shares(pd.concat(files)) == expected


COLUMNS = {306: 18, 324: 19, 288: 17, 72: 9}
"""Of LandCover.ai's scenes: number of tiles listed, and windows in a row, including a partial one at the end."""


def test_almost_all_chips_of_the_official_lists_leak(shared: Path) -> None:
    folder = shared / "data/landcoverai-official"
    lists = {part: (folder / f"{part}.txt").read_text().split() for part in ("train", "val", "test")}
    listed = Counter(chip.rpartition("_")[0] for ids in lists.values() for chip in ids)
    scenes = []
    for part, ids in lists.items():
        for scene, chips in groupby(ids, key=lambda chip: chip.rpartition("_")[0]):
            numbers = [int(chip.rpartition("_")[2]) for chip in chips]
            cells = [divmod(number, COLUMNS[listed[scene]])[::-1] for number in numbers]
            offset = 1000 * sorted(listed).index(scene)  # scenes do not touch
            scenes.append(at_cells(*((x + offset, y) for x, y in cells)).assign(part=part, scene=scene))
    tiles = pd.concat(scenes, ignore_index=True)
    assert tiles["part"].value_counts().to_dict() == {"train": 7470, "val": 1602, "test": 1602}
    assert measured(tiles)["leak_share"] == round(1600 / 1602, 6)


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
    touches_N = touching(chips)[:, chips["part"] == "test"].any(axis=1)
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
def test_a_split_without_a_leak_is_refused(neighbours: str) -> None:
    with pytest.raises(
        InfeasibleSplitError,
        match=rf"^split\.neighbours is {neighbours}, but no training chip touches a test chip with split\.strategy="
        r"block, so there is no leak to measure; choose split\.strategy=random or split\.neighbours=any$",
    ):
        select(grid(columns=3).assign(part=["train", "", "test"]), neighbours, strategy="block")


def test_a_split_where_every_training_chip_touches_a_test_chip_is_refused() -> None:
    chips = grid(columns=3).assign(part=["train", "test", "train"])
    with pytest.raises(InfeasibleSplitError, match="but every training chip touches a test chip; lower split.test, "):
        select(chips, "without")
