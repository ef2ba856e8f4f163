"""The data card: a page of Markdown that says what a person should know of the chips before using them."""

from collections.abc import Iterable, Sequence

import pandas as pd

from pipeline.formats.chips import Imagery, Origin
from pipeline.formats.classes import ClassTable
from pipeline.formats.datasets import DatasetName, licence
from pipeline.formats.splits import GROUP
from pipeline.splitting.report import class_shares, imbalance
from pipeline.splitting.section import PARTS, SplitSection


def data_card(
    dataset: DatasetName, chips: pd.DataFrame, table: ClassTable, made: tuple[Origin, Imagery], section: SplitSection
) -> str:
    """The card.

    Args:
        dataset: whose chips they are.
        chips: rows of `chips.csv` with their group and `part`, those without a part included.
        table: the classes.
        made: where the chips come from and how they became pictures.
        section: how they were split.
    """
    origin, imagery = made
    blocks = [
        [f"# Data card: {dataset}{' (synthetic sample)' if imagery.synthetic else ''}"],
        _table(("", ""), _facts(dataset, chips, origin, imagery)),
        ["## Classes", "", "Shares of the labelled pixels."],
        _table(("id", "class", "colour", *PARTS), _classes(chips, table)),
        ["## Parts", "", f"Strategy `{section.strategy}`, seed {section.seed}."],
        _table(("part", "chips", "scenes", "groups", "without a rare class"), _parts(chips, table)),
        ["## Left out"],
        _table(("chips or dates", "why"), _dropped(chips, origin)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _facts(dataset: DatasetName, chips: pd.DataFrame, origin: Origin, imagery: Imagery) -> Iterable[tuple[str, str]]:
    days = sorted(day for day in chips["date"] if day)
    sizes = sorted({f"{height} x {width}" for height, width in zip(chips["height"], chips["width"], strict=True)})
    pixels = sorted(chips["pixel_size"].dropna().unique())
    yield "origin", f"source `{origin.source}`"
    yield "licence", licence(dataset, origin.source)
    yield "chips", f"{len(chips)} of {chips['scene'].nunique()} scenes"
    yield "groups", f"{chips[GROUP].nunique()}, independent of each other: images that overlap are in one"
    yield "size", f"{', '.join(sizes)} px"
    yield "pixel size", f"{', '.join(f'{size:g}' for size in pixels)} (units of the CRS)" if pixels else "not known"
    yield "dates", f"{days[0]} to {days[-1]}" if days else "not known"
    yield "bands", f"{', '.join(imagery.bands)} as red, green, blue; stretch {imagery.stretch}"


def _classes(chips: pd.DataFrame, table: ClassTable) -> Iterable[tuple[str, ...]]:
    shares = [class_shares(chips[chips["part"] == part], table) for part in PARTS]
    for each in table.classes:
        colour = "#{:02x}{:02x}{:02x}".format(*each.colour)
        yield str(each.id), each.name, colour, *(f"{100 * share[each.name]:.2f} %" for share in shares)


def _parts(chips: pd.DataFrame, table: ClassTable) -> Iterable[tuple[str, ...]]:
    found = imbalance(chips, table)
    for part in PARTS:
        rows = chips[chips["part"] == part]
        scenes, groups = (str(rows[name].nunique()) for name in ("scene", GROUP))
        yield part, str(len(rows)), scenes, groups, str(found["chips_without_rare"][part])
    yield "rare classes", ", ".join(found["rare"]) or "none", "", "", ""


def _dropped(chips: pd.DataFrame, origin: Origin) -> Iterable[tuple[str, str]]:
    yield from ((str(count), reason) for reason, count in origin.dropped.items())
    yield (
        str(int((chips["part"] == "").sum())),
        "no part: in no list, too near to another part, or dropped by skew or thin",
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rows))
    return ["| " + " | ".join(row) + " |" for row in cells]
