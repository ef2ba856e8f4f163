"""Shares the chips out to train, validation and test."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.chips import leak_in_words, read_chips, read_imagery, read_origin
from pipeline.classes import ClassTable, read_classes
from pipeline.command import run
from pipeline.datasets import DatasetName
from pipeline.files import published, write_json, write_text
from pipeline.params import Params
from pipeline.raster.footprints import footprints
from pipeline.raster.leaks import leaks
from pipeline.splitting.card import data_card
from pipeline.splitting.report import class_shares, composition, imbalance, shares_table
from pipeline.splitting.section import PARTS, SplitSection
from pipeline.splitting.skew import skewed, thinned
from pipeline.splitting.strategies import share_out


class SplitParams(Params):
    """What `split` reads of params.yaml."""

    split: SplitSection


def parts_of(chips: pd.DataFrame, table: ClassTable, section: SplitSection) -> pd.DataFrame:
    """The chips with their `part`; those that no part takes have ""."""
    parts = share_out(chips, section)
    train = chips[parts == "train"]
    kept = train if section.skew.class_name == "none" else skewed(train, table, section.skew, section.seed)
    if section.thin != "none":
        kept = thinned(kept, section.thin, section.seed)
    parts[train.index.difference(kept.index)] = ""
    return chips.assign(part=parts)


def skew_reached(chips: pd.DataFrame, table: ClassTable, section: SplitSection) -> dict[str, Any]:
    """The share that the skewed class was to have of the training pixels, and the one that it has; empty without."""
    name = section.skew.class_name
    if name == "none":
        return {}
    reached = class_shares(chips[chips["part"] == "train"], table)[name]
    return {"skew": {"class": name, "asked": section.skew.share, "reached": reached}}


def summary(chips: pd.DataFrame, share: float | None) -> str:
    """Counts of chips, and what leaks."""
    sizes = " / ".join(f"{int((chips['part'] == part).sum())} {part}" for part in PARTS)
    left_out = int((chips["part"] == "").sum())
    return f"{len(chips)} chips in: {sizes}, {left_out} left out; {leak_in_words(share)}"


def split(dataset: DatasetName, chips: Path, lists: Path, metrics: Path, card: Path, params: SplitParams) -> str:
    """Write lists of CHIPS, their leak, imbalance and footprints to LISTS, their make-up to METRICS, a data CARD."""
    table, section = read_classes(chips / "classes.json"), params.split
    frame = parts_of(read_chips(chips), table, section)
    leak = {"strategy": section.strategy} | leaks(frame)
    by_part = {part: frame[frame["part"] == part] for part in PARTS}
    with published(lists) as folder:
        for part, rows in by_part.items():
            write_text(folder / f"{part}.txt", "".join(f"{chip}\n" for chip in sorted(rows["id"])))
        write_json(folder / "leak.json", leak)
        write_json(folder / "imbalance.json", imbalance(frame, table))
        write_text(folder / "classes.csv", shares_table(frame, table).to_csv(index=False, lineterminator="\n"))
        outlines = footprints(frame, ("id", "scene", "part", "date"))
        write_text(folder / "footprints.geojson", json.dumps(outlines) + "\n")
    skew = skew_reached(frame, table, section)
    write_json(metrics, leak | skew | {part: composition(rows, table) for part, rows in by_part.items()})
    write_text(card, data_card(dataset, frame, table, (read_origin(chips), read_imagery(chips)), section))
    return summary(frame, leak["leak_share"])


if __name__ == "__main__":
    run(split)
