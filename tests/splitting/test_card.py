"""The data card says where chips come from, what is in each part, and what was left out."""

from dataclasses import replace

import pandas as pd

from pipeline.formats.chips import Imagery, Origin
from pipeline.splitting.card import FirstLook, Provenance, data_card
from tests.splitting.world import grid, section
from tests.world import TWO_CLASSES

CHIPS = pd.concat(
    [
        grid("a", 1, 2, pixels_1=30, pixels_2=70).assign(part="train", date="2018-03-01"),
        grid("b", 1, 1, pixels_1=100, pixels_2=0).assign(part="val", date=""),
        grid("c", 1, 2, pixels_1=0, pixels_2=50).assign(part=["test", ""], date="2018-01-02"),
    ]
).assign(pixel_size=10.0, group=list("aabcc"))
PROVENANCE = Provenance("ghana", Origin("local", {"dates: cloud": 4}), Imagery(("3", "2", "1")))


LOOK = FirstLook("ghana.png", ["val has no pixel of wood"])


def card(chips: pd.DataFrame = CHIPS, provenance: Provenance = PROVENANCE, look: FirstLook = LOOK) -> str:
    return data_card(provenance, look, chips, TWO_CLASSES, section())


def test_warnings_come_first_and_the_picture_is_shown() -> None:
    assert card().splitlines()[2:7] == [
        "## Warnings",
        "",
        "- val has no pixel of wood",
        "",
        "![Chips beside their masks](ghana.png)",
    ]
    assert card(look=FirstLook("a.png", [])).splitlines()[4] == "- none"


def test_the_card_describes_origin_classes_and_parts() -> None:
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


def test_all_rows_of_a_table_have_the_same_number_of_cells() -> None:
    tables = [block.splitlines() for block in card().split("\n\n") if block.startswith("|")]
    assert len(tables) == 4
    assert all(len({row.count("|") for row in table}) == 1 for table in tables)


def test_the_licence_follows_the_source() -> None:
    downloaded = replace(PROVENANCE, origin=Origin("source_coop", {}))
    assert "| licence | CC BY-SA 4.0 |" in card(provenance=downloaded)


def test_unknown_dates_and_pixel_sizes_are_marked() -> None:
    lines = card(CHIPS.assign(pixel_size=float("nan"), date="")).splitlines()
    assert "| pixel size | not known |" in lines
    assert "| dates | not known |" in lines
