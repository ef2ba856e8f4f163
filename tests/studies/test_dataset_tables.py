"""The class tables have the paper's values and colours, and shares only of the paper's classes."""

from pipeline.formats.datasets import CLASSES
from pipeline.studies.dataset_tables import Measured, class_tables

SPLIT = {
    "synthetic": True,
    "train": {"classes": {"background": 0.5, "building": 0.25, "woodland": 0.25, "water": 0.0, "road": 0.0}},
    "val": {"classes": {"background": 1.0}},
    "test": {"classes": {}},
}


def test_the_papers_tables_i_to_iii_have_values_colours_and_shares() -> None:
    first, second, third = class_tables({"landcoverai": Measured(SPLIT, "landcoverai, sample, synthetic")})
    assert [table.caption for table in (first, second, third)] == [
        "Classes of landcovernet (Table I)",
        "Classes of ghana (Table II)",
        "Classes of landcoverai (Table III)",
    ]
    assert third.rows[:2] == (
        ("0", "background", "#000000", "0, 0, 0", "50.0 %", "100.0 %", "–"),
        ("1", "building", "#5000a5", "80, 0, 165", "25.0 %", "–", "–"),
    )
    assert third.notes[-1] == "Shares of the labelled pixels of landcoverai, sample, synthetic."
    assert [table.synthetic for table in (first, second, third)] == [False, False, True]
    assert [len(table.rows) for table in (first, second, third)] == [
        len(CLASSES[name].classes) for name in ("landcovernet", "ghana", "landcoverai")
    ]


def test_the_papers_printing_error_and_missing_shares_are_noted() -> None:
    first, *_ = class_tables({})
    assert first.rows[5][:4] == ("6", "cultivated", "#186818", "24, 104, 24")
    assert first.notes[0].startswith("The paper prints the value 7 for cultivated too; it is 6.")
    assert first.notes[-1] == "No shares: the dataset has not been split yet."


def test_shares_of_other_classes_are_not_those_of_the_paper() -> None:
    split = {"synthetic": True, "train": {"classes": {"background": 0.125, "<b>": 0.875}}}
    third = class_tables({"landcoverai": Measured(split, "mine")})[2]
    assert third.rows == class_tables({})[2].rows
    assert third.notes[-1] == "No shares: the runs have classes of their own."
    assert not third.synthetic
