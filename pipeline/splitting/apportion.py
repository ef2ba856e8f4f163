"""Gives units of unequal size to parts, so that shares and classes come out as well as they can."""

import random

import numpy as np

from pipeline.splitting.section import PARTS, SplitSection

TOLERANCE = 0.03
"""How far a part's share of the chips may be off before that counts."""
PROPOSALS, MOST_PROPOSALS = 60, 6000
"""Changes that are tried: for each unit, and in all, from each of `STARTS` beginnings."""
STARTS = 4

Cost = tuple[int, float, int, float]


def apportion(chips_U: np.ndarray, pixels_UK: np.ndarray, section: SplitSection) -> list[str]:
    """The part of each unit.

    A search by small random steps, the same for the same seed. It wants, in this order: no part empty; each part's
    share of the chips within `TOLERANCE` of what was asked; every class in every part; classes and chips in the
    shares asked.

    Args:
        chips_U: int, chips of each unit.
        pixels_UK: int, pixels of each unit by class.
        section: shares and seed.
    """
    target_P = np.array([section.shares[part] for part in PARTS])
    amounts = np.column_stack([chips_U, pixels_UK]).astype(np.float64)
    dice = random.Random(section.seed)
    found = [_improved(_begin(amounts, target_P, dice), amounts, target_P, dice) for _ in range(STARTS)]
    best = min(found, key=lambda parts: _cost(_totals(parts, amounts), target_P))
    return [PARTS[number] for number in best]


def _begin(amounts: np.ndarray, target_P: np.ndarray, dice: random.Random) -> list[int]:
    """In random order, each to the part that lacks most chips."""
    order = list(range(len(amounts)))
    dice.shuffle(order)
    missing_P, parts = target_P * amounts[:, 0].sum(), [0] * len(amounts)
    for unit in order:
        parts[unit] = int(missing_P.argmax())
        missing_P[parts[unit]] -= amounts[unit, 0]
    return parts


def _improved(parts: list[int], amounts: np.ndarray, target_P: np.ndarray, dice: random.Random) -> list[int]:
    """Move a unit, or swap two, whenever that is no worse."""
    totals = _totals(parts, amounts)
    cost = _cost(totals, target_P)
    for _ in range(min(MOST_PROPOSALS, PROPOSALS * len(parts)) if len(parts) > 1 else 0):
        first, second = dice.sample(range(len(parts)), 2)
        old = parts[first], parts[second]
        new = (old[1], old[0]) if dice.random() < 0.5 else (dice.randrange(len(target_P)), old[1])
        if new == old:
            continue
        tried = totals.copy()
        for unit, before, after in zip((first, second), old, new, strict=True):
            tried[before] -= amounts[unit]
            tried[after] += amounts[unit]
        if (tried_cost := _cost(tried, target_P)) <= cost:
            totals, cost = tried, tried_cost
            parts[first], parts[second] = new
    return parts


def _totals(parts: list[int], amounts: np.ndarray) -> np.ndarray:
    """(parts, 1 + classes): chips and pixels of each part."""
    totals = np.zeros((len(PARTS), amounts.shape[1]))
    np.add.at(totals, parts, amounts)
    return totals


def _cost(totals: np.ndarray, target_P: np.ndarray) -> Cost:
    """What is wrong, the gravest first."""
    there = totals.sum(axis=0) > 0
    shares = totals[:, there] / totals[:, there].sum(axis=0)
    off = abs(shares - target_P[:, None])
    excess = round(max(0.0, float(off[:, 0].max()) - TOLERANCE), 9)
    return int((totals[:, 0] == 0).sum()), excess, int((totals[:, there] == 0).sum()), round(float(off.sum()), 9)
