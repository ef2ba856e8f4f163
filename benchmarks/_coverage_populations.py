"""Simulated populations of groups with known mean IoU, to test intervals.

A group has five classes like LandCover.ai's, or two; each is present with some probability and has a lognormal size.
The logit of a model's recall varies between groups. Missed pixels go to other classes, half by their share in the group
and half by their share in the population, so classes are also predicted where they are absent.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from pipeline.scoring.counts import TRUE
from pipeline.scoring.scores import class_iou

PIXELS = 1e7
"""Pixels of an average group."""
RECALL_K = logit([0.92, 0.85, 0.80, 0.60, 0.50])
"""Logit of the mean recall."""
GAIN_K = np.array([0, 0.2, 0.1, 0.3, 0.2])
"""Gain in recall of the second of two models, on the logit."""
OWN_NOISE = 0.3
"""Share of the spread that is specific to a training run."""
TRUTH_GROUPS = 500_000
"""Groups used to compute the truth."""
TRAININGS = 100
"""Pairs of training runs used to compute the true difference, each with its mirror image."""


@dataclass(frozen=True)
class Population:
    """A population to draw groups from."""

    name: str
    presence_K: tuple[float, ...]
    """Probability that a class is present in a group."""
    share_K: tuple[float, ...]
    """Mean share of the pixels."""
    spread: float
    """Standard deviation between groups of the logit of recall and of the log of a class's size; 0.6 times it for the
    log of a group's size."""
    extra_size_spread: float = 0
    """Additional standard deviation of the log of a group's size."""


@dataclass(frozen=True)
class Groups:
    """N groups before prediction."""

    true_NK: np.ndarray
    """Pixels by class."""
    ease_NK: np.ndarray
    """Deviation of recall from the mean, on the logit, common to all models."""
    confusion_NKK: np.ndarray
    """Share of the missed pixels of the first class predicted as the second."""


SPREADS = {"narrow": 0.5, "wide": 1.2}
COMMON_SHARES = (0.55, 0.28, 0.08, 0.05, 0.04)
RARE_SHARES = (0.60, 0.30, 0.06, 0.035, 0.005)


def populations() -> Iterator[Population]:
    """Yield the populations, in the order of the table."""
    for spread in SPREADS.values():
        yield Population("classes in most groups", (1, 0.95, 0.9, 0.9, 0.9), COMMON_SHARES, spread)
        yield Population("classes in half of them", (1, 0.8, 0.5, 0.55, 0.6), COMMON_SHARES, spread)
        yield Population("one class of 0.5 %", (1, 0.95, 0.9, 0.9, 0.6), RARE_SHARES, spread)
        yield Population("two patchy classes", (1, 0.9, 0.2, 0.9, 0.3), COMMON_SHARES, spread)
        yield Population("one in 10 % of groups", (1, 0.95, 0.9, 0.1, 0.9), COMMON_SHARES, spread)
        yield Population("two classes, one in half", (1, 0.5), (0.9, 0.1), spread)
        yield Population("groups of unlike size", (1, 0.95, 0.9, 0.9, 0.9), COMMON_SHARES, spread, extra_size_spread=2)


def draw(random: np.random.Generator, count: int, population: Population) -> Groups:
    """Draw `count` groups from the population."""
    presence_K, share_K, spread = np.array(population.presence_K), np.array(population.share_K), population.spread
    shape = (count, len(share_K))
    size_NK = share_K / presence_K * np.exp(spread * random.standard_normal(shape) - spread**2 / 2)
    share_NK = size_NK * (random.random(shape) < presence_K)
    share_NK /= share_NK.sum(axis=1, keepdims=True)
    size_N1 = np.exp(np.hypot(0.6 * spread, population.extra_size_spread) * random.standard_normal((count, 1)))
    weight_NK = (share_NK + share_K) / 2 * np.exp(spread * random.standard_normal(shape))
    confusion_NKK = weight_NK[:, None] * (1 - np.eye(len(share_K)))
    confusion_NKK /= confusion_NKK.sum(axis=2, keepdims=True)
    return Groups(PIXELS * share_NK * size_N1, spread * random.standard_normal(shape), confusion_NKK)


def predict(groups: Groups, gain_NK: np.ndarray | float = 0) -> np.ndarray:
    """Predict all groups with a model whose recall is higher by `gain_NK` on the logit; return counts_N3K."""
    recall_K = RECALL_K[: groups.true_NK.shape[1]]
    hits_NK = groups.true_NK * expit(recall_K + gain_NK + groups.ease_NK)
    wrong_NK = np.einsum("nk,nkj->nj", groups.true_NK - hits_NK, groups.confusion_NKK)
    return np.asarray(np.rint(np.stack([groups.true_NK, hits_NK + wrong_NK, hits_NK], axis=1)), np.int64)


def true_iou(population: Population) -> np.ndarray:
    """Return the IoU by class of the whole population, to which a pooled score converges."""
    random, total_3K = np.random.default_rng(0), np.zeros((3, len(population.share_K)), np.int64)
    for _ in range(10):
        total_3K += predict(draw(random, TRUTH_GROUPS // 10, population)).sum(axis=0)
    return class_iou(total_3K)


def classes_present(counts_RG3K: np.ndarray) -> np.ndarray:
    """Return whether each test set has each class, bool (R, K)."""
    return np.asarray(counts_RG3K[:, :, TRUE].any(axis=1))


def true_mean(iou_K: np.ndarray, counts_RG3K: np.ndarray) -> np.ndarray:
    """Average the true IoU over the classes present in each test set, as a score does."""
    present_RK = classes_present(counts_RG3K)
    return np.asarray((present_RK * iou_K).sum(axis=1) / present_RK.sum(axis=1))


def draw_pairs(
    random: np.random.Generator, shape: tuple[int, int, int], population: Population, noise: float
) -> np.ndarray:
    """Draw counts_2RSG3K of two models, each trained S times and tested on the same G groups, R times.

    Args:
        random: random generator.
        shape: R, S and G.
        population: to draw groups from.
        noise: standard deviation of recall between training runs, on the logit.
    """
    tests, trainings, group_count = shape
    groups, classes = draw(random, tests * group_count, population), len(population.share_K)

    def train_and_predict(gain_K: np.ndarray) -> np.ndarray:
        noise_RK = noise * random.standard_normal((tests, classes))
        own_NK = OWN_NOISE * population.spread * random.standard_normal((tests * group_count, classes))
        return predict(groups, gain_K + noise_RK.repeat(group_count, axis=0) + own_NK)

    gain_K = GAIN_K[:classes]
    counts = [[train_and_predict(model_K) for _ in range(trainings)] for model_K in (0 * gain_K, gain_K)]
    return np.array(counts).reshape(2, trainings, tests, group_count, 3, classes).swapaxes(1, 2)


def true_difference(population: Population, noise: float) -> np.ndarray:
    """Return the expected difference of IoU by class between the two models, on the whole population."""
    gain_K = GAIN_K[: len(population.share_K)]
    random, difference_K = np.random.default_rng(0), np.zeros(len(gain_K))
    for _ in range(TRAININGS):
        groups = draw(random, TRUTH_GROUPS // TRAININGS, population)
        noise_2K = noise * random.standard_normal((2, len(gain_K)))
        for sign in (1, -1):  # mirror images reduce the variance of the mean
            for model, noise_K in zip((0, 1), noise_2K, strict=True):
                own_NK = OWN_NOISE * population.spread * random.standard_normal(groups.true_NK.shape)
                counts_3K = predict(groups, model * gain_K + sign * noise_K + own_NK).sum(axis=0)
                difference_K += (2 * model - 1) * class_iou(counts_3K) / (2 * TRAININGS)
    return difference_K
