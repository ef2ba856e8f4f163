import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.chips import Chip, Imagery, read_chips, write_tables
from pipeline.errors import PipelineError
from pipeline.params import validated
from pipeline.split import PARTS, SplitParams, SplitSection, composition, part_sizes, share_out, split
from tests.world import TWO_CLASSES, UTM, changed, params

SECTION = params(SplitParams).split


def frame(places: int, dates: int = 1) -> pd.DataFrame:
    rows = [(f"s{place:03}_{day}", f"s{place:03}", 0, 0) for place in range(places) for day in range(dates)]
    return pd.DataFrame(rows, columns=["id", "scene", "row", "column"])


def chips(folder: Path, count: int = 10, dates: int = 1) -> Path:
    """Chip i of `count` has i pixels of class 1, 4 of class 2 and 6 ignored, on each date."""
    rows = []
    for number in range(count):
        for day in range(1, dates + 1):
            chip = Chip(f"c{number}_{day}", f"c{number}", 0, 0, 64, 64, 500000.0, 0.0, UTM, 10.0, f"2020-01-0{day}")
            rows.append(vars(chip) | {"pixels_1": number, "pixels_2": 4, "pixels_ignored": 6})
    write_tables(folder, rows, TWO_CLASSES, Imagery(("1", "2", "3")))
    return folder


def cut_up(tmp_path: Path, folder: Path, **changes: Any) -> str:
    return split("ghana", folder, tmp_path / "split", tmp_path / "metrics/ghana.json", params(SplitParams, **changes))


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
    rows, section = frame(places, dates), SECTION.model_copy(update={"seed": seed})
    part = share_out(rows, section)
    assert part.groupby(rows["scene"]).nunique().eq(1).all()
    sizes = {name: int((part == name).sum()) // dates for name in PARTS}
    assert sizes == part_sizes(places, section.shares)
    shuffled = rows.iloc[random.sample(range(len(rows)), len(rows))]
    assert share_out(shuffled, section).sort_index().tolist() == part.tolist()
    assert share_out(rows, section).tolist() == part.tolist()


def test_tiles_of_one_scene_are_places_of_their_own() -> None:
    tiles = pd.DataFrame([("a", row, column) for row in range(4) for column in range(5)])
    part = share_out(tiles.set_axis(["scene", "row", "column"], axis=1), SECTION)
    assert part.value_counts().to_dict() == {"train": 16, "val": 2, "test": 2}


def test_another_seed_is_another_split() -> None:
    rows = frame(60)
    assert share_out(rows, SECTION).tolist() != share_out(rows, SECTION.model_copy(update={"seed": 43})).tolist()


def test_a_part_that_would_be_empty_is_refused_and_nothing_published(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"^the part val would be empty: 3 chips at .*'val': 0.1.* give .*'val': 0"):
        cut_up(tmp_path, chips(tmp_path / "chips", 3))
    assert [path.name for path in tmp_path.iterdir()] == ["chips"]


@pytest.mark.parametrize(
    ("ratios", "message"),
    [
        ((0.8, 0.1, 0.2), "split: train 0.8 + val 0.1 + test 0.2 is 1.1; it must be 1"),
        ((0.8, 0.1, 0.09), "split: train 0.8 + val 0.1 + test 0.09 is 0.99; it must be 1"),
        (
            (0.9, 0.0, 0.1),
            "split: train, val and test must each be above 0: the best epoch is chosen on val, scored on",
        ),
        ((1.2, -0.1, -0.1), "split.train is 1.2; input should be less than or equal to 1; split.val is -0.1; input"),
    ],
)
def test_ratios_that_are_none_are_refused(ratios: tuple[float, float, float], message: str) -> None:
    values = changed(**{f"split.{part}": ratio for part, ratio in zip(PARTS, ratios, strict=True)})
    with pytest.raises(PipelineError) as error:
        validated(SplitParams, {"split": values["split"]}, Path("params.yaml"))
    assert str(error.value).startswith(f"params.yaml: {message}")


def test_thirds_are_allowed() -> None:
    thirds = SplitSection(train=0.3333333, val=0.3333333, test=0.3333334, seed=1)
    assert part_sizes(9, thirds.shares) == {"train": 3, "val": 3, "test": 3}


def test_composition_counts_by_hand(tmp_path: Path) -> None:
    rows = read_chips(chips(tmp_path, 3))
    assert composition(rows, TWO_CLASSES) == {
        "chips": 3,
        "scenes": 3,
        "ignored": round(18 / 33, 6),
        "classes": {"field": 0.2, "wood": 0.8},
    }


def test_the_lists_are_sorted_and_hold_every_chip_once(tmp_path: Path) -> None:
    summary = cut_up(tmp_path, chips(tmp_path / "chips", 10, dates=2))
    lists = {part: (tmp_path / "split" / f"{part}.txt").read_text().splitlines() for part in PARTS}
    assert summary == "20 chips in: 16 train / 2 val / 2 test"
    assert [len(lists[part]) for part in PARTS] == [16, 2, 2]
    assert all(names == sorted(names) for names in lists.values())
    assert sorted(sum(lists.values(), [])) == sorted(f"c{number}_{day}" for number in range(10) for day in (1, 2))
    assert lists["val"][0].split("_")[0] == lists["val"][1].split("_")[0]


def test_the_metrics_and_the_outlines_tell_of_the_parts(tmp_path: Path) -> None:
    cut_up(tmp_path, chips(tmp_path / "chips"))
    metrics = json.loads((tmp_path / "metrics/ghana.json").read_text())
    assert [metrics[part]["chips"] for part in PARTS] == [8, 1, 1]
    outlines = json.loads((tmp_path / "split/footprints.geojson").read_text())["features"]
    assert [outline["properties"]["part"] for outline in outlines].count("train") == 8
    assert outlines[0]["properties"].keys() == {"id", "scene", "part", "date"}


def test_the_same_chips_give_the_same_bytes(tmp_path: Path) -> None:
    folder = chips(tmp_path / "chips")
    written = []
    for _ in range(2):
        cut_up(tmp_path, folder)
        written.append([path.read_bytes() for path in sorted((tmp_path / "split").iterdir())])
    assert written[0] == written[1]
