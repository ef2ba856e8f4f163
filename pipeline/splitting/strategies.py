"""Split strategies: by chip at random, by the archive's own lists, by groups of scenes, or by blocks with a gap.

Every strategy takes rows of `chips.csv` with their group, and their locations, and returns a Series of parts with the
same index, "" for a chip without a part. All dates of a place are in the same part.
"""

import random
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pandas as pd
from scipy.sparse import coo_array

from pipeline.formats.chips import OFFICIAL, class_columns
from pipeline.formats.splits import GROUP, parse_fold
from pipeline.splitting.assignment import Zones, assign_units
from pipeline.splitting.groups import merge_connected
from pipeline.splitting.locations import Adjacency, Locations
from pipeline.splitting.section import PARTS, InfeasibleSplitError, SplitSection

ADVICE = {
    "random": "raise its share in split, or cut more chips (a smaller tile.size, more dates or scenes)",
    "official": "name some of these chips in its list, or choose another split.strategy",
    "scene": "choose split.strategy=block, which divides groups, raise its share in split, or add scenes",
    "fold": "choose another number of folds in split.fold, or add scenes",
    "block": "lower split.block.chips or split.block.gap, raise its share in split, or cut more chips (a smaller "
    "tile.size, more scenes)",
}
"""How to avoid an empty part, by strategy, or with folds."""


def assign_parts(chips: pd.DataFrame, locations: Locations, section: SplitSection) -> pd.Series:
    """Assign each chip to a part by `section.strategy`.

    Raises:
        InfeasibleSplitError: a part would be empty, or the archive has no lists.
    """
    strategy = {"random": random_split, "official": official_split, "scene": scene_split, "block": block_split}
    parts = strategy[section.strategy](chips, locations, section)
    if empty := [part for part in PARTS if not (parts == part).any()]:
        counts = {part: int((parts == part).sum()) for part in PARTS}
        groups = f" of {chips[GROUP].nunique()} groups" if section.strategy == "scene" else ""
        rounded = {part: round(share, 4) for part, share in section.shares.items()}
        shares = "" if section.strategy == "official" else f" at {rounded}"
        fold = "" if section.fold == "none" else f", fold {section.fold}"
        raise InfeasibleSplitError(
            f"the part {empty[0]} would be empty: {len(chips)} chips{groups}{shares} give {counts} "
            f"(strategy {section.strategy}{fold}); {ADVICE['fold' if fold else section.strategy]}"
        )
    return parts


def part_sizes(count: int, shares: dict[str, float]) -> dict[str, int]:
    """Divide `count` by the largest remainder method; of equal remainders, that of the later part is rounded up.

    For LandCover.ai's 10,674 tiles at 80:10:10 this gives the study's 8,539 / 1,067 / 1,068.
    """
    exact = {part: Fraction(str(share)) * count for part, share in shares.items()}
    sizes = {part: int(value) for part, value in exact.items()}
    order = list(exact)
    by_remainder = sorted(order, key=lambda part: (exact[part] - sizes[part], order.index(part)), reverse=True)
    for part in by_remainder[: count - sum(sizes.values())]:
        sizes[part] += 1
    return sizes


def random_split(chips: pd.DataFrame, _: Locations, section: SplitSection) -> pd.Series:
    """Assign places one by one, as in the study: neighbours of test chips may be in the training part."""
    place_N = list(zip(chips["scene"], chips["row"], chips["column"], strict=True))
    places = sorted(set(place_N))
    sizes = part_sizes(len(places), section.shares)
    random.Random(section.seed).shuffle(places)
    parts = [part for part, size in sizes.items() for _ in range(size)]
    part_of = dict(zip(places, parts, strict=True))
    return _series(chips, [part_of[place] for place in place_N])


def official_split(chips: pd.DataFrame, _: Locations, __: SplitSection) -> pd.Series:
    """Follow train.txt, val.txt and test.txt of the archive or the user; a chip that is in none of them has no part.

    Raises:
        InfeasibleSplitError: no chip is in any of them.
    """
    if (chips[OFFICIAL] == "").all():
        raise InfeasibleSplitError(
            "split.strategy is official, but no chip is named by train.txt, val.txt or test.txt beside the images: the "
            f"lists name chips, such as {chips['id'].iloc[0]}, or images, such as {chips['scene'].iloc[0]}, one a line "
            "(those of LandCover.ai itself count at tile.size 512 only); write them, or choose random, scene or block"
        )
    return _series(chips, chips[OFFICIAL].tolist())


def scene_split(chips: pd.DataFrame, locations: Locations, section: SplitSection) -> pd.Series:
    """Assign whole groups; drop chips that touch one of a later part (the order is train, val, test).

    Shares and class balance are measured on the chips that remain.
    """
    if section.fold != "none":
        return fold_split(chips, locations.touching(), section)
    return _split_units(chips, chips[GROUP], locations.touching(), section.shares, section.seed)


def fold_split(chips: pd.DataFrame, touching: Adjacency, section: SplitSection) -> pd.Series:
    """Test the groups of one fold, and assign the others to train and val; no chip of the fold is dropped.

    Raises:
        InfeasibleSplitError: there are fewer groups than folds.
    """
    number, count = parse_fold(section.fold)
    is_test = find_folds(chips, count, section.seed) == number
    parts = drop_near_later_parts(_series(chips, np.where(is_test, "test", "train").tolist()), touching)
    rest = parts == "train"
    if rest.any():
        near = touching.among(rest.to_numpy())
        parts[rest] = _split_units(chips[rest], chips[GROUP][rest], near, section.shares_beside_test, section.seed)
    return parts


def find_folds(chips: pd.DataFrame, count: int, seed: int) -> pd.Series:
    """Find the fold of each chip, from 1: whole groups, balanced by chips and classes.

    Folds do not depend on which of them is tested, and have no gap between them, so that each group is tested once.

    Raises:
        InfeasibleSplitError: there are fewer groups than folds.
    """
    group_N, names = pd.factorize(chips[GROUP], sort=True)
    if count > len(names):
        raise InfeasibleSplitError(
            f"split.fold asks for {count} folds, but the chips have {len(names)} group{'s' * (len(names) != 1)}, "
            "and each fold needs one; choose fewer folds, or add scenes"
        )
    amounts_UA = chips.assign(chips=1)[["chips", *class_columns(chips)]].groupby(group_N).sum().to_numpy()
    zones = Zones.from_pairs(((unit,), amounts_A) for unit, amounts_A in enumerate(amounts_UA))
    fold_U = np.array(assign_units(zones, {str(fold): 1 / count for fold in range(1, count + 1)}, seed), np.int64)
    return pd.Series(fold_U[group_N], index=chips.index)


def block_split(chips: pd.DataFrame, locations: Locations, section: SplitSection) -> pd.Series:
    """Assign blocks of neighbouring chips; drop chips within the gap of a later part (the order is train, val, test).

    Shares and class balance are measured on the chips that remain. The gap applies within a mosaic, see `find_blocks`.
    """
    mosaic = merge_connected(chips["scene"], locations.touching())
    near = locations.within(section.block.gap)
    mosaic_L = np.zeros(near.count, np.int64)
    mosaic_L[near.location_N] = pd.factorize(mosaic)[0]
    first_M, second_M = near.pairs_2M
    near = replace(near, pairs_2M=near.pairs_2M[:, mosaic_L[first_M] == mosaic_L[second_M]])
    block = find_blocks(chips, locations, mosaic, section.block.chips)
    return _split_units(chips, block, near, section.shares, section.seed)


def find_blocks(chips: pd.DataFrame, locations: Locations, mosaic: pd.Series, size: int) -> pd.Series:
    """Find the block of each chip: squares of `size` chips on a separate grid for every mosaic in every frame.

    A mosaic is a scene, or all scenes that are connected by chips that overlap or touch. A chip belongs to the square
    that contains its centre, so that grids that are offset by less than half a chip share blocks.
    """
    location_N = locations.location_N
    pixel_N1 = locations.pixel_L[location_N, None]
    side_N2 = locations.size_L2[location_N] * pixel_N1
    corner_N2 = np.stack([locations.left_L, -locations.top_L], axis=1)[location_N]  # to the right and downwards
    scene_N2 = corner_N2 - chips[["column", "row"]].to_numpy() * pixel_N1
    grid = [mosaic.to_numpy(), locations.frame_L[location_N]]
    start_N2 = pd.DataFrame(scene_N2).groupby(grid).transform("min").to_numpy()
    step_N2 = size * pd.DataFrame(side_N2).groupby(grid).transform("max").to_numpy()
    square_N2 = ((corner_N2 + side_N2 / 2 - start_N2) // step_N2).astype(np.int64)
    name = chips["scene"].groupby(grid).transform("min")
    return name + [f" {row} {column}" for column, row in square_N2.tolist()]


def drop_near_later_parts(parts: pd.Series, near: Adjacency) -> pd.Series:
    """Drop the chips that are near a chip of a later part."""
    rank_N = parts.map({part: rank for rank, part in enumerate(PARTS)}).to_numpy(np.int64)
    latest_L, near_L = np.zeros((2, near.count), np.int64)
    first_M, second_M = near.pairs_2M
    np.maximum.at(latest_L, near.location_N, rank_N)
    np.maximum.at(near_L, first_M, latest_L[second_M])
    return parts.where(near_L[near.location_N] == rank_N, "")


def _split_units(
    chips: pd.DataFrame, unit: pd.Series, near: Adjacency, shares: dict[str, float], seed: int
) -> pd.Series:
    """Assign every unit to one part, then drop the chips near a later one."""
    unit_N, names = pd.factorize(unit, sort=True)
    zones = _zones(chips, unit_N, near, len(names))
    part_U = np.array(assign_units(zones, shares, seed))
    return drop_near_later_parts(_series(chips, part_U[unit_N].tolist()), near)


def _zones(chips: pd.DataFrame, unit_N: np.ndarray, near: Adjacency, units: int) -> Zones:
    """Sum chips and pixels over the chips of one unit that are near the same other units."""
    shape = (near.count, units)
    has_LU = coo_array((np.ones(len(chips), np.int64), (near.location_N, unit_N)), shape).tocsr()
    first_M, second_M = near.pairs_2M
    near_LL = coo_array((np.ones(len(first_M), np.int64), (first_M, second_M)), (near.count, near.count)).tocsr()
    near_LU = near_LL @ has_LU
    near_LU.sort_indices()
    units_near = np.split(near_LU.indices, near_LU.indptr[1:-1])
    amounts_NA = chips.assign(chips=1)[["chips", *class_columns(chips)]].to_numpy(np.int64)
    zones: dict[tuple[int, ...], np.ndarray] = {}
    for location, own, amounts_A in zip(near.location_N, unit_N.tolist(), amounts_NA, strict=True):
        key = (own, *(other for other in units_near[location].tolist() if other != own))
        zones[key] = zones.get(key, 0) + amounts_A
    return Zones.from_pairs(sorted(zones.items()))


def _series(chips: pd.DataFrame, parts: list[str]) -> pd.Series:
    return pd.Series(parts, index=chips.index, name="part", dtype=str)
