"""Units of unequal size come as close to the requested shares as any assignment."""

from collections.abc import Sequence
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.splitting.assignment import TOLERANCE, Zones, assign_units
from pipeline.splitting.section import PARTS

SHARES = {"train": 0.8, "val": 0.1, "test": 0.1}


def isolated(chips: Sequence[int] | np.ndarray, pixels: np.ndarray) -> Zones:
    """Units that are not near each other."""
    amounts = np.column_stack([chips, pixels])
    return Zones.from_pairs(((unit,), row) for unit, row in enumerate(amounts))


def deviation(parts: Sequence[str], chips: list[int], target: dict[str, float]) -> float:
    totals = {part: sum(count for own, count in zip(parts, chips, strict=True) if own == part) for part in PARTS}
    return max(abs(totals[part] / sum(chips) - target[part]) for part in PARTS)


@settings(max_examples=25)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=7), st.integers(0, 3))
def test_no_assignment_is_closer_to_the_requested_shares_beyond_the_tolerance(chips: list[int], seed: int) -> None:
    shares = {"train": 0.6, "val": 0.2, "test": 0.2}
    parts = assign_units(isolated(chips, np.zeros((len(chips), 0))), shares, seed)
    candidates = (parts for parts in product(PARTS, repeat=len(chips)) if set(parts) == set(PARTS))
    best = min(deviation(candidate, chips, shares) for candidate in candidates)
    assert deviation(parts, chips, shares) <= max(best, TOLERANCE) + 1e-9


def test_the_real_scenes_are_split_within_the_tolerance() -> None:
    chips = [306] * 31 + [324, 288] + [72] * 8  # LandCover.ai's 41 orthophotos
    parts = assign_units(isolated(chips, np.ones((41, 5))), SHARES, 42)
    assert deviation(parts, chips, SHARES) <= TOLERANCE


@settings(max_examples=25)
@given(st.lists(st.integers(1, 30), min_size=2, max_size=14), st.integers(2, 6), st.integers(0, 3))
def test_any_number_of_parts_is_balanced_within_the_largest_unit(chips: list[int], parts: int, seed: int) -> None:
    shares = {f"part {number}": 1 / parts for number in range(parts)}
    assigned = assign_units(isolated(chips, np.zeros((len(chips), 0))), shares, seed)
    assert len(set(assigned)) == min(parts, len(chips))
    totals = [sum(count for own, count in zip(assigned, chips, strict=True) if own == part) for part in shares]
    assert (
        max(abs(total / sum(chips) - 1 / parts) for total in totals) <= max(TOLERANCE, max(chips) / sum(chips)) + 1e-9
    )


def test_a_class_of_three_units_is_in_every_part() -> None:
    pixels = np.zeros((20, 2), int)
    pixels[:, 0], pixels[[3, 8, 15], 1] = 100, 1
    parts = assign_units(isolated(np.full(20, 4), pixels), SHARES, 42)
    assert {parts[unit] for unit in (3, 8, 15)} == set(PARTS)


@pytest.mark.parametrize("units", [1, 2])
def test_fewer_units_than_parts_leave_a_part_empty(units: int) -> None:
    assert len(set(assign_units(isolated(np.full(units, 3), np.ones((units, 1))), SHARES, 42))) == units


def test_a_zone_is_dropped_near_a_later_part_but_not_near_an_earlier_one() -> None:
    # unit 0: a zone on its own and one near unit 1; unit 1: a zone near unit 0
    zones = Zones.from_pairs([((0,), np.array([5, 50])), ((0, 1), np.array([2, 20])), ((1, 0), np.array([3, 30]))])
    assert zones.near_ZM.tolist() == [[0, 0], [0, 1], [1, 0]]
    assert zones.unit_chips.tolist() == [7, 3]
    assert zones.totals(np.array([0, 2]), 3).tolist() == [[5, 50], [0, 0], [3, 30]]
    assert zones.totals(np.array([2, 0]), 3).tolist() == [[0, 0], [0, 0], [7, 70]]
    assert zones.totals(np.array([1, 1]), 3).tolist() == [[0, 0], [10, 100], [0, 0]]
    assert [indices.tolist() for indices in zones.zones_near] == [[0, 1, 2], [1, 2]]
