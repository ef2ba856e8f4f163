"""Split the chips of a dataset into train, val and test."""

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
from pipeline.splitting.card import FirstLook, Provenance, data_card
from pipeline.splitting.data_warnings import data_warnings
from pipeline.splitting.first_look import draw_grid
from pipeline.splitting.footprints import feature_collection
from pipeline.splitting.groups import find_groups, large_group_summary
from pipeline.splitting.leaks import measure_leak, select_by_neighbours
from pipeline.splitting.locations import Locations
from pipeline.splitting.report import class_shares, composition, imbalance, shares_table
from pipeline.splitting.section import PARTS, InfeasibleSplitError, SplitSection
from pipeline.splitting.skew import skew_classes, subsample
from pipeline.splitting.strategies import assign_parts


class SplitParams(Params):
    """Parameters of the stage."""

    dataset: DatasetName
    """The dataset to train on: an infeasible split ends the stage for this one only."""
    split: SplitSection


def split_chips(chips: pd.DataFrame, locations: Locations, section: SplitSection) -> pd.DataFrame:
    """Add the columns `group` and `part`, "" for chips without a part.

    Raises:
        InfeasibleSplitError: the chips cannot be split as requested.
    """
    chips = chips.assign(**{GROUP: find_groups(chips, locations)})
    return chips.assign(part=assign_parts(chips, locations, section))


def reduce_train(chips: pd.DataFrame, locations: Locations, table: ClassTable, section: SplitSection) -> pd.DataFrame:
    """Clear the `part` of the training chips that `neighbours`, then `skew` and `subsample` drop.

    Raises:
        InfeasibleSplitError: the training chips do not allow it.
    """
    train = select_by_neighbours(chips, locations, section)
    has_skew = section.skew.class_name != "none"
    kept = skew_classes(train, table, section.skew, section.seed) if has_skew else train
    if section.subsample == "like_skew":
        kept = subsample(train, len(kept), section.seed)
    elif section.subsample != "none":
        kept = subsample(kept, section.subsample, section.seed)
    return chips.assign(part=chips["part"].where((chips["part"] != "train") | chips.index.isin(kept.index), ""))


def skew_metrics(chips: pd.DataFrame, table: ClassTable, section: SplitSection) -> dict[str, Any]:
    """Return requested and actual share of the skewed class in the training pixels; empty if they are not skewed."""
    name = section.skew.class_name
    if name == "none" or section.subsample == "like_skew":
        return {}
    reached = class_shares(chips[chips["part"] == "train"], table)[name]
    return {"skew": {"class": name, "asked": section.skew.share, "reached": reached}}


def summary_line(chips: pd.DataFrame, metrics: dict[str, Any], outlines: int, notes: list[str]) -> str:
    """Summarise counts, the share that a skew reached, the leak, notes, and chips without an outline."""
    sizes = " / ".join(f"{int((chips['part'] == part).sum())} {part}" for part in PARTS)
    groups = chips[GROUP].nunique()
    left_out = int((chips["part"] == "").sum())
    text = f"{len(chips)} chips in {groups} group{'s' * (groups != 1)}: {sizes}, {left_out} left out"
    if skew := metrics.get("skew"):
        text += f", {skew['class']} at {100 * skew['reached']:.0f} % (requested: {100 * skew['asked']:.0f} %)"
    text += f"; {leak_summary(metrics['leak_share'], metrics['leak_share_at_least'])}"
    text += "".join(f"; {note}" for note in notes if note)
    if missing := len(chips) - outlines:
        text += f"; {missing} chips are not in footprints.geojson: their position on the globe is not known"
    return text


def write_lists(folder: Path, chips: pd.DataFrame, table: ClassTable, leak: dict[str, Any], synthetic: bool) -> int:
    """Write the lists, groups, leak, imbalance, class shares and footprints; return the number of footprints."""
    with atomic_path(folder) as unfinished:
        for part in PARTS:
            ids = sorted(chips["id"][chips["part"] == part])
            write_text(unfinished / f"{part}.txt", "".join(f"{chip}\n" for chip in ids))
        write_text(unfinished / GROUPS, chips[["id", GROUP]].to_csv(index=False, lineterminator="\n"))
        write_json(unfinished / "leak.json", leak)
        write_json(unfinished / "imbalance.json", {"synthetic": synthetic} | imbalance(chips, table))
        write_text(unfinished / "classes.csv", shares_table(chips, table).to_csv(index=False, lineterminator="\n"))
        footprints = feature_collection(chips, ("id", "scene", "part", "date"))
        write_text(unfinished / "footprints.geojson", json.dumps(footprints) + "\n")
    return len(footprints["features"])


def refuse(lists: Path, metrics: Path, card: Path, reason: InfeasibleSplitError, synthetic: bool) -> str:
    """Write the reason in place of the lists, the metrics and the card."""
    with atomic_path(lists) as folder:
        write_text(folder / REFUSED, f"{reason}\n")
    write_json(metrics, {"synthetic": synthetic, "refused": str(reason)})
    write_text(card, f"# No split{' (synthetic sample)' if synthetic else ''}\n\n{reason}\n")
    return f"no split: {reason}"


def split(
    dataset: DatasetName, chips: Path, lists: Path, metrics: Path, card: Path, picture: Path, params: SplitParams
) -> str:
    """Split CHIPS; write LISTS with groups, leak and footprints, METRICS, and a data CARD with a PICTURE of chips."""
    table, section = read_classes(chips / "classes.json"), params.split
    imagery = read_imagery(chips)
    provenance = Provenance(dataset, read_origin(chips), imagery)
    frame = read_chips(chips)
    locations = Locations.from_chips(frame)
    try:
        frame = split_chips(frame, locations, section)
        note = large_group_summary(frame, section)
        frame = reduce_train(frame, locations, table, section)
    except InfeasibleSplitError as reason:
        if dataset == params.dataset:  # end before DVC removes the model trained on the previous split
            raise
        draw_grid(picture, chips, frame.assign(group=frame["scene"], part=""), table, provenance.title)
        return refuse(lists, metrics, card, reason, imagery.synthetic)
    leak = {"strategy": section.strategy, "fold": section.fold} | measure_leak(frame, locations)
    outlines = write_lists(lists, frame, table, leak, imagery.synthetic)
    parts = {part: composition(frame[frame["part"] == part], table) for part in PARTS}
    values = {"synthetic": imagery.synthetic} | leak | skew_metrics(frame, table, section) | parts
    write_json(metrics, values)
    look = FirstLook(picture.name, list(data_warnings(chips, frame, table)))
    draw_grid(picture, chips, frame, table, provenance.title)
    write_text(card, data_card(provenance, look, frame, table, section))
    count = len(look.warnings)
    noted = f"{count} warning{'s' * (count > 1)}: see {card}" if count else ""
    return summary_line(frame, values, outlines, [note, noted])


if __name__ == "__main__":
    run(split)
