"""Decide whether one configuration trains better models than another, and when that is undecided."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

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
from pipeline.formats.splits import parse_fold
from pipeline.scoring.counts import TRUE
from pipeline.scoring.scores import scores


@dataclass(frozen=True)
class Result:
    """The evaluation of one training on the test set, or of the trainings of several folds on all of them."""

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
    precision: str
    """In which it was scored: fp32, bf16 or fp16."""
    fold: str | None = None
    """`i/k`: the test set is the i-th of k folds; None without folds, and for pooled ones."""
    folds: int = 1
    """Number of folds pooled."""


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
    folds: int = 1
    """Number of folds pooled for each seed."""

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
    """Pair two sets of trainings by seed and compare them, after pooling the folds of each seed.

    Raises:
        PipelineError: different test chips or classes, a seed twice in one set, no seed in both, or incomplete folds.
    """
    first, second = pool_by_seed(first), pool_by_seed(second)
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
    return Comparison(seeds, len(labelled_groups(reference.counts_G3K)), gain, interval, reference.folds)


def pool_by_seed(results: list[Result]) -> list[Result]:
    """Pool the folds of each seed; results without folds are kept.

    Raises:
        PipelineError: see `pool_folds`.
    """
    of_seed: dict[int, list[Result]] = {}
    for result in results:
        if result.fold is not None:
            of_seed.setdefault(result.seed, []).append(result)
    return [result for result in results if result.fold is None] + [pool_folds(folds) for folds in of_seed.values()]


def pool_folds(results: list[Result]) -> Result:
    """Pool the k folds of one seed, in any order: every group is tested once, by a training without it.

    Args:
        results: each with a fold, all of the same seed.

    Returns:
        The groups of all folds, sorted, with their counts. `mean_iou` is that of the summed counts, not the mean over
        the folds; `test_list` is a hash of the folds' lists in their order.

    Raises:
        PipelineError: a fold is missing or occurs twice, a group is in two folds, or the numbers of folds or the
            classes differ.
    """
    ordered = _order_folds(results)
    first, groups = ordered[0], _groups_of_folds(ordered)
    order = sorted(range(len(groups)), key=groups.__getitem__)
    counts_G3K = np.concatenate([result.counts_G3K for result in ordered])[order]
    return replace(
        first,
        name=f"{first.name} ({len(ordered)} folds)",
        test_list=hashlib.sha256("\n".join(result.test_list for result in ordered).encode()).hexdigest(),
        groups=tuple(groups[index] for index in order),
        counts_G3K=counts_G3K,
        mean_iou=scores(counts_G3K.sum(axis=0), first.classes)["mean_iou"],
        precision=" and ".join(sorted({result.precision for result in ordered})),
        fold=None,
        folds=len(ordered),
    )


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


def _order_folds(results: list[Result]) -> list[Result]:
    """Sort results by their fold, after checking that they are all folds of one seed."""
    first, by_number = results[0], dict[int, Result]()
    count = parse_fold(first.fold or "1/1")[1]
    for result in results:
        number, own_count = parse_fold(result.fold or "1/1")
        for what, ours, theirs in (
            ("numbers of folds", count, own_count),
            ("classes", first.classes, result.classes),
        ):
            if ours != theirs:
                raise PipelineError(
                    f"{first.name} and {result.name} have different {what}, so their folds cannot be pooled; name "
                    "experiments of one dataset and one number of folds, with all folds of each seed"
                )
        if (other := by_number.setdefault(number, result)) is not result:
            raise PipelineError(
                f"{other.name} and {result.name} both are fold {result.fold} of seed {first.seed}; name only one"
            )
    if missing := [f"{number}/{count}" for number in range(1, count + 1) if number not in by_number]:
        raise PipelineError(
            f"{first.name} is fold {first.fold} of seed {first.seed}, and {', '.join(missing)} "
            f"{'is' if len(missing) == 1 else 'are'} missing; name the experiments of all {count} folds"
        )
    return [by_number[number] for number in sorted(by_number)]


def _groups_of_folds(ordered: list[Result]) -> list[str]:
    """List the groups of all folds, in their order, after checking that none is in two."""
    owner: dict[str, Result] = {}
    for result in ordered:
        for group in result.groups:
            if (other := owner.setdefault(group, result)) is not result:
                raise PipelineError(
                    f"group {group} is tested by both {other.name} and {result.name}, which must be different folds of "
                    "one split; train both with the same dataset, tile, split.strategy and split.seed"
                )
    return list(owner)


def _by_seed(results: list[Result]) -> Mapping[int, Result]:
    by_seed: dict[int, Result] = {}
    for result in results:
        if (other := by_seed.setdefault(result.seed, result)) is not result:
            raise PipelineError(f"{other.name} and {result.name} both have seed {result.seed}; name only one of them")
    return by_seed
