"""The data card: a Markdown page that describes the chips and their split."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from pipeline.formats.chips import Imagery, Origin
from pipeline.formats.classes import ClassTable, hex_colour
from pipeline.formats.datasets import DatasetName, licence
from pipeline.formats.splits import GROUP
from pipeline.splitting.report import class_shares, imbalance
from pipeline.splitting.section import PARTS, SplitSection


@dataclass(frozen=True)
class Provenance:
    """Where chips come from and how they became 8-bit images."""

    dataset: DatasetName
    origin: Origin
    imagery: Imagery

    @property
    def title(self) -> str:
        """The dataset, marked if it is synthetic."""
        return f"{self.dataset}{' (synthetic sample)' if self.imagery.synthetic else ''}"


@dataclass(frozen=True)
class FirstLook:
    """What a person looks at before a training."""

    picture: str
    """Path of the grid of chips, relative to the card."""
    warnings: Sequence[str]


def data_card(
    provenance: Provenance, look: FirstLook, chips: pd.DataFrame, table: ClassTable, section: SplitSection
) -> str:
    """Write the card.

    Args:
        provenance: where the chips come from.
        look: the picture and the warnings.
        chips: rows of `chips.csv` with their group and `part`, including those without a part.
        table: the classes.
        section: the parameters of the split.
    """
    fold = "" if section.fold == "none" else f", fold {section.fold}"
    blocks = [
        [f"# Data card: {provenance.title}"],
        ["## Warnings", "", *(f"- {warning}" for warning in look.warnings or ("none",))],
        [f"![Chips beside their masks]({look.picture})"],
        _table(("", ""), _facts(provenance, chips)),
        ["## Classes", "", "Shares of the labelled pixels."],
        _table(("id", "class", "colour", *PARTS), _classes(chips, table)),
        ["## Parts", "", f"Strategy `{section.strategy}`{fold}, seed {section.seed}."],
        _table(("part", "chips", "scenes", "groups", "without a rare class"), _parts(chips, table)),
        ["## Left out"],
        _table(("chips or dates", "why"), _left_out(chips, provenance.origin)),
    ]
    return "\n\n".join("\n".join(block) for block in blocks) + "\n"


def _facts(provenance: Provenance, chips: pd.DataFrame) -> Iterable[tuple[str, str]]:
    source, imagery = provenance.origin.source, provenance.imagery
    dates = sorted(date for date in chips["date"] if date)
    sizes = sorted({f"{height} x {width}" for height, width in zip(chips["height"], chips["width"], strict=True)})
    pixel_sizes = sorted(chips["pixel_size"].dropna().unique())
    yield "origin", f"source `{source}`"
    yield "licence", licence(provenance.dataset, source)
    yield "chips", f"{len(chips)} of {chips['scene'].nunique()} scenes"
    yield "groups", f"{chips[GROUP].nunique()}, independent of each other: images that overlap are in one"
    yield "size", f"{', '.join(sizes)} px"
    yield (
        "pixel size",
        f"{', '.join(f'{size:g}' for size in pixel_sizes)} (units of the CRS)" if pixel_sizes else "not known",
    )
    yield "dates", f"{dates[0]} to {dates[-1]}" if dates else "not known"
    yield "bands", f"{imagery.band_list}; stretch {imagery.stretch}"


def _classes(chips: pd.DataFrame, table: ClassTable) -> Iterable[tuple[str, ...]]:
    shares = [class_shares(chips[chips["part"] == part], table) for part in PARTS]
    for land_cover in table.classes:
        colour = hex_colour(land_cover.colour)
        yield (
            str(land_cover.id),
            land_cover.name,
            colour,
            *(f"{100 * part_shares[land_cover.name]:.2f} %" for part_shares in shares),
        )


def _parts(chips: pd.DataFrame, table: ClassTable) -> Iterable[tuple[str, ...]]:
    statistics = imbalance(chips, table)
    for part in PARTS:
        rows = chips[chips["part"] == part]
        scenes, groups = (str(rows[name].nunique()) for name in ("scene", GROUP))
        yield part, str(len(rows)), scenes, groups, str(statistics["chips_without_rare"][part])
    yield "rare classes", ", ".join(statistics["rare"]) or "none", "", "", ""


def _left_out(chips: pd.DataFrame, origin: Origin) -> Iterable[tuple[str, str]]:
    yield from ((str(count), reason) for reason, count in origin.dropped.items())
    yield (
        str(int((chips["part"] == "").sum())),
        "no part: in no list, too near to another part, or dropped by neighbours, skew or subsample",
    )


def _table(head: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    cells = ([cell.replace("|", "\\|") for cell in row] for row in (head, ["---"] * len(head), *rows))
    return ["| " + " | ".join(row) + " |" for row in cells]
