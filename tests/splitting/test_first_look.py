"""The picture shows every class, rare ones first, from different groups."""

from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image

from pipeline.formats.chips import make_chip_folders
from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.formats.png import write_image, write_mask
from pipeline.splitting.first_look import COUNT, GAP, LINE, SIDE, TOP, choose_chips, draw_grid
from tests.splitting.world import grid
from tests.world import TWO_CLASSES


def chips(*rows: tuple[str, str, str, int, int]) -> pd.DataFrame:
    """Rows of id, group, part, pixels of class 1 and of class 2."""
    return pd.DataFrame(rows, columns=["id", "group", "part", "pixels_1", "pixels_2"])


def test_the_rarest_class_comes_first_and_groups_take_turns() -> None:
    rows = [(f"a{number}", "a", "train", 100, number) for number in range(9)] + [("b0", "b", "val", 90, 1)]
    chosen = choose_chips(chips(*rows), TWO_CLASSES)
    assert len(chosen) == COUNT
    assert "a8" in chosen  # most of class 2
    assert chosen[-1] == "b0"  # another group, and a later part


def test_a_class_of_one_group_is_shown_though_its_group_was_seen() -> None:
    rows = [
        ("a0", "a", "train", 0, 40),
        ("a1", "a", "train", 50, 0),
        *((f"b{n}", f"b{n}", "train", 0, 0) for n in range(9)),
    ]
    assert {"a0", "a1"} <= {*choose_chips(chips(*rows), TWO_CLASSES)}


def test_chips_without_a_part_come_last() -> None:
    rows = [("x", "x", "", 100, 100), *((f"a{n}", "a", "train", 1, 1) for n in range(COUNT))]
    assert "x" not in choose_chips(chips(*rows), TWO_CLASSES)
    assert choose_chips(chips(*rows[:2]), TWO_CLASSES) == ["a0", "x"]


def test_a_picture_shows_chips_beside_their_masks(tmp_path: Path) -> None:
    make_chip_folders(tmp_path)
    frame = grid("s", 1, 2, pixels_1=5, pixels_2=5).assign(part=["train", ""], group="s")
    for chip, value in zip(frame["id"], (1, IGNORE), strict=True):
        write_image(tmp_path / f"images/{chip}.png", np.full((32, 32, 3), (10, 20, 30), np.uint8))
        write_mask(tmp_path / f"masks/{chip}.png", np.full((32, 32), value, np.uint8), TWO_CLASSES)
    draw_grid(tmp_path / "look.png", tmp_path, frame, TWO_CLASSES, "ghana")
    with Image.open(tmp_path / "look.png") as picture:
        middle = TOP + LINE + SIDE // 2
        columns = (GAP + SIDE // 2, GAP + SIDE + SIDE // 2, 2 * GAP + 3 * SIDE + SIDE // 2)
        assert [picture.getpixel((column, middle)) for column in columns] == [
            (10, 20, 30),
            TWO_CLASSES.classes[0].colour,
            (255, 255, 255),
        ]


def test_many_classes_and_long_names_fit(tmp_path: Path) -> None:
    make_chip_folders(tmp_path)
    table = ClassTable.model_validate({"classes": [f"class {'w' * 90} {number}" for number in range(40)]})
    frame = grid("s" * 80, 1, 1, **{f"pixels_{number}": 1 for number in range(40)}).assign(part="train", group="s")
    (chip,) = frame["id"]
    write_image(tmp_path / f"images/{chip}.png", np.zeros((32, 32, 3), np.uint8))
    write_mask(tmp_path / f"masks/{chip}.png", np.zeros((32, 32), np.uint8), table)
    draw_grid(tmp_path / "look.png", tmp_path, frame, table, "mine")
    with Image.open(tmp_path / "look.png") as picture:
        right_HW = np.array(picture.convert("L"))[:, -2:]
    assert (right_HW == 255).all()  # nothing is cut off at the edge
