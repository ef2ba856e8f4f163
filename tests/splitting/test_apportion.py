from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.splitting.apportion import TOLERANCE, Stock, apportion
from pipeline.splitting.section import PARTS
from tests.splitting.world import section


def whole(chips: Sequence[int] | np.ndarray, pixels: np.ndarray) -> Stock:
    """Units far from each other."""
    amounts = np.column_stack([chips, pixels])
    return Stock.of(((unit,), row) for unit, row in enumerate(amounts))


def shares(parts: list[str], chips: list[int]) -> dict[str, float]:
    return {part: sum(c for p, c in zip(parts, chips, strict=True) if p == part) / sum(chips) for part in PARTS}


def off(found: dict[str, float], wanted: dict[str, float]) -> float:
    return max(abs(found[part] - wanted[part]) for part in PARTS)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=7), st.integers(0, 3))
def test_no_way_of_sharing_out_is_nearer_to_what_was_asked_beyond_three_points(chips: list[int], seed: int) -> None:
    wanted = section(seed=seed, train=0.6, val=0.2, test=0.2)
    parts = apportion(whole(chips, np.zeros((len(chips), 0))), wanted)
    ways = (way for way in product(PARTS, repeat=len(chips)) if set(way) == set(PARTS))
    best = min(off(shares(list(way), chips), wanted.shares) for way in ways)
    assert off(shares(parts, chips), wanted.shares) <= max(best, TOLERANCE) + 1e-9


def test_the_real_scenes_are_shared_out_within_three_points() -> None:
    chips = [306] * 31 + [324, 288] + [72] * 8  # LandCover.ai's orthophotos, FACTS section 4
    wanted = section()
    assert off(shares(apportion(whole(chips, np.ones((41, 5))), wanted), chips), wanted.shares) <= TOLERANCE


def test_a_class_of_three_units_is_in_every_part() -> None:
    pixels = np.zeros((20, 2), int)
    pixels[:, 0], pixels[[3, 8, 15], 1] = 100, 1
    parts = apportion(whole(np.full(20, 4), pixels), section())
    assert {parts[unit] for unit in (3, 8, 15)} == set(PARTS)


def test_the_same_seed_gives_the_same_parts() -> None:
    stock = whole(np.arange(1, 31), np.arange(60).reshape(30, 2))
    assert apportion(stock, section()) == apportion(stock, section())
    assert apportion(stock, section()) != apportion(stock, section(seed=1))


@pytest.mark.parametrize("units", [1, 2])
def test_fewer_units_than_parts_leave_a_part_empty(units: int) -> None:
    assert len(set(apportion(whole(np.full(units, 3), np.ones((units, 1))), section()))) == units


def test_a_zone_is_lost_to_a_later_part_and_to_no_earlier_one() -> None:
    # unit 0 of a zone alone and one near unit 1; unit 1 of one near unit 0
    stock = Stock.of([((0,), np.array([5, 50])), ((0, 1), np.array([2, 20])), ((1, 0), np.array([3, 30]))])
    assert stock.near_ZM.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert stock.unit_chips.tolist() == [7, 3]
    assert stock.totals(np.array([0, 2])).tolist() == [[5, 50], [0, 0], [3, 30]]
    assert stock.totals(np.array([2, 0])).tolist() == [[0, 0], [0, 0], [7, 70]]
    assert stock.totals(np.array([1, 1])).tolist() == [[0, 0], [10, 100], [0, 0]]
    assert [zones.tolist() for zones in stock.touched] == [[0, 1, 2], [1, 2]]
