import json
import re
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip, Imagery, Origin, write_tables
from pipeline.learning.data import read_list
from pipeline.split import SplitParams, split
from pipeline.splitting.section import PARTS
from tests.world import SITE_GRID, TWO_CLASSES, UTM, params


def chips(folder: Path, count: int = 10, dates: int = 1, synthetic: bool = False) -> Path:
    """Chip i of `count` has i pixels of class 1, 4 of class 2 and 6 ignored, on each date."""
    rows = []
    for number in range(count):
        for day in range(1, dates + 1):
            chip = Chip(
                f"c{number}_{day}",
                f"c{number}",
                0,
                0,
                64,
                64,
                500000.0 + 640 * number,
                0.0,
                UTM,
                10.0,
                f"2020-01-0{day}",
            )
            rows.append(vars(chip) | {"pixels_1": number, "pixels_2": 4, "pixels_ignored": 6})
    write_tables(
        folder, rows, TWO_CLASSES, Imagery(("1", "2", "3"), synthetic=synthetic), Origin("local", {"partial": 3})
    )
    return folder


def cut_up(tmp_path: Path, folder: Path, **changes: Any) -> str:
    outs = (tmp_path / "split", tmp_path / "metrics/ghana.json", tmp_path / "plots/ghana.md")
    return split("ghana", folder, *outs, params(SplitParams, **changes))


def test_the_lists_are_sorted_and_hold_every_chip_once(tmp_path: Path) -> None:
    summary = cut_up(tmp_path, chips(tmp_path / "chips", 10, dates=2))
    lists = {part: (tmp_path / "split" / f"{part}.txt").read_text().splitlines() for part in PARTS}
    assert summary.startswith("20 chips of 10 groups in: 16 train / 2 val / 2 test, 0 left out; ")
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


def test_the_leak_is_told_in_the_summary_the_metrics_and_beside_the_lists(tmp_path: Path) -> None:
    summary = cut_up(tmp_path, chips(tmp_path / "chips"))  # ten chips in a row: each test chip has a neighbour
    assert summary.endswith("100 % of test chips touch a training chip; see split.strategy")
    metrics = json.loads((tmp_path / "metrics/ghana.json").read_text())
    leak = json.loads((tmp_path / "split/leak.json").read_text())
    assert leak == {"strategy": "random", "leak_share": 1.0, "leak_share_at_least": 1.0, "scenes_shared": 0}
    assert leak.items() <= metrics.items()


def test_chips_that_no_map_can_show_are_counted_in_the_summary(tmp_path: Path) -> None:
    frame = pd.read_csv(chips(tmp_path / "chips") / "chips.csv")
    frame.assign(crs=SITE_GRID).to_csv(tmp_path / "chips/chips.csv", index=False)
    summary = cut_up(tmp_path, tmp_path / "chips")
    assert summary.endswith("; 10 chips are not in footprints.geojson: their outline on the globe is not known")
    assert json.loads((tmp_path / "split/footprints.geojson").read_text())["features"] == []
    assert json.loads((tmp_path / "split/leak.json").read_text())["leak_share"] == 1.0  # among themselves it is known


@pytest.mark.parametrize("synthetic", [True, False])
@pytest.mark.parametrize("strategy", ["random", "official"])  # official: refused
def test_what_is_made_of_the_sample_says_so(tmp_path: Path, synthetic: bool, strategy: str) -> None:
    cut_up(tmp_path, chips(tmp_path / "chips", synthetic=synthetic), **{"split.strategy": strategy})
    assert json.loads((tmp_path / "metrics/ghana.json").read_text())["synthetic"] is synthetic
    assert ("(synthetic sample)" in (tmp_path / "plots/ghana.md").read_text()) is synthetic
    if strategy == "random":
        assert json.loads((tmp_path / "split/imbalance.json").read_text())["synthetic"] is synthetic


def test_skew_drops_training_chips_alone_and_says_what_it_reached(tmp_path: Path) -> None:
    cut_up(tmp_path, chips(tmp_path / "chips"))
    before = {part: (tmp_path / f"split/{part}.txt").read_text() for part in PARTS}
    skew = {"class": "field", "share": 0.6, "keep_at_least": 0}
    summary = cut_up(tmp_path, tmp_path / "chips", **{"split.skew": skew})
    after = {part: (tmp_path / f"split/{part}.txt").read_text() for part in PARTS}
    assert (after["val"], after["test"]) == (before["val"], before["test"])
    kept = [int(line[1]) for line in after["train"].splitlines()]
    assert kept == sorted(kept)[-len(kept) :]  # chip i has i pixels of field
    reached = sum(kept) / (sum(kept) + 4 * len(kept))
    metrics = json.loads((tmp_path / "metrics/ghana.json").read_text())
    assert metrics["skew"] == {"class": "field", "asked": 0.6, "reached": round(reached, 6)}
    assert reached >= 0.6
    assert f"/ 1 val / 1 test, {8 - len(kept)} left out" in summary


def test_thin_is_the_control_of_the_same_number(tmp_path: Path) -> None:
    summary = cut_up(tmp_path, chips(tmp_path / "chips"), **{"split.thin": 5})
    assert summary.startswith("10 chips of 10 groups in: 5 train / 1 val / 1 test, 3 left out; ")


def test_the_card_the_shares_and_the_imbalance_are_written(tmp_path: Path) -> None:
    cut_up(tmp_path, chips(tmp_path / "chips"))
    assert (tmp_path / "plots/ghana.md").read_text().startswith("# Data card: ghana\n")
    assert "| 3 | partial |" in (tmp_path / "plots/ghana.md").read_text()
    assert json.loads((tmp_path / "split/imbalance.json").read_text())["rare"] == []
    assert (tmp_path / "split/classes.csv").read_text().splitlines()[0] == "part,class,share,bar"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split.strategy": "official"}, "split.strategy is official, but no chip has a part by"),
        (
            {"split.skew": {"class": "water", "share": 0.9, "keep_at_least": 0}},
            "split.skew.class is 'water'; allowed: none, field, wood",
        ),
        ({"split.thin": 9}, "split.thin is 9, but the training part has 8 chips; lower it"),
        (
            {"split.train": 0.98, "split.val": 0.01, "split.test": 0.01},
            "the part val would be empty: 10 chips at {'train': 0.98, 'val': 0.01, 'test': 0.01} give ",
        ),
    ],
)
def test_what_one_datasets_chips_cannot_have_stops_their_training_alone(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    """An experiment on another dataset goes on; one on this ends here, before DVC removes the model."""
    with pytest.raises(PipelineError, match=f"^{re.escape(reason)}"):
        cut_up(tmp_path, chips(tmp_path / "chips"), **changes, dataset="ghana")
    assert [path.name for path in tmp_path.iterdir()] == ["chips"]
    summary = cut_up(tmp_path, tmp_path / "chips", **changes)
    assert summary.startswith(f"no split made: {reason}")
    assert [path.name for path in (tmp_path / "split").iterdir()] == ["refused.txt"]
    assert json.loads((tmp_path / "metrics/ghana.json").read_text())["refused"].startswith(reason)
    with pytest.raises(PipelineError, match="has no lists: "):
        read_list(tmp_path / "split/train.txt")
    assert cut_up(tmp_path, tmp_path / "chips").startswith("10 chips of 10 groups in")
    assert not (tmp_path / "split/refused.txt").exists()


def test_the_groups_lie_beside_the_lists_and_are_counted_by_part(tmp_path: Path) -> None:
    frame = pd.read_csv(chips(tmp_path / "chips") / "chips.csv")
    moved = frame["x"].where(frame["id"] != "c9_1", frame["x"] - 320)  # half way over c8
    frame.assign(x=moved).to_csv(tmp_path / "chips/chips.csv", index=False)
    assert cut_up(tmp_path, tmp_path / "chips").startswith("10 chips of 9 groups in: ")
    groups = (tmp_path / "split/groups.csv").read_text().splitlines()
    assert groups == ["id,group", *(f"c{number}_1,c{number}" for number in range(9)), "c9_1,c8"]
    metrics = json.loads((tmp_path / "metrics/ghana.json").read_text())
    assert metrics["train"]["groups"] in (7, 8)
    assert metrics["test"]["groups"] == metrics["val"]["groups"] == 1


def test_skew_and_thin_are_of_the_chips_that_the_border_leaves(tmp_path: Path) -> None:
    """Ten images side by side, a group each."""
    shares = {"split.strategy": "scene", "split.train": 0.6, "split.val": 0.2, "split.test": 0.2}
    summary = cut_up(tmp_path, chips(tmp_path / "chips"), **shares)
    train = (tmp_path / "split/train.txt").read_text().splitlines()
    assert summary.endswith("; 0 % of test chips touch a training chip")
    thin = cut_up(tmp_path, tmp_path / "chips", **shares, **{"split.thin": len(train) - 1})
    kept = (tmp_path / "split/train.txt").read_text().splitlines()
    assert set(kept) < set(train)
    assert len(kept) == len(train) - 1
    assert thin.endswith("; 0 % of test chips touch a training chip")  # no word of shares that only thin changed
    refused = cut_up(tmp_path, tmp_path / "chips", **shares, **{"split.thin": len(train) + 1})
    assert f"but the training part has {len(train)} chips" in refused


def test_a_group_that_is_too_large_is_told_in_the_summary(tmp_path: Path) -> None:
    frame = pd.read_csv(chips(tmp_path / "chips") / "chips.csv")
    moved = frame["x"].where(frame.index > 6, 500000 + 0.9 * (frame["x"] - 500000))  # seven overlap
    frame.assign(x=moved).to_csv(tmp_path / "chips/chips.csv", index=False)
    shares = {"split.train": 0.5, "split.val": 0.25, "split.test": 0.25}
    summary = cut_up(tmp_path, tmp_path / "chips", **shares, **{"split.strategy": "scene"})
    assert summary.endswith("the group c0 alone has 70 %, and split.strategy=block would divide it")
