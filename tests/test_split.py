"""The stage `split`: lists, leak, metrics and card, and a refusal for one dataset that spares the others."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import Chip, Imagery, Origin, make_chip_folders, write_tables
from pipeline.formats.png import write_image, write_mask
from pipeline.learning.data import read_list
from pipeline.split import SplitParams, split
from pipeline.splitting.section import PARTS
from tests.world import LOCAL_CRS, TWO_CLASSES, UTM, params


def write_chips(folder: Path, count: int = 10, dates: int = 1, synthetic: bool = False) -> Path:
    """A row of adjacent chips; chip i has i pixels of class 1, 4 of class 2 and 6 ignored on each date."""
    make_chip_folders(folder)
    rows = []
    for number in range(count):
        for day in range(1, dates + 1):
            chip = Chip(
                id=f"c{number}_{day}",
                scene=f"c{number}",
                row=0,
                column=0,
                height=64,
                width=64,
                x=500000.0 + 640 * number,
                y=0.0,
                crs=UTM,
                pixel_size=10.0,
                date=f"2020-01-0{day}",
            )
            write_image(folder / f"images/{chip.id}.png", np.full((64, 64, 3), 9 * number, np.uint8))
            write_mask(folder / f"masks/{chip.id}.png", np.full((64, 64), 2, np.uint8), TWO_CLASSES)
            rows.append(vars(chip) | {"pixels_1": number, "pixels_2": 4, "pixels_ignored": 6})
    imagery = Imagery(("1", "2", "3"), synthetic=synthetic)
    write_tables(folder, rows, TWO_CLASSES, imagery, Origin("local", {"partial": 3}))
    return folder


def run_split(tmp_path: Path, folder: Path, **changes: Any) -> str:
    outputs = (
        tmp_path / "split",
        tmp_path / "metrics/ghana.json",
        tmp_path / "plots/ghana.md",
        tmp_path / "plots/ghana.png",
    )
    return split("ghana", folder, *outputs, params(SplitParams, **changes))


def read_lists(tmp_path: Path) -> dict[str, list[str]]:
    return {part: (tmp_path / "split" / f"{part}.txt").read_text().splitlines() for part in PARTS}


def read_metrics(tmp_path: Path) -> dict[str, Any]:
    metrics: dict[str, Any] = json.loads((tmp_path / "metrics/ghana.json").read_text())
    return metrics


def test_the_lists_are_sorted_and_contain_every_chip_once(tmp_path: Path) -> None:
    summary = run_split(tmp_path, write_chips(tmp_path / "chips", 10, dates=2))
    lists = read_lists(tmp_path)
    assert summary.startswith("20 chips in 10 groups: 16 train / 2 val / 2 test, 0 left out; ")
    assert [len(lists[part]) for part in PARTS] == [16, 2, 2]
    assert all(ids == sorted(ids) for ids in lists.values())
    assert sorted(sum(lists.values(), [])) == sorted(f"c{number}_{day}" for number in range(10) for day in (1, 2))
    assert lists["val"][0].split("_")[0] == lists["val"][1].split("_")[0]


def test_the_same_chips_give_the_same_bytes(tmp_path: Path) -> None:
    folder = write_chips(tmp_path / "chips")
    written = []
    for _ in range(2):
        run_split(tmp_path, folder)
        written.append([path.read_bytes() for path in sorted((tmp_path / "split").iterdir())])
    assert written[0] == written[1]


def test_the_leak_is_in_the_summary_the_metrics_and_leak_json(tmp_path: Path) -> None:
    summary = run_split(tmp_path, write_chips(tmp_path / "chips"))  # each test chip has a neighbour in train
    leak = "; 100 % of test chips touch a training chip; see split.strategy; 1 warning: see "
    assert summary.endswith(f"{leak}{tmp_path / 'plots/ghana.md'}")
    leak = json.loads((tmp_path / "split/leak.json").read_text())
    assert leak == {
        "strategy": "random",
        "fold": "none",
        "leak_share": 1.0,
        "leak_share_at_least": 1.0,
        "scenes_shared": 0,
    }
    assert leak.items() <= read_metrics(tmp_path).items()


def test_chips_without_a_position_on_the_globe_are_counted_in_the_summary(tmp_path: Path) -> None:
    rows = pd.read_csv(write_chips(tmp_path / "chips") / "chips.csv")
    rows.assign(crs=LOCAL_CRS).to_csv(tmp_path / "chips/chips.csv", index=False)
    summary = run_split(tmp_path, tmp_path / "chips")
    assert "; 10 chips are not in footprints.geojson" in summary
    assert json.loads((tmp_path / "split/footprints.geojson").read_text())["features"] == []
    assert json.loads((tmp_path / "split/leak.json").read_text())["leak_share"] == 1.0  # known within the site grid


@pytest.mark.parametrize("synthetic", [True, False])
@pytest.mark.parametrize("strategy", ["random", "official"])  # official: refused
def test_outputs_from_the_sample_are_marked_as_synthetic(tmp_path: Path, synthetic: bool, strategy: str) -> None:
    run_split(tmp_path, write_chips(tmp_path / "chips", synthetic=synthetic), **{"split.strategy": strategy})
    assert read_metrics(tmp_path)["synthetic"] is synthetic
    assert ("(synthetic sample)" in (tmp_path / "plots/ghana.md").read_text()) is synthetic
    if strategy == "random":
        assert json.loads((tmp_path / "split/imbalance.json").read_text())["synthetic"] is synthetic


def test_skew_drops_training_chips_only_and_reports_the_share_it_reached(tmp_path: Path) -> None:
    run_split(tmp_path, write_chips(tmp_path / "chips"))
    before = read_lists(tmp_path)
    skew = {"class": "field", "share": 0.6, "keep_at_least": 0}
    summary = run_split(tmp_path, tmp_path / "chips", **{"split.skew": skew})
    after = read_lists(tmp_path)
    assert (after["val"], after["test"]) == (before["val"], before["test"])
    kept = [int(chip[1]) for chip in after["train"]]
    assert kept == [int(chip[1]) for chip in before["train"]][-len(kept) :]  # chip i has i pixels of field
    reached = sum(kept) / (sum(kept) + 4 * len(kept))
    assert read_metrics(tmp_path)["skew"] == {"class": "field", "asked": 0.6, "reached": round(reached, 6)}
    assert reached >= 0.6
    assert f"/ 1 val / 1 test, {8 - len(kept)} left out, field at {100 * reached:.0f} % (requested: 60 %)" in summary


def test_subsample_like_skew_keeps_as_many_chips_as_the_skew_and_reports_none(tmp_path: Path) -> None:
    skew = {"class": "field", "share": 0.6, "keep_at_least": 0}
    run_split(tmp_path, write_chips(tmp_path / "chips"), **{"split.skew": skew})
    skewed = read_lists(tmp_path)
    summary = run_split(tmp_path, tmp_path / "chips", **{"split.skew": skew, "split.subsample": "like_skew"})
    drawn = read_lists(tmp_path)
    assert len(drawn["train"]) == len(skewed["train"]) == read_metrics(tmp_path)["train"]["chips"] < 8
    assert drawn["train"] != skewed["train"]
    assert (drawn["val"], drawn["test"]) == (skewed["val"], skewed["test"])
    assert "skew" not in read_metrics(tmp_path)
    assert f"{len(drawn['train'])} train / 1 val / 1 test" in summary
    assert "requested" not in summary


def test_skew_and_subsample_apply_to_the_chips_that_neighbours_leaves(tmp_path: Path) -> None:
    write_chips(tmp_path / "chips", 20)
    without = {"split.neighbours": "without", "dataset": "ghana"}
    assert "; 0 % of test chips touch a training chip" in run_split(tmp_path, tmp_path / "chips", **without)
    left = read_lists(tmp_path)["train"]
    run_split(tmp_path, tmp_path / "chips", **without, **{"split.subsample": len(left) - 2})
    assert set(read_lists(tmp_path)["train"]) < set(left)
    with pytest.raises(PipelineError, match=rf"^split\.subsample is {len(left) + 1}, but the training part has"):
        run_split(tmp_path, tmp_path / "chips", **without, **{"split.subsample": len(left) + 1})


def test_metrics_footprints_card_class_shares_and_imbalance_are_written(tmp_path: Path) -> None:
    run_split(tmp_path, write_chips(tmp_path / "chips"))
    metrics = read_metrics(tmp_path)
    assert [metrics[part]["chips"] for part in PARTS] == [8, 1, 1]
    features = json.loads((tmp_path / "split/footprints.geojson").read_text())["features"]
    assert [feature["properties"]["part"] for feature in features].count("train") == 8
    assert features[0]["properties"].keys() == {"id", "scene", "part", "date"}
    assert (tmp_path / "plots/ghana.md").read_text().startswith("# Data card: ghana\n")
    assert "| 3 | partial |" in (tmp_path / "plots/ghana.md").read_text()
    assert json.loads((tmp_path / "split/imbalance.json").read_text())["rare"] == []
    assert (tmp_path / "split/classes.csv").read_text().splitlines()[0] == "part,class,share,bar"


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"split.strategy": "official"}, "split.strategy is official, but no chip is named by"),
        (
            {"split.skew": {"class": "water", "share": 0.9, "keep_at_least": 0}},
            "split.skew.class is 'water'; allowed: none, field, wood",
        ),
        ({"split.subsample": 9}, "split.subsample is 9, but the training part has 8 chips; lower it"),
        (
            {"split.train": 0.98, "split.val": 0.01, "split.test": 0.01},
            "the part val would be empty: 10 chips at {'train': 0.98, 'val': 0.01, 'test': 0.01} give ",
        ),
    ],
)
def test_an_infeasible_split_ends_the_stage_only_for_the_dataset_to_train_on(
    tmp_path: Path, changes: dict[str, Any], reason: str
) -> None:
    with pytest.raises(PipelineError, match=f"^{re.escape(reason)}"):
        run_split(tmp_path, write_chips(tmp_path / "chips"), **changes, dataset="ghana")
    assert [path.name for path in tmp_path.iterdir()] == ["chips"]
    summary = run_split(tmp_path, tmp_path / "chips", **changes)
    assert summary.startswith(f"no split: {reason}")
    assert [path.name for path in (tmp_path / "split").iterdir()] == ["refused.txt"]
    assert read_metrics(tmp_path)["refused"].startswith(reason)
    with pytest.raises(PipelineError, match=re.escape(reason)):
        read_list(tmp_path / "split/train.txt")
    assert run_split(tmp_path, tmp_path / "chips").startswith("10 chips in 10 groups: ")
    assert not (tmp_path / "split/refused.txt").exists()


def test_groups_are_written_and_counted_by_part(tmp_path: Path) -> None:
    rows = pd.read_csv(write_chips(tmp_path / "chips") / "chips.csv")
    x = rows["x"].where(rows["id"] != "c9_1", rows["x"] - 320)  # c9 covers half of c8
    rows.assign(x=x).to_csv(tmp_path / "chips/chips.csv", index=False)
    assert run_split(tmp_path, tmp_path / "chips").startswith("10 chips in 9 groups: ")
    groups = (tmp_path / "split/groups.csv").read_text().splitlines()
    assert groups == ["id,group", *(f"c{number}_1,c{number}" for number in range(9)), "c9_1,c8"]
    metrics = read_metrics(tmp_path)
    assert metrics["train"]["groups"] in (7, 8)
    assert metrics["test"]["groups"] == metrics["val"]["groups"] == 1


def test_subsample_draws_from_the_chips_that_the_border_between_parts_leaves(tmp_path: Path) -> None:
    """The chips touch, and each is a group."""
    scene = {"split.strategy": "scene", "split.train": 0.6, "split.val": 0.2, "split.test": 0.2}
    summary = run_split(tmp_path, write_chips(tmp_path / "chips"), **scene)
    train = read_lists(tmp_path)["train"]
    assert summary.endswith("; 0 % of test chips touch a training chip")
    summary = run_split(tmp_path, tmp_path / "chips", **scene, **{"split.subsample": len(train) - 1})
    kept = read_lists(tmp_path)["train"]
    assert set(kept) < set(train)
    assert len(kept) == len(train) - 1
    assert summary.endswith("; 0 % of test chips touch a training chip")  # changed shares are not reported


def test_the_fold_is_in_leak_json_the_metrics_and_the_card(tmp_path: Path) -> None:
    tested = []
    rows = pd.read_csv(write_chips(tmp_path / "chips") / "chips.csv")
    rows.assign(x=500000 + 2 * (rows["x"] - 500000)).to_csv(tmp_path / "chips/chips.csv", index=False)  # apart
    for number in (1, 2):
        fold = {"split.strategy": "scene", "split.fold": f"{number}/2", "split.train": 0.5, "split.val": 0.3}
        run_split(tmp_path, tmp_path / "chips", **fold, **{"split.test": 0.2})
        assert json.loads((tmp_path / "split/leak.json").read_text())["fold"] == f"{number}/2"
        assert read_metrics(tmp_path)["fold"] == f"{number}/2"
        assert f"Strategy `scene`, fold {number}/2, seed 42." in (tmp_path / "plots/ghana.md").read_text()
        tested += read_lists(tmp_path)["test"]
    assert sorted(tested) == sorted(f"c{number}_1" for number in range(10))


def test_a_large_group_is_reported_in_the_summary(tmp_path: Path) -> None:
    rows = pd.read_csv(write_chips(tmp_path / "chips") / "chips.csv")
    x = rows["x"].where(rows.index > 6, 500000 + 0.9 * (rows["x"] - 500000))  # seven overlap
    rows.assign(x=x).to_csv(tmp_path / "chips/chips.csv", index=False)
    scene = {"split.strategy": "scene", "split.train": 0.5, "split.val": 0.25, "split.test": 0.25}
    assert "; the parts have " in (summary := run_split(tmp_path, tmp_path / "chips", **scene))
    assert summary.endswith("group c0 alone has 70 %; split.strategy=block would divide it")
    summary = run_split(tmp_path, tmp_path / "chips", **scene, **{"split.fold": "2/2"})
    assert summary.endswith(" % of the chips instead of 33 / 17 / 50: group c0 alone has 70 %; no fold can divide it")
