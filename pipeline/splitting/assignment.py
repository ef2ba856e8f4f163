"""Assign units of unequal size to parts so that shares and class balance are as close as possible to those requested.

Z: zones. M: units near a zone. A: amounts (chips, then pixels per class). U: units. P: parts.
"""

import random
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property
from itertools import product

import numpy as np

TOLERANCE = 0.03
"""Deviation of a part's share of the chips that is not penalised."""
MOVES_PER_ZONE, MAX_MOVES = 60, 6000
"""Moves that the search tries from each initial assignment."""
STARTS = 4
"""Initial assignments."""

Cost = tuple[int, float, int, float]


@dataclass(frozen=True)
class Zones:
    """The chips to assign; a zone holds the chips of one unit that are near the same other units.

    A zone is dropped if a unit near it is assigned to a later part than its own: this is the gap between parts.
    """

    unit_Z: np.ndarray
    """int, the unit of each zone, counted from 0."""
    near_ZM: np.ndarray
    """int, the zone's own unit, then the units within the gap; padded with its own."""
    amounts_ZA: np.ndarray
    """float, chips, then pixels per class."""

    @classmethod
    def from_pairs(cls, zones: Iterable[tuple[tuple[int, ...], np.ndarray]]) -> "Zones":
        """Build zones from pairs of units (the zone's own first, then those near it) and amounts."""
        near, amounts = zip(*zones, strict=True)
        width = max(map(len, near))
        near_ZM = np.array([units + units[:1] * (width - len(units)) for units in near])
        return cls(near_ZM[:, 0], near_ZM, np.array(amounts, np.float64))

    @property
    def unit_chips(self) -> np.ndarray:
        """Chips of each unit."""
        return np.bincount(self.unit_Z, self.amounts_ZA[:, 0])

    @cached_property
    def zones_near(self) -> list[np.ndarray]:
        """For each unit, the zones that can change when the unit changes its part."""
        zones, width = self.near_ZM.shape
        pairs = np.unique(self.near_ZM.ravel() * zones + np.arange(zones).repeat(width))
        unit, zone = np.divmod(pairs, zones)
        return np.split(zone, np.flatnonzero(np.diff(unit)) + 1)

    def totals(self, part_U: np.ndarray, parts: int, zones: np.ndarray | slice = slice(None)) -> np.ndarray:
        """Sum the amounts of each of `parts` parts over `zones`, without those that the gap drops.

        Returns:
            totals_PA, float.
        """
        part_Z = part_U[self.unit_Z[zones]]
        kept_Z = part_U[self.near_ZM[zones]].max(axis=1) <= part_Z
        in_part_PZ = (part_Z == np.arange(parts)[:, None]) & kept_Z
        return np.asarray(in_part_PZ.astype(np.float64) @ self.amounts_ZA[zones])


def assign_units(zones: Zones, shares: Mapping[str, float], seed: int) -> list[str]:
    """Find the part of each unit by a seeded local search, or by trying all assignments where there are few units.

    The objectives, the most important first, measured on the chips that the gap leaves: no empty part; each part's
    share of the chips within `TOLERANCE` of the requested one; every class in every part; the requested shares of
    chips and classes, with few chips dropped.

    Args:
        zones: chips and pixels of the units.
        shares: of each part, the later parts last; they add up to 1.
        seed: of the search.
    """
    names, target_P = list(shares), np.array(list(shares.values()))
    rng = random.Random(seed)
    candidates = [_local_search(_greedy(zones.unit_chips, target_P, rng), zones, target_P, rng) for _ in range(STARTS)]
    if len(names) ** (count := len(zones.unit_chips)) <= MAX_MOVES:
        candidates += map(np.array, product(range(len(names)), repeat=count))
    all_A = zones.amounts_ZA.sum(axis=0)
    best_U = min(candidates, key=lambda part_U: _cost(zones.totals(part_U, len(names)), all_A, target_P))
    return [names[part] for part in best_U]


def _greedy(chips_U: np.ndarray, target_P: np.ndarray, rng: random.Random) -> np.ndarray:
    """Assign units in random order, each to the part that lacks the most chips."""
    order = list(range(len(chips_U)))
    rng.shuffle(order)
    missing_P, part_U = target_P * chips_U.sum(), np.zeros(len(chips_U), np.int64)
    for unit in order:
        part_U[unit] = int(missing_P.argmax())
        missing_P[part_U[unit]] -= chips_U[unit]
    return part_U


def _local_search(part_U: np.ndarray, zones: Zones, target_P: np.ndarray, rng: random.Random) -> np.ndarray:
    """Move a unit or swap two, and keep every change that does not raise the cost."""
    count, zones_near, all_A = len(part_U), zones.zones_near, zones.amounts_ZA.sum(axis=0)
    parts = len(target_P)
    totals_PA = zones.totals(part_U, parts)
    cost = _cost(totals_PA, all_A, target_P)
    for _ in range(min(MAX_MOVES, MOVES_PER_ZONE * len(zones.unit_Z)) if count > 1 else 0):
        pair = rng.sample(range(count), 2)
        old = [int(part_U[unit]) for unit in pair]
        new = old[::-1] if rng.random() < 0.5 else [rng.randrange(parts), old[1]]
        if new == old:
            continue
        changed = np.union1d(zones_near[pair[0]], zones_near[pair[1]])
        new_totals_PA = totals_PA - zones.totals(part_U, parts, changed)
        part_U[pair] = new
        new_totals_PA += zones.totals(part_U, parts, changed)
        if (new_cost := _cost(new_totals_PA, all_A, target_P)) <= cost:
            totals_PA, cost = new_totals_PA, new_cost
        else:
            part_U[pair] = old
    return part_U


def _cost(totals_PA: np.ndarray, all_A: np.ndarray, target_P: np.ndarray) -> Cost:
    """Rate an assignment, the most important objective first; a class that the gap removes is missing in every part."""
    present_A, kept_A = all_A > 0, totals_PA.sum(axis=0)
    shares_PA = totals_PA[:, present_A] / np.maximum(kept_A[present_A], 1)
    deviation_PA = abs(shares_PA - target_P[:, None])
    excess = round(max(0.0, float(deviation_PA[:, 0].max()) - TOLERANCE), 9)
    spread = round(float(deviation_PA.sum()) + 1 - float(kept_A[0] / all_A[0]), 9)
    return int((totals_PA[:, 0] == 0).sum()), excess, int((totals_PA[:, present_A] == 0).sum()), spread
