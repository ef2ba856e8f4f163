"""Decide whether one configuration trains better models than another, and when that is undecided."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.evaluation.intervals import (
    MIN_GROUPS,
    MIN_SEEDS,
    Interval,
    difference,
    difference_interval,
    labelled_groups,
)
from pipeline.scoring.counts import TRUE


@dataclass(frozen=True)
class Result:
    """The evaluation of one training on the test set."""

    name: str
    """The revision or experiment."""
    seed: int
    test_list: str
    """Hash of the list of test chips."""
    classes: tuple[str, ...]
    groups: tuple[str, ...]
    """Independent groups of the test set, sorted."""
    counts_G3K: np.ndarray
    """See `pipeline.scoring.counts`."""
    mean_iou: float
    precision: str | None = None
    """In which it was scored: fp32, bf16 or fp16; None for older evaluations, which do not record it."""


@dataclass(frozen=True)
class Comparison:
    """The difference of two sets of trainings, paired by seed."""

    seeds: tuple[int, ...]
    groups: int
    """Independent groups of the test set."""
    difference: float
    """Mean IoU of the second set minus that of the first, averaged over the seeds."""
    interval: Interval | None
    """95 % interval of the difference; None with too few groups."""

    @property
    def verdict(self) -> str:
        """`first`, `second` or `neither` is better, or `undecided` with the reason."""
        if self.interval is None:
            return f"undecided: {self.groups} independent groups in the test set, at least {MIN_GROUPS} are needed"
        if len(self.seeds) < MIN_SEEDS:
            return (
                f"undecided: training noise was not sampled, {len(self.seeds)} paired "
                f"seed{'s' * (len(self.seeds) != 1)} of at least {MIN_SEEDS}"
            )
        return "second" if self.interval.low > 0 else "first" if self.interval.high < 0 else "neither"


def compare_results(first: list[Result], second: list[Result]) -> Comparison:
    """Pair two sets of trainings by seed and compare them.

    Raises:
        PipelineError: different test chips or classes, a seed twice in one set, or no seed in both.
    """
    first_by_seed, second_by_seed = _by_seed(first), _by_seed(second)
    reference = first[0]
    for result in (*first, *second):
        require_same_test_set(reference, result)
    seeds = tuple(sorted(first_by_seed.keys() & second_by_seed.keys()))
    if not seeds:
        raise PipelineError(
            f"no seed occurs in both: {sorted(first_by_seed)} and {sorted(second_by_seed)}; train both with the same "
            "values of seed"
        )
    first_SG3K, second_SG3K = (
        np.stack([results[seed].counts_G3K for seed in seeds]) for results in (first_by_seed, second_by_seed)
    )
    gain = difference(first_SG3K, second_SG3K)
    interval = difference_interval(first_SG3K, second_SG3K, reference.classes)
    return Comparison(seeds, len(labelled_groups(reference.counts_G3K)), gain, interval)


def require_same_test_set(first: Result, second: Result) -> None:
    """Check that two results are of the same test chips and masks.

    Other params or remapped classes may change the masks of the same chips, which shows in the true pixels by class and
    group.

    Raises:
        PipelineError: they are not.
    """
    for what, ours, theirs in (
        ("test chips", first.test_list, second.test_list),
        ("classes", first.classes, second.classes),
        ("groups", first.groups, second.groups),
        ("labels", first.counts_G3K[:, TRUE].tolist(), second.counts_G3K[:, TRUE].tolist()),
    ):
        if ours != theirs:
            raise PipelineError(
                f"{first.name} and {second.name} were scored on different {what}, so their scores cannot be compared; "
                "evaluate both on the same masks, with the same dataset, tif_to_png, tile and split"
            )


def _by_seed(results: list[Result]) -> Mapping[int, Result]:
    by_seed: dict[int, Result] = {}
    for result in results:
        if (other := by_seed.setdefault(result.seed, result)) is not result:
            raise PipelineError(f"{other.name} and {result.name} both have seed {result.seed}; name only one of them")
    return by_seed
