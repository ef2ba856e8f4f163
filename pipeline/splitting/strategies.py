"""The part of each chip: at random, by the archive's own lists, by whole scenes, by blocks with a gap.

Every function takes rows of `chips.csv` and gives a Series of parts with the same index; a chip without a part is "".
All dates of one place are in the same part.
"""

import random
from fractions import Fraction

import numpy as np
import pandas as pd

from pipeline.chips import OFFICIAL, UNIT, class_columns
from pipeline.errors import PipelineError
from pipeline.splitting.apportion import apportion
from pipeline.splitting.section import PARTS, SplitSection, UnfitError


def share_out(chips: pd.DataFrame, section: SplitSection) -> pd.Series:
    """The part of each chip under `section.strategy`.

    Raises:
        PipelineError: a part would be empty; `UnfitError` where that, or no lists, is these chips' fault.
    """
    strategy = {"random": at_random, "official": by_lists, "scene": by_scene, "block": by_block}[section.strategy]
    parts = strategy(chips, section)
    if empty := [part for part in PARTS if not (parts == part).any()]:
        counts = {part: int((parts == part).sum()) for part in PARTS}
        kind = PipelineError if section.strategy == "random" else UnfitError
        raise kind(
            f"the part {empty[0]} would be empty: {len(chips)} chips at {section.shares} give {counts} "
            f"(strategy {section.strategy}); raise its share in split, choose another split.strategy, "
            "or cut more chips (a smaller tile.size, more dates or scenes)"
        )
    return parts


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


def at_random(chips: pd.DataFrame, section: SplitSection) -> pd.Series:
    """Place by place, as the study: neighbours of test chips fall into the training part."""
    place = list(zip(chips["scene"], chips["row"], chips["column"], strict=True))
    places = sorted(set(place))
    sizes = part_sizes(len(places), section.shares)
    random.Random(section.seed).shuffle(places)
    parts = [part for part, size in sizes.items() for _ in range(size)]
    part_of = dict(zip(places, parts, strict=True))
    return _series(chips, [part_of[one] for one in place])


def by_lists(chips: pd.DataFrame, section: SplitSection) -> pd.Series:
    """As the archive's own train.txt, val.txt, test.txt say; a chip that none of them names has no part.

    Raises:
        UnfitError: the archive came with no lists for these chips.
    """
    if (chips[OFFICIAL] == "").all():
        raise UnfitError(
            "split.strategy is official, but none of these chips is named by train.txt, val.txt or test.txt of its "
            "archive (LandCover.ai's name tiles of 512 px); choose random, scene or block"
        )
    return _series(chips, chips[OFFICIAL].tolist())


def by_scene(chips: pd.DataFrame, section: SplitSection) -> pd.Series:
    """Whole orthophotos or Sentinel tiles, shares by chips; rare classes in every part where that can be."""
    return _by_unit(chips, chips[UNIT], section)


def by_block(chips: pd.DataFrame, section: SplitSection) -> pd.Series:
    """Squares of neighbouring chips; a chip too near to one of a later part, val after train, test last, is dropped."""
    size = section.block.chips
    block = (
        chips["scene"]
        + " "
        + (chips["row"] // (chips["height"] * size)).astype(str)
        + " "
        + (chips["column"] // (chips["width"] * size)).astype(str)
    )
    parts = _by_unit(chips, block, section)
    return without_neighbours(chips, parts, section.block.gap)


def without_neighbours(chips: pd.DataFrame, parts: pd.Series, gap: int) -> pd.Series:
    """Drop the chips that have one of a later part within `gap` chips of the same scene, corners included."""
    rows, columns = chips["row"] // chips["height"], chips["column"] // chips["width"]
    place = pd.DataFrame({"scene": chips["scene"], "row": rows, "column": columns})
    steps = [
        (down, right) for down in range(-gap, gap + 1) for right in range(-gap, gap + 1) if (down, right) != (0, 0)
    ]
    kept = parts.copy()
    for number, part in enumerate(PARTS):
        taken = place[parts.isin(PARTS[number + 1 :])]
        near = {
            (scene, row + down, column + right)
            for scene, row, column in set(taken.itertuples(index=False, name=None))
            for down, right in steps
        }
        too_near = np.array([one in near for one in place.itertuples(index=False, name=None)], bool)
        kept[too_near & (parts == part).to_numpy()] = ""
    return kept


def _by_unit(chips: pd.DataFrame, unit: pd.Series, section: SplitSection) -> pd.Series:
    """Give every unit to one part."""
    counted = chips[class_columns(chips)].assign(chips=1)
    totals = counted.groupby(unit.to_numpy()).sum().sort_index()
    part_of = apportion(totals["chips"].to_numpy(), totals.drop(columns="chips").to_numpy(), section)
    return _series(chips, unit.map(dict(zip(totals.index, part_of, strict=True))).tolist())


def _series(chips: pd.DataFrame, parts: list[str]) -> pd.Series:
    return pd.Series(parts, index=chips.index, name="part", dtype=str)
