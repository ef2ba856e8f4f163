"""Shares the chips out to train, validation and test."""

import json
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.cli import run
from pipeline.core.files import atomic_path, write_json, write_text
from pipeline.core.params import Params
from pipeline.formats.chips import read_chips, read_imagery, read_origin
from pipeline.formats.classes import ClassTable, read_classes
from pipeline.formats.datasets import DatasetName
from pipeline.formats.splits import GROUP, GROUPS, REFUSED, leak_summary
from pipeline.splitting.card import data_card
from pipeline.splitting.footprints import footprints
from pipeline.splitting.ground import Ground
from pipeline.splitting.groups import groups, too_large
from pipeline.splitting.leaks import leaks
from pipeline.splitting.report import class_shares, composition, imbalance, shares_table
from pipeline.splitting.section import PARTS, SplitSection, UnfitError
from pipeline.splitting.skew import skewed, thinned
from pipeline.splitting.strategies import share_out


class SplitParams(Params):
    """What `split` reads of params.yaml."""

    dataset: DatasetName
    """The one that is trained on: a split that cannot be made ends the stage for it alone."""
    split: SplitSection


def parts_of(chips: pd.DataFrame, ground: Ground, section: SplitSection) -> pd.DataFrame:
    """The chips with their group and `part`; those that no part takes have "".

    Raises:
        UnfitError: they cannot be split so.
    """
    chips = chips.assign(**{GROUP: groups(chips, ground)})
    return chips.assign(part=share_out(chips, ground, section))


def skewed_and_thinned(chips: pd.DataFrame, table: ClassTable, section: SplitSection) -> pd.DataFrame:
    """The same, with "" for the training chips that `skew` and `thin` drop.

    Raises:
        UnfitError: these chips cannot be skewed or thinned so.
    """
    train = chips[chips["part"] == "train"]
    kept = train if section.skew.class_name == "none" else skewed(train, table, section.skew, section.seed)
    if section.thin != "none":
        kept = thinned(kept, section.thin, section.seed)
    return chips.assign(part=chips["part"].where(~chips.index.isin(train.index.difference(kept.index)), ""))


def skew_reached(chips: pd.DataFrame, table: ClassTable, section: SplitSection) -> dict[str, Any]:
    """The share that the skewed class was to have of the training pixels, and the one that it has; empty without."""
    name = section.skew.class_name
    if name == "none":
        return {}
    reached = class_shares(chips[chips["part"] == "train"], table)[name]
    return {"skew": {"class": name, "asked": section.skew.share, "reached": reached}}


def in_words(chips: pd.DataFrame, made_of: dict[str, Any], outlined: int, large: str) -> str:
    """The summary: counts of chips, the share that a skew reached, what leaks, large groups, what no map can show."""
    sizes = " / ".join(f"{int((chips['part'] == part).sum())} {part}" for part in PARTS)
    left_out = f"{int((chips['part'] == '').sum())} left out"
    if skew := made_of.get("skew"):
        left_out += f", {skew['class']} at {100 * skew['reached']:.0f} % of the {100 * skew['asked']:.0f} % asked"
    groups = chips[GROUP].nunique()
    told = f"{len(chips)} chips of {groups} group{'s' * (groups != 1)} in: {sizes}, {left_out}"
    told += f"; {leak_summary(made_of['leak_share'], made_of['leak_share_at_least'])}"
    if large:
        told += f"; {large}"
    if missing := len(chips) - outlined:
        told += f"; {missing} chips are not in footprints.geojson: their outline on the globe is not known"
    return told


def write_lists(
    lists: Path, chips: pd.DataFrame, table: ClassTable, leak: dict[str, Any], about: dict[str, bool]
) -> int:
    """Write the lists, and beside them what else there is to know of them; return the number of outlines."""
    with atomic_path(lists) as folder:
        for part in PARTS:
            write_text(
                folder / f"{part}.txt", "".join(f"{chip}\n" for chip in sorted(chips["id"][chips["part"] == part]))
            )
        write_text(folder / GROUPS, chips[["id", GROUP]].to_csv(index=False, lineterminator="\n"))
        write_json(folder / "leak.json", leak)
        write_json(folder / "imbalance.json", about | imbalance(chips, table))
        write_text(folder / "classes.csv", shares_table(chips, table).to_csv(index=False, lineterminator="\n"))
        outlines = footprints(chips, ("id", "scene", "part", "date"))
        write_text(folder / "footprints.geojson", json.dumps(outlines) + "\n")
    return len(outlines["features"])


def refuse(outs: tuple[Path, Path, Path], reason: UnfitError, about: dict[str, bool]) -> str:
    """Write no lists but the reason."""
    lists, metrics, card = outs
    with atomic_path(lists) as folder:
        write_text(folder / REFUSED, f"{reason}\n")
    write_json(metrics, about | {"refused": str(reason)})
    write_text(card, f"# No split{' (synthetic sample)' if about['synthetic'] else ''}\n\n{reason}\n")
    return f"no split made: {reason}"


def split(dataset: DatasetName, chips: Path, lists: Path, metrics: Path, card: Path, params: SplitParams) -> str:
    """Write lists of CHIPS, their groups, leak and footprints to LISTS, their make-up to METRICS, a data CARD."""
    table, section = read_classes(chips / "classes.json"), params.split
    imagery = read_imagery(chips)
    about = {"synthetic": imagery.synthetic}
    frame = read_chips(chips)
    ground = Ground.of(frame)
    try:
        frame = parts_of(frame, ground, section)
        large = too_large(frame, section)
        frame = skewed_and_thinned(frame, table, section)
    except UnfitError as reason:
        if dataset == params.dataset:  # now, before DVC removes the model that the last split gave
            raise
        return refuse((lists, metrics, card), reason, about)
    leak = {"strategy": section.strategy} | leaks(frame, ground)
    outlined = write_lists(lists, frame, table, leak, about)
    parts = {part: composition(frame[frame["part"] == part], table) for part in PARTS}
    made_of = about | leak | skew_reached(frame, table, section) | parts
    write_json(metrics, made_of)
    write_text(card, data_card(dataset, frame, table, (read_origin(chips), imagery), section))
    return in_words(frame, made_of, outlined, large)


if __name__ == "__main__":
    run(split)
