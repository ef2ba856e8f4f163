"""The part of each chip: at random, by the archive's own lists, by whole groups of scenes, by blocks with a gap.

Every strategy takes rows of `chips.csv` with their group and where they lie, and gives a Series of parts with the same
index; a chip without a part is "". All dates of one place are in the same part.
"""

import random
from fractions import Fraction

import numpy as np
import pandas as pd
from scipy.sparse import coo_array

from pipeline.formats.chips import OFFICIAL, class_columns
from pipeline.formats.splits import GROUP
from pipeline.splitting.apportion import Stock, apportion
from pipeline.splitting.ground import Ground
from pipeline.splitting.groups import joined
from pipeline.splitting.section import PARTS, SplitSection, UnfitError

ADVICE = {
    "random": "raise its share in split, or cut more chips (a smaller tile.size, more dates or scenes)",
    "official": "name some of these chips in its list, or choose another split.strategy",
    "scene": "choose split.strategy=block, which divides groups, raise its share in split, or bring more scenes",
    "block": "lower split.block.chips or split.block.gap, raise its share in split, or cut more chips (a smaller "
    "tile.size, more scenes)",
}
"""What helps against an empty part, by strategy."""


def share_out(chips: pd.DataFrame, ground: Ground, section: SplitSection) -> pd.Series:
    """The part of each chip under `section.strategy`.

    Raises:
        UnfitError: a part would be empty, or the archive came with no lists.
    """
    strategy = {"random": at_random, "official": by_lists, "scene": by_scene, "block": by_block}[section.strategy]
    parts = strategy(chips, ground, section)
    if empty := [part for part in PARTS if not (parts == part).any()]:
        counts = {part: int((parts == part).sum()) for part in PARTS}
        groups = f" of {chips[GROUP].nunique()} groups" if section.strategy == "scene" else ""
        shares = "" if section.strategy == "official" else f" at {section.shares}"
        raise UnfitError(
            f"the part {empty[0]} would be empty: {len(chips)} chips{groups}{shares} give {counts} "
            f"(strategy {section.strategy}); {ADVICE[section.strategy]}"
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


def at_random(chips: pd.DataFrame, _: Ground, section: SplitSection) -> pd.Series:
    """Place by place, as the study: neighbours of test chips fall into the training part."""
    place = list(zip(chips["scene"], chips["row"], chips["column"], strict=True))
    places = sorted(set(place))
    sizes = part_sizes(len(places), section.shares)
    random.Random(section.seed).shuffle(places)
    parts = [part for part, size in sizes.items() for _ in range(size)]
    part_of = dict(zip(places, parts, strict=True))
    return _series(chips, [part_of[one] for one in place])


def by_lists(chips: pd.DataFrame, _: Ground, __: SplitSection) -> pd.Series:
    """As the archive's own train.txt, val.txt, test.txt say; a chip that none of them names has no part.

    Raises:
        UnfitError: they give no chip a part.
    """
    if (chips[OFFICIAL] == "").all():
        raise UnfitError(
            "split.strategy is official, but no chip has a part by train.txt, val.txt and test.txt of the archive: it "
            "came without them, they name other chips, or tile.size is not the 512 for which LandCover.ai's are read; "
            "choose random, scene or block"
        )
    return _series(chips, chips[OFFICIAL].tolist())


def by_scene(chips: pd.DataFrame, ground: Ground, section: SplitSection) -> pd.Series:
    """Whole groups; a chip that touches one of a later part, val after train, test last, is dropped.

    Shares and rare classes are those of the chips that stay.
    """
    return _by_unit(chips, chips[GROUP], (ground, ground.touching()), section)


def by_block(chips: pd.DataFrame, ground: Ground, section: SplitSection) -> pd.Series:
    """Squares of neighbouring chips; a chip too near to one of a later part, val after train, test last, is dropped.

    Shares and rare classes are those of the chips that stay. The gap is that between chips of one sheet, see `blocks`.
    """
    sheet = joined(chips["scene"], ground.place_N, ground.touching())
    sheet_P = np.zeros(len(ground.left_P), np.int64)
    sheet_P[ground.place_N] = pd.factorize(sheet)[0]
    ones, others = ground.within(section.block.gap)
    near_2M = np.stack([ones, others])[:, sheet_P[ones] == sheet_P[others]]
    return _by_unit(chips, blocks(chips, ground, sheet, section.block.chips), (ground, near_2M), section)


def blocks(chips: pd.DataFrame, ground: Ground, sheet: pd.Series, size: int) -> pd.Series:
    """The block of each chip: squares of `size` chips in a grid that each sheet has in each frame of its `Ground`.

    A sheet is a scene, or all scenes that are connected by chips that overlap or touch. A chip is in the square in
    which its centre lies, so that grids that are off by less than half a chip share blocks.
    """
    place_N = ground.place_N
    pixel_N1 = ground.pixel_P[place_N, None]
    side_N2 = ground.size_P2[place_N] * pixel_N1
    corner_N2 = np.stack([ground.left_P, -ground.top_P], axis=1)[place_N]  # rightwards and downwards
    scene_N2 = corner_N2 - chips[["column", "row"]].to_numpy() * pixel_N1
    grid = [sheet.to_numpy(), ground.frame_P[place_N]]
    start_N2 = pd.DataFrame(scene_N2).groupby(grid).transform("min").to_numpy()
    step_N2 = size * pd.DataFrame(side_N2).groupby(grid).transform("max").to_numpy()
    square_N2 = ((corner_N2 + side_N2 / 2 - start_N2) // step_N2).astype(np.int64)
    name = chips["scene"].groupby(grid).transform("min")
    return name + [f" {row} {column}" for column, row in square_N2.tolist()]


def without_neighbours(parts: pd.Series, ground: Ground, near_2M: np.ndarray) -> pd.Series:
    """Drop the chips that are near one of a later part."""
    rank_N = parts.map({part: rank for rank, part in enumerate(PARTS)}).to_numpy(np.int64)
    latest_P, near_P = np.zeros((2, len(ground.left_P)), np.int64)
    np.maximum.at(latest_P, ground.place_N, rank_N)
    np.maximum.at(near_P, near_2M[0], latest_P[near_2M[1]])
    return parts.where(near_P[ground.place_N] == rank_N, "")


def _by_unit(
    chips: pd.DataFrame, unit: pd.Series, around: tuple[Ground, np.ndarray], section: SplitSection
) -> pd.Series:
    """Give every unit to one part, and drop what is near a later one."""
    ground, near_2M = around
    number_N, names = pd.factorize(unit, sort=True)
    shape = (len(ground.left_P), len(names))
    has_PU = coo_array((np.ones(len(chips), np.int64), (ground.place_N, number_N)), shape).tocsr()
    near_PP = coo_array((np.ones(near_2M.shape[1], np.int64), (near_2M[0], near_2M[1])), (shape[0], shape[0])).tocsr()
    near_PU = near_PP @ has_PU
    near_PU.sort_indices()
    near = np.split(near_PU.indices, near_PU.indptr[1:-1])
    amounts_NA = chips.assign(chips=1)[["chips", *class_columns(chips)]].to_numpy(np.int64)
    zones: dict[tuple[int, ...], np.ndarray] = {}
    for place, number, amounts_A in zip(ground.place_N, number_N.tolist(), amounts_NA, strict=True):
        zone = (number, *(other for other in near[place].tolist() if other != number))
        zones[zone] = zones.get(zone, 0) + amounts_A
    part_of = np.array(apportion(Stock.of(sorted(zones.items())), section))
    return without_neighbours(_series(chips, part_of[number_N].tolist()), ground, near_2M)


def _series(chips: pd.DataFrame, parts: list[str]) -> pd.Series:
    return pd.Series(parts, index=chips.index, name="part", dtype=str)
