"""Populations of groups whose mean IoU is known, to try intervals on.

A group has five classes like LandCover.ai's, or two, each there with a probability and of a lognormal size. A model
finds each class with a probability whose logit varies from group to group. What it misses goes to other classes, half
by their share in the group and half by their share everywhere, so classes are also predicted where there are none.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from pipeline.scoring.counts import TRUE
from pipeline.scoring.scores import class_iou

PIXELS = 1e7
"""Of an average group."""
RECALL_K = logit([0.92, 0.85, 0.80, 0.60, 0.50])
BETTER_K = np.array([0, 0.2, 0.1, 0.3, 0.2])
"""By how much the second of two models finds more of each class, on the logit."""
OWN_NOISE = 0.3
"""Share of the spread that a training does not share with the others."""
MANY = 500_000
"""Groups over which the truth is taken."""
TRAININGS = 100
"""Pairs of trainings over which the true difference is taken, each with its mirror image."""


@dataclass(frozen=True)
class Population:
    """What groups are drawn from."""

    name: str
    there_K: tuple[float, ...]
    """Probability that a group has the class."""
    share_K: tuple[float, ...]
    """Mean share of the pixels."""
    spread: float
    """Standard deviation between groups: of the logit of recall, of the log of a class's size; 0.6 of it of the log of
    a group's size."""
    sizes: float = 0
    """More standard deviation of the log of a group's size."""


@dataclass(frozen=True)
class Groups:
    """N groups before a model has seen them."""

    true_NK: np.ndarray
    """Pixels by class."""
    ease_NK: np.ndarray
    """How much easier than on average a class is found, on the logit, by any model."""
    taken_NKK: np.ndarray
    """Share of the missed pixels of the first class that goes to the second."""


SPREADS = {"narrow": 0.5, "wide": 1.2}
USUAL = (0.55, 0.28, 0.08, 0.05, 0.04)
RARE = (0.60, 0.30, 0.06, 0.035, 0.005)


def populations() -> Iterator[Population]:
    """All that the table has rows for."""
    for spread in SPREADS.values():
        yield Population("classes in most groups", (1, 0.95, 0.9, 0.9, 0.9), USUAL, spread)
        yield Population("classes in half of them", (1, 0.8, 0.5, 0.55, 0.6), USUAL, spread)
        yield Population("one class of 0.5 %", (1, 0.95, 0.9, 0.9, 0.6), RARE, spread)
        yield Population("two patchy classes", (1, 0.9, 0.2, 0.9, 0.3), USUAL, spread)
        yield Population("one in 10 % of groups", (1, 0.95, 0.9, 0.1, 0.9), USUAL, spread)
        yield Population("two classes, one in half", (1, 0.5), (0.9, 0.1), spread)
        yield Population("groups of unlike size", (1, 0.95, 0.9, 0.9, 0.9), USUAL, spread, sizes=2)


def draw(random: np.random.Generator, count: int, source: Population) -> Groups:
    """Groups of the population."""
    there_K, share_K, spread = np.array(source.there_K), np.array(source.share_K), source.spread
    shape = (count, len(share_K))
    size_NK = share_K / there_K * np.exp(spread * random.standard_normal(shape) - spread**2 / 2)
    share_NK = size_NK * (random.random(shape) < there_K)
    share_NK /= share_NK.sum(axis=1, keepdims=True)
    size_N1 = np.exp(np.hypot(0.6 * spread, source.sizes) * random.standard_normal((count, 1)))
    pull_NK = (share_NK + share_K) / 2 * np.exp(spread * random.standard_normal(shape))
    taken_NKK = pull_NK[:, None] * (1 - np.eye(len(share_K)))
    taken_NKK /= taken_NKK.sum(axis=2, keepdims=True)
    return Groups(PIXELS * share_NK * size_N1, spread * random.standard_normal(shape), taken_NKK)


def predict(groups: Groups, better_NK: np.ndarray | float = 0) -> np.ndarray:
    """counts_N3K of a model whose recall is higher by `better_NK`, on the logit, than that of the usual one."""
    usual_K = RECALL_K[: groups.true_NK.shape[1]]
    hits_NK = groups.true_NK * expit(usual_K + better_NK + groups.ease_NK)
    wrong_NK = np.einsum("nk,nkj->nj", groups.true_NK - hits_NK, groups.taken_NKK)
    return np.asarray(np.rint(np.stack([groups.true_NK, hits_NK + wrong_NK, hits_NK], axis=1)), np.int64)


def true_iou(source: Population) -> np.ndarray:
    """IoU by class of all groups together: the ratio of expectations, to which a pooled score tends."""
    random, total_3K = np.random.default_rng(0), np.zeros((3, len(source.share_K)), np.int64)
    for _ in range(10):
        total_3K += predict(draw(random, MANY // 10, source)).sum(axis=0)
    return class_iou(total_3K)


def scored(counts_RG3K: np.ndarray) -> np.ndarray:
    """Which classes each test set has, (R, K)."""
    return np.asarray(counts_RG3K[:, :, TRUE].any(axis=1))


def true_mean(iou_K: np.ndarray, counts_RG3K: np.ndarray) -> np.ndarray:
    """The true mean over the classes that each test set has: a score tells of no other."""
    scored_RK = scored(counts_RG3K)
    return np.asarray((scored_RK * iou_K).sum(axis=1) / scored_RK.sum(axis=1))


def draw_pairs(
    random: np.random.Generator, shape: tuple[int, int, int], source: Population, noise: float
) -> np.ndarray:
    """counts_2RSG3K of two models, each trained S times and tested on the same G groups, R times.

    Args:
        random: what to draw from.
        shape: R, S and G.
        source: of the groups.
        noise: standard deviation of what a training adds to the recall of each class, on the logit.
    """
    tests, trainings, units = shape
    groups, classes = draw(random, tests * units, source), len(source.share_K)

    def trained(better_K: np.ndarray) -> np.ndarray:
        luck_RK = noise * random.standard_normal((tests, classes))
        own_NK = OWN_NOISE * source.spread * random.standard_normal((tests * units, classes))
        return predict(groups, better_K + luck_RK.repeat(units, axis=0) + own_NK)

    better_K = BETTER_K[:classes]
    found = [[trained(each_K) for _ in range(trainings)] for each_K in (0 * better_K, better_K)]
    return np.array(found).reshape(2, trainings, tests, units, 3, classes).swapaxes(1, 2)


def true_gain(source: Population, noise: float) -> np.ndarray:
    """Expected difference of IoU by class of two trainings on all groups together."""
    random, gain_K = np.random.default_rng(0), np.zeros(len(source.share_K))
    better_K = BETTER_K[: len(gain_K)]
    for _ in range(TRAININGS):
        groups = draw(random, MANY // TRAININGS, source)
        luck_2K = noise * random.standard_normal((2, len(gain_K)))
        for sign in (1, -1):  # each with its mirror image, so that chance hardly moves the mean
            for better, luck_K in zip((0, 1), luck_2K, strict=True):
                own_NK = OWN_NOISE * source.spread * random.standard_normal(groups.true_NK.shape)
                counts_3K = predict(groups, better * better_K + sign * luck_K + own_NK).sum(axis=0)
                gain_K += (2 * better - 1) * class_iou(counts_3K) / (2 * TRAININGS)
    return gain_K
