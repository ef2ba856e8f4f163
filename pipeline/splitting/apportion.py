"""Gives units of unequal size to parts, so that shares and classes come out as well as they can."""

import random
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

from pipeline.splitting.section import PARTS, SplitSection

TOLERANCE = 0.03
"""How far a part's share of the chips may be off before that counts."""
PROPOSALS, MOST_PROPOSALS = 60, 6000
"""Changes that are tried: for each zone, and in all, from each of `STARTS` beginnings."""
STARTS = 4

Cost = tuple[int, float, int, float]


@dataclass(frozen=True)
class Stock:
    """What is to be shared out: zones, each of chips of one unit that lie near the same other units.

    A zone is lost when its own unit or one near it goes to a later part than its own: that is the gap between parts.
    """

    unit_Z: np.ndarray
    """int, the unit of each zone; units are numbered from 0."""
    near_ZM: np.ndarray
    """int, its own unit and those within the gap of it; rows are filled up with its own."""
    amounts_ZA: np.ndarray
    """float, its chips, then its pixels by class."""

    @classmethod
    def of(cls, zones: Iterable[tuple[tuple[int, ...], np.ndarray]]) -> "Stock":
        """From pairs of units, a zone's own first and then those near it, and amounts."""
        units, amounts = zip(*zones, strict=True)
        width = max(map(len, units))
        near_ZM = np.array([each + each[:1] * (width - len(each)) for each in units])
        return cls(near_ZM[:, 0], near_ZM, np.array(amounts, np.float64))

    @property
    def unit_chips(self) -> np.ndarray:
        """Chips of each unit."""
        return np.bincount(self.unit_Z, self.amounts_ZA[:, 0])

    @cached_property
    def touched(self) -> list[np.ndarray]:
        """The zones of which each unit decides what becomes."""
        zones, width = self.near_ZM.shape
        pairs = np.unique(self.near_ZM.ravel() * zones + np.arange(zones).repeat(width))
        unit, zone = np.divmod(pairs, zones)
        return np.split(zone, np.flatnonzero(np.diff(unit)) + 1)

    def totals(self, parts_U: np.ndarray, zones: np.ndarray | slice = slice(None)) -> np.ndarray:
        """(parts, 1 + classes): chips and pixels of each part, of some zones, without what the gap loses."""
        part_Z = parts_U[self.unit_Z[zones]]
        kept_Z = parts_U[self.near_ZM[zones]].max(axis=1) <= part_Z
        of_part_PZ = (part_Z == np.arange(len(PARTS))[:, None]) & kept_Z
        return np.asarray(of_part_PZ.astype(np.float64) @ self.amounts_ZA[zones])


def apportion(stock: Stock, section: SplitSection) -> list[str]:
    """The part of each unit.

    A search by small random steps, the same for the same seed, and where there are few units by all ways. It wants, in
    this order: no part empty; each part's share of the chips within `TOLERANCE` of what was asked; every class in every
    part; classes and chips in the shares asked, and few chips lost. All of it is of the chips that the gap leaves.

    Args:
        stock: chips and pixels of the units.
        section: shares and seed.
    """
    target_P = np.array([section.shares[part] for part in PARTS])
    dice = random.Random(section.seed)
    found = [_improved(_begin(stock.unit_chips, target_P, dice), stock, target_P, dice) for _ in range(STARTS)]
    if len(PARTS) ** (count := len(stock.unit_chips)) <= MOST_PROPOSALS:
        found += map(np.array, product(range(len(PARTS)), repeat=count))
    all_A = stock.amounts_ZA.sum(axis=0)
    best = min(found, key=lambda parts_U: _cost(stock.totals(parts_U), all_A, target_P))
    return [PARTS[number] for number in best]


def _begin(chips_U: np.ndarray, target_P: np.ndarray, dice: random.Random) -> np.ndarray:
    """In random order, each to the part that lacks most chips."""
    order = list(range(len(chips_U)))
    dice.shuffle(order)
    missing_P, parts_U = target_P * chips_U.sum(), np.zeros(len(chips_U), np.int64)
    for unit in order:
        parts_U[unit] = int(missing_P.argmax())
        missing_P[parts_U[unit]] -= chips_U[unit]
    return parts_U


def _improved(parts_U: np.ndarray, stock: Stock, target_P: np.ndarray, dice: random.Random) -> np.ndarray:
    """Move a unit, or swap two, whenever that is no worse."""
    count, touched, all_A = len(parts_U), stock.touched, stock.amounts_ZA.sum(axis=0)
    totals = stock.totals(parts_U)
    cost = _cost(totals, all_A, target_P)
    for _ in range(min(MOST_PROPOSALS, PROPOSALS * len(stock.unit_Z)) if count > 1 else 0):
        pair = dice.sample(range(count), 2)
        old = [int(parts_U[unit]) for unit in pair]
        new = old[::-1] if dice.random() < 0.5 else [dice.randrange(len(target_P)), old[1]]
        if new == old:
            continue
        zones = np.union1d(touched[pair[0]], touched[pair[1]])
        tried = totals - stock.totals(parts_U, zones)
        parts_U[pair] = new
        tried += stock.totals(parts_U, zones)
        if (tried_cost := _cost(tried, all_A, target_P)) <= cost:
            totals, cost = tried, tried_cost
        else:
            parts_U[pair] = old
    return parts_U


def _cost(totals: np.ndarray, all_A: np.ndarray, target_P: np.ndarray) -> Cost:
    """What is wrong, the gravest first; a class that the gap loses altogether is missing in every part."""
    there, left_A = all_A > 0, totals.sum(axis=0)
    shares = totals[:, there] / np.maximum(left_A[there], 1)
    off = abs(shares - target_P[:, None])
    excess = round(max(0.0, float(off[:, 0].max()) - TOLERANCE), 9)
    spread = round(float(off.sum()) + 1 - float(left_A[0] / all_A[0]), 9)
    return int((totals[:, 0] == 0).sum()), excess, int((totals[:, there] == 0).sum()), spread
