"""Shares of the classes, rare classes, and chips without them."""

import pandas as pd

from pipeline.splitting.report import class_shares, composition, imbalance, shares_table
from tests.world import TWO_CLASSES

# scene, part, pixels of field, of wood, ignored
ROWS = [("a", "train", 95, 5, 0), ("a", "val", 190, 0, 10), ("b", "test", 100, 0, 0), ("b", "", 0, 10, 0)]
CHIPS = pd.DataFrame(ROWS, columns=["scene", "part", "pixels_1", "pixels_2", "pixels_ignored"])
CHIPS["group"] = list("ppqq")


def test_composition_of_two_chips() -> None:
    assert composition(CHIPS[:2], TWO_CLASSES) == {
        "chips": 2,
        "scenes": 1,
        "groups": 1,
        "ignored": round(10 / 300, 6),
        "classes": {"field": round(285 / 290, 6), "wood": round(5 / 290, 6)},
    }


def test_class_shares_are_0_without_labelled_pixels() -> None:
    assert class_shares(CHIPS[:0], TWO_CLASSES) == {"field": 0.0, "wood": 0.0}


def test_rare_classes_and_chips_without_them() -> None:
    statistics = imbalance(CHIPS, TWO_CLASSES)  # 15 of 400 pixels are wood
    assert statistics["rare"] == ["wood"]
    assert statistics["chips_without_rare"] == {"train": 0, "val": 1, "test": 1, "left_out": 0}
    scene = {"chips": 2, "classes": {"field": round(100 / 110, 6), "wood": round(10 / 110, 6)}}
    assert statistics["scenes"]["b"] == scene


def test_if_no_class_is_rare_every_chip_is_without_one() -> None:
    balanced = imbalance(CHIPS.assign(pixels_1=10, pixels_2=10), TWO_CLASSES)
    assert balanced["rare"] == []
    assert balanced["chips_without_rare"] == {"train": 1, "val": 1, "test": 1, "left_out": 1}


def test_the_shares_table_has_a_row_per_class_and_part() -> None:
    table = shares_table(CHIPS, TWO_CLASSES)
    assert table.to_numpy().tolist()[:2] == [
        ["train", "field", 0.95, "field, train"],
        ["val", "field", 1.0, "field, val"],
    ]
    assert len(table) == 6
