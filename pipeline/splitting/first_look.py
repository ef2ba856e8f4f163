"""A first look at chips before a training: a grid of chips with their masks."""

from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np
import pandas as pd
from PIL import Image, ImageDraw, ImageFont

from pipeline.core.files import atomic_path
from pipeline.formats.chips import class_column
from pipeline.formats.classes import ClassTable
from pipeline.formats.png import read_image, read_mask
from pipeline.formats.splits import GROUP
from pipeline.splitting.section import PARTS

COUNT, COLUMNS = 8, 4
"""Chips of the grid, and in a row of it."""
SIDE, GAP, LINE = 180, 8, 20
"""Pixels: side of a chip, space between, height of a line of text."""
TOP = 2 * GAP + LINE
"""Height of the title in pixels."""


def choose_chips(chips: pd.DataFrame, table: ClassTable) -> list[str]:
    """Choose chips to look at: for each class, rarest first, the one with most of it, in another group if one has it.

    Args:
        chips: rows of `chips.csv` with their `group` and `part`; those without a part are chosen last.
        table: the classes.

    Returns:
        Up to `COUNT` ids, by part in the order train, val, test.
    """
    ranked = chips.assign(left_out=chips["part"] == "")
    columns = sorted(map(class_column, table.ids), key=lambda column: (ranked[column].sum(), column))
    chosen: list[str] = []
    groups: set[str] = set()
    for column in [column for column in columns if ranked[column].sum()] * COUNT:
        open_ = ranked[~ranked["id"].isin(chosen)]
        open_ = open_.assign(lacks=open_[column] == 0, seen=open_[GROUP].isin(groups))
        if len(chosen) == COUNT or open_.empty:
            break
        order = {"left_out": True, "lacks": True, "seen": True, column: False, "id": True}
        best = open_.sort_values([*order], ascending=[*order.values()]).iloc[0]
        chosen.append(str(best["id"]))
        groups.add(str(best[GROUP]))
    rank_of = {part: rank for rank, part in enumerate((*PARTS, ""))}
    part_of = dict(zip(chips["id"], chips["part"], strict=True))
    return sorted(chosen, key=lambda chip: (rank_of[part_of[chip]], chip))


def draw_grid(path: Path, folder: Path, chips: pd.DataFrame, table: ClassTable, title: str) -> None:
    """Write a PNG of chips, each beside its mask, with their ids and parts and a legend.

    Args:
        path: the PNG.
        folder: the chips folder.
        chips: as for `choose_chips`.
        table: the classes.
        title: of the picture.
    """
    chosen = choose_chips(chips, table)
    part_of = dict(zip(chips["id"], chips["part"], strict=True))
    legend = list(_legend_rows(table))
    rows = -(-len(chosen) // COLUMNS)
    width = COLUMNS * (2 * SIDE + GAP) + GAP
    grid = Image.new("RGB", (width, TOP + rows * (SIDE + LINE + GAP) + LINE * len(legend)), "white")
    draw, font = ImageDraw.Draw(grid), ImageFont.load_default(size=13)
    draw.text((GAP, GAP), title, "black", ImageFont.load_default(size=16))
    palette_N3 = np.frombuffer(table.palette, np.uint8).reshape(-1, 3)
    for number, chip in enumerate(chosen):
        left = GAP + number % COLUMNS * (2 * SIDE + GAP)
        top = TOP + number // COLUMNS * (SIDE + LINE + GAP)
        image_HWC, mask_HW = read_image(folder / "images" / f"{chip}.png"), read_mask(folder / "masks" / f"{chip}.png")
        small_HWC = cv2.resize(image_HWC, (SIDE, SIDE), interpolation=cv2.INTER_AREA)
        mask_HWC = palette_N3[cv2.resize(mask_HW, (SIDE, SIDE), interpolation=cv2.INTER_NEAREST)]
        grid.paste(Image.fromarray(np.hstack([small_HWC, mask_HWC])), (left, top + LINE))
        draw.line((left + SIDE, top + LINE, left + SIDE, top + LINE + SIDE), "white", 2)
        draw.rectangle((left, top + LINE, left + 2 * SIDE - 1, top + LINE + SIDE - 1), outline="grey")
        draw.text((left, top), _cut(f"{part_of[chip] or 'left out'}: {chip}", 2 * SIDE, font), "black", font)
    for line, entries in enumerate(legend):
        top = TOP + rows * (SIDE + LINE + GAP) + line * LINE
        for left, name, colour in entries:
            draw.rectangle((left, top + 3, left + 12, top + 15), fill=colour, outline="grey")
            draw.text((left + 18, top), name, "black", font)
    with atomic_path(path) as partial:
        grid.save(partial, "PNG")


def _legend_rows(table: ClassTable) -> Iterator[list[tuple[int, str, tuple[int, int, int]]]]:
    """Yield rows of entries: distance from the left, name, colour."""
    font = ImageFont.load_default(size=13)
    row: list[tuple[int, str, tuple[int, int, int]]] = []
    left = GAP
    for name, colour in (*((entry.name, entry.colour) for entry in table.classes), ("ignore", (255, 255, 255))):
        shown = _cut(name, 2 * SIDE, font)
        width = 18 + int(font.getlength(shown)) + 2 * GAP
        if row and left + width > COLUMNS * (2 * SIDE + GAP):
            yield row
            row, left = [], GAP
        row.append((left, shown, colour))
        left += width
    yield row


def _cut(text: str, width: int, font: ImageFont.FreeTypeFont | ImageFont.ImageFont) -> str:
    """Shorten a text to a width in pixels."""
    while len(text) > 1 and font.getlength(text) > width:
        text = f"{text[:-2]}…"
    return text
