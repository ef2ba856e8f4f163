from dataclasses import replace

import pandas as pd

from pipeline.formats.chips import Imagery, Origin
from pipeline.formats.datasets import DatasetName
from pipeline.splitting.card import data_card
from tests.splitting.world import grid, section
from tests.world import TWO_CLASSES

CHIPS = pd.concat(
    [
        grid("a", 1, 2, pixels_1=30, pixels_2=70).assign(part="train", date="2018-03-01"),
        grid("b", 1, 1, pixels_1=100, pixels_2=0).assign(part="val", date=""),
        grid("c", 1, 2, pixels_1=0, pixels_2=50).assign(part=["test", ""], date="2018-01-02"),
    ]
).assign(pixel_size=10.0, group=list("aabcc"))
MADE = Origin("local", {"dates: cloud": 4}), Imagery(("3", "2", "1"))


def card(source: str = "local", dataset: DatasetName = "ghana") -> str:
    origin, imagery = MADE
    made = replace(origin, source=source), replace(imagery, synthetic=source == "sample")
    return data_card(dataset, CHIPS, TWO_CLASSES, made, section())


def test_the_card_says_where_the_chips_come_from_and_what_they_are() -> None:
    lines = card().splitlines()
    assert lines[0] == "# Data card: ghana"
    for line in (
        "| origin | source `local` |",
        "| licence | as their owner says; a copy of the archive: CC BY-SA 4.0 |",
        "| chips | 5 of 3 scenes |",
        "| groups | 3, independent of each other: images that overlap are in one |",
        "| size | 32 x 32 px |",
        "| train | 2 | 1 | 1 | 2 |",
        "| pixel size | 10 (units of the CRS) |",
        "| dates | 2018-01-02 to 2018-03-01 |",
        "| 2 | wood | #0a141e | 70.00 % | 0.00 % | 100.00 % |",
        "| 4 | dates: cloud |",
    ):
        assert line in lines
    assert sum(line.startswith("| 1 | no part") for line in lines) == 1


def test_every_table_has_as_many_cells_in_each_row() -> None:
    tables = [block.splitlines() for block in card().split("\n\n") if block.startswith("|")]
    assert len(tables) == 4
    assert all(len({row.count("|") for row in table}) == 1 for table in tables)


def test_the_synthetic_sample_says_so() -> None:
    assert card("sample").startswith("# Data card: ghana (synthetic sample)")
    assert "synthetic" not in card()


def test_the_licence_follows_the_source() -> None:
    assert "| licence | MIT, with this project: made from a seed |" in card("sample")
    assert "| licence | CC BY-SA 4.0 |" in card("source_coop")
    assert "| licence | as their owner says |" in card("local", "landcoverai")


def test_what_is_not_known_is_said_to_be_so() -> None:
    bare = CHIPS.assign(pixel_size=float("nan"), date="")
    lines = data_card("ghana", bare, TWO_CLASSES, MADE, section()).splitlines()
    assert "| pixel size | not known |" in lines
    assert "| dates | not known |" in lines
