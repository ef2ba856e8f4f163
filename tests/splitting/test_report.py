import pandas as pd

from pipeline.splitting.report import class_shares, composition, imbalance, shares_table
from tests.world import TWO_CLASSES

# scene, part, pixels of field, of wood, ignored
ROWS = [("a", "train", 95, 5, 0), ("a", "val", 190, 0, 10), ("b", "test", 100, 0, 0), ("b", "", 0, 10, 0)]
CHIPS = pd.DataFrame(ROWS, columns=["scene", "part", "pixels_1", "pixels_2", "pixels_ignored"])
CHIPS["group"] = list("ppqq")


def test_composition_counts_by_hand() -> None:
    assert composition(CHIPS[:2], TWO_CLASSES) == {
        "chips": 2,
        "scenes": 1,
        "groups": 1,
        "ignored": round(10 / 300, 6),
        "classes": {"field": round(285 / 290, 6), "wood": round(5 / 290, 6)},
    }


def test_shares_of_nothing_labelled_are_0() -> None:
    assert class_shares(CHIPS[:0], TWO_CLASSES) == {"field": 0.0, "wood": 0.0}


def test_rare_classes_and_the_chips_without_any() -> None:
    found = imbalance(CHIPS, TWO_CLASSES)  # 15 of 400 pixels are wood
    assert found["rare"] == ["wood"]
    assert found["chips_without_rare"] == {"train": 0, "val": 1, "test": 1, "left_out": 0}
    assert found["scenes"]["b"] == {"chips": 2, "classes": {"field": round(100 / 110, 6), "wood": round(10 / 110, 6)}}


def test_without_a_rare_class_every_chip_is_without() -> None:
    even = CHIPS.assign(pixels_1=10, pixels_2=10)
    assert imbalance(even, TWO_CLASSES)["rare"] == []
    assert imbalance(even, TWO_CLASSES)["chips_without_rare"]["train"] == 1


def test_the_table_has_a_row_a_part_and_class() -> None:
    table = shares_table(CHIPS, TWO_CLASSES)
    assert table.to_numpy().tolist()[:2] == [
        ["train", "field", 0.95, "field, train"],
        ["val", "field", 1.0, "field, val"],
    ]
    assert len(table) == 6
