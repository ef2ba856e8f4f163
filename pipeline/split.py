"""Shares the chips out to train, validation and test."""

import json
import random
from fractions import Fraction
from pathlib import Path
from typing import Any, Self

import pandas as pd
from pydantic import Field, model_validator

from pipeline.chips import IGNORED, pixels_of, read_chips
from pipeline.classes import ClassTable, read_classes
from pipeline.command import run
from pipeline.datasets import DatasetName
from pipeline.errors import PipelineError
from pipeline.files import published, write_json, write_text
from pipeline.params import Params, Share
from pipeline.raster.footprints import footprints

PARTS = ("train", "val", "test")


class SplitSection(Params):
    """`split` of params.yaml."""

    train: Share
    val: Share
    test: Share
    seed: int = Field(ge=0)
    """Of the split alone, so that sweeping the seed of training never changes the test set."""

    @model_validator(mode="after")
    def _adds_up(self) -> Self:
        total = self.train + self.val + self.test
        if abs(total - 1) > 1e-6:
            raise ValueError(f"train {self.train} + val {self.val} + test {self.test} is {total:.6g}; it must be 1")
        if not min(self.train, self.val, self.test):
            raise ValueError(
                "train, val and test must each be above 0: the best epoch is chosen on val, scored on test"
            )
        return self

    @property
    def shares(self) -> dict[str, float]:
        """From part to its share."""
        return {part: getattr(self, part) for part in PARTS}


class SplitParams(Params):
    """What `split` reads of params.yaml."""

    split: SplitSection


def part_sizes(count: int, shares: dict[str, float]) -> dict[str, int]:
    """Share out `count` by largest remainder; on a tie the later part gets one more.

    That gives the study's 8,539 / 1,067 / 1,068 of LandCover.ai's 10,674 tiles at 80:10:10.
    """
    exact = {part: Fraction(str(share)) * count for part, share in shares.items()}
    sizes = {part: int(value) for part, value in exact.items()}
    order = list(exact)
    by_remainder = sorted(order, key=lambda part: (exact[part] - sizes[part], order.index(part)), reverse=True)
    for part in by_remainder[: count - sum(sizes.values())]:
        sizes[part] += 1
    return sizes


def share_out(chips: pd.DataFrame, section: SplitSection) -> pd.Series:
    """The part of each chip, at random; all dates of one place are in the same part.

    Args:
        chips: rows of `chips.csv`.
        section: shares and seed.

    Raises:
        PipelineError: a part would be empty.
    """
    place = list(zip(chips["scene"], chips["row"], chips["column"], strict=True))
    places = sorted(set(place))
    sizes = part_sizes(len(places), section.shares)
    if empty := [part for part, size in sizes.items() if not size]:
        raise PipelineError(
            f"the part {empty[0]} would be empty: {len(places)} chips at {section.shares} give {sizes}; "
            "raise its share in split, or cut more chips (a smaller tile.size, more dates or scenes)"
        )
    random.Random(section.seed).shuffle(places)
    parts = [part for part, size in sizes.items() for _ in range(size)]
    part_of = dict(zip(places, parts, strict=True))
    return pd.Series([part_of[one] for one in place], index=chips.index, name="part")


def composition(chips: pd.DataFrame, table: ClassTable) -> dict[str, Any]:
    """Counts of chips, share of ignored pixels, and each class's share of the labelled pixels."""
    pixels = {each.name: int(chips[pixels_of(each.id)].sum()) for each in table.classes}
    labelled, ignored = sum(pixels.values()), int(chips[IGNORED].sum())
    return {
        "chips": len(chips),
        "scenes": int(chips["scene"].nunique()),
        "ignored": round(ignored / (labelled + ignored), 6),
        "classes": {name: round(count / labelled, 6) for name, count in pixels.items()},
    }


def split(dataset: DatasetName, chips: Path, lists: Path, metrics: Path, params: SplitParams) -> str:
    """Write train.txt, val.txt, test.txt and footprints.geojson of CHIPS to LISTS, and their make-up to METRICS."""
    frame, table = read_chips(chips), read_classes(chips / "classes.json")
    frame = frame.assign(part=share_out(frame, params.split))
    by_part = {part: frame[frame["part"] == part] for part in PARTS}
    with published(lists) as folder:
        for part, rows in by_part.items():
            write_text(folder / f"{part}.txt", "".join(f"{chip}\n" for chip in sorted(rows["id"])))
        outlines = footprints(frame, ("id", "scene", "part", "date"))
        write_text(folder / "footprints.geojson", json.dumps(outlines) + "\n")
    write_json(metrics, {part: composition(rows, table) for part, rows in by_part.items()})
    sizes = " / ".join(f"{len(rows)} {part}" for part, rows in by_part.items())
    return f"{len(frame)} chips in: {sizes}"


if __name__ == "__main__":
    run(split)
