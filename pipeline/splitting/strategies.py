"""The part of each chip: at random, by the archive's own lists, by whole scenes, by blocks with a gap.

Every function takes rows of `chips.csv` and gives a Series of parts with the same index; a chip without a part is "".
All dates of one place are in the same part.
"""

import random
from collections.abc import Iterator
from fractions import Fraction
from itertools import product

import numpy as np
import pandas as pd

from pipeline.chips import OFFICIAL, UNIT, class_columns
from pipeline.errors import PipelineError
from pipeline.splitting.apportion import Stock, apportion
from pipeline.splitting.section import PARTS, SplitSection, UnfitError

Place = tuple[str, int, int]


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
    return _by_unit(chips, chips[UNIT], section, gap=0)


def by_block(chips: pd.DataFrame, section: SplitSection) -> pd.Series:
    """Squares of neighbouring chips; a chip too near to one of a later part, val after train, test last, is dropped.

    Shares and rare classes are those of the chips that stay.
    """
    size = section.block.chips
    block = (
        chips["scene"]
        + " "
        + (chips["row"] // (chips["height"] * size)).astype(str)
        + " "
        + (chips["column"] // (chips["width"] * size)).astype(str)
    )
    parts = _by_unit(chips, block, section, section.block.gap)
    return without_neighbours(chips, parts, section.block.gap)


def without_neighbours(chips: pd.DataFrame, parts: pd.Series, gap: int) -> pd.Series:
    """Drop the chips that have one of a later part within `gap` chips of the same scene, corners included."""
    places = _places(chips)
    latest: dict[Place, int] = {}
    for place, part in zip(places, parts, strict=True):
        rank = PARTS.index(part)
        for near in _within(place, gap):
            latest[near] = max(latest.get(near, 0), rank)
    kept = [part if latest[place] == PARTS.index(part) else "" for place, part in zip(places, parts, strict=True)]
    return _series(chips, kept)


def _by_unit(chips: pd.DataFrame, unit: pd.Series, section: SplitSection, gap: int) -> pd.Series:
    """Give every unit to one part."""
    names = sorted(set(unit))
    numbers = unit.map({name: number for number, name in enumerate(names)}).tolist()
    unit_at = dict(zip(_places(chips), numbers, strict=True))
    amounts_NA = chips[class_columns(chips)].assign(chips=1)[["chips", *class_columns(chips)]].to_numpy(np.int64)
    zones: dict[tuple[int, ...], np.ndarray] = {}
    for place, number, amounts_A in zip(_places(chips), numbers, amounts_NA, strict=True):
        near = {unit_at[one] for one in _within(place, gap) if one in unit_at} - {number}
        zone = (number, *sorted(near))
        zones[zone] = zones.get(zone, 0) + amounts_A
    part_of = apportion(Stock.of(sorted(zones.items())), section)
    return _series(chips, [part_of[number] for number in numbers])


def _places(chips: pd.DataFrame) -> list[Place]:
    """Scene, and row and column in chips; all dates of one place have the same."""
    rows, columns = chips["row"] // chips["height"], chips["column"] // chips["width"]
    return list(zip(chips["scene"], rows, columns, strict=True))


def _within(place: Place, gap: int) -> Iterator[Place]:
    """The places at most `gap` away, with itself."""
    scene, row, column = place
    for down, right in product(range(-gap, gap + 1), repeat=2):
        yield scene, row + down, column + right


def _series(chips: pd.DataFrame, parts: list[str]) -> pd.Series:
    return pd.Series(parts, index=chips.index, name="part", dtype=str)
