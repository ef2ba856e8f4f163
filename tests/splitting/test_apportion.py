from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.splitting.apportion import TOLERANCE, apportion
from pipeline.splitting.section import PARTS
from tests.splitting.world import section


def shares(parts: list[str], chips: list[int]) -> dict[str, float]:
    return {part: sum(c for p, c in zip(parts, chips, strict=True) if p == part) / sum(chips) for part in PARTS}


def off(found: dict[str, float], wanted: dict[str, float]) -> float:
    return max(abs(found[part] - wanted[part]) for part in PARTS)


@settings(max_examples=25, deadline=None)
@given(st.lists(st.integers(1, 30), min_size=3, max_size=7), st.integers(0, 3))
def test_no_way_of_sharing_out_is_nearer_to_what_was_asked_beyond_three_points(chips: list[int], seed: int) -> None:
    wanted = section(seed=seed, train=0.6, val=0.2, test=0.2)
    parts = apportion(np.array(chips), np.zeros((len(chips), 0)), wanted)
    ways = (way for way in product(PARTS, repeat=len(chips)) if set(way) == set(PARTS))
    best = min(off(shares(list(way), chips), wanted.shares) for way in ways)
    assert off(shares(parts, chips), wanted.shares) <= max(best, TOLERANCE) + 1e-9


def test_the_real_scenes_are_shared_out_within_three_points() -> None:
    chips = [306] * 31 + [324, 288] + [72] * 8  # LandCover.ai's orthophotos, FACTS section 4
    wanted = section()
    assert off(shares(apportion(np.array(chips), np.ones((41, 5)), wanted), chips), wanted.shares) <= TOLERANCE


def test_a_class_of_three_units_is_in_every_part() -> None:
    pixels = np.zeros((20, 2), int)
    pixels[:, 0], pixels[[3, 8, 15], 1] = 100, 1
    parts = apportion(np.full(20, 4), pixels, section())
    assert {parts[unit] for unit in (3, 8, 15)} == set(PARTS)


def test_the_same_seed_gives_the_same_parts() -> None:
    chips, pixels = np.arange(1, 31), np.arange(60).reshape(30, 2)
    assert apportion(chips, pixels, section()) == apportion(chips, pixels, section())
    assert apportion(chips, pixels, section()) != apportion(chips, pixels, section(seed=1))


@pytest.mark.parametrize("units", [1, 2])
def test_fewer_units_than_parts_leave_a_part_empty(units: int) -> None:
    assert len(set(apportion(np.full(units, 3), np.ones((units, 1)), section()))) == units
