"""Says whether one way of training is better than another, and when that cannot be said."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.core.errors import PipelineError
from pipeline.evaluation.intervals import LEAST_SEEDS, LEAST_UNITS, Interval, counted, difference, difference_interval
from pipeline.scoring.counts import TRUE


@dataclass(frozen=True)
class Result:
    """What one training scored on the test set."""

    name: str
    """The revision or experiment."""
    seed: int
    test_list: str
    """Hash of the list of test chips."""
    classes: tuple[str, ...]
    units: tuple[str, ...]
    """Independent groups of the test set, sorted."""
    counts_U3K: np.ndarray
    """See `pipeline.scoring.counts`."""
    mean_iou: float
    arithmetic: str | None = None
    """The arithmetic in which it was scored; None for an older evaluation, which does not say."""


@dataclass(frozen=True)
class Comparison:
    """How two groups of trainings differ, paired by seed."""

    seeds: tuple[int, ...]
    units: int
    """Independent groups of the test set."""
    difference: float
    """Mean IoU of the second group less that of the first, mean over the seeds."""
    interval: Interval | None
    """95 % interval of the difference; None with too few groups."""

    @property
    def verdict(self) -> str:
        """`first`, `second` or `neither` is better, or `undecided` with the reason."""
        if self.interval is None:
            return f"undecided: {self.units} independent groups in the test set, at least {LEAST_UNITS} are needed"
        if len(self.seeds) < LEAST_SEEDS:
            return (
                f"undecided: training noise was not sampled, {len(self.seeds)} paired "
                f"seed{'s' * (len(self.seeds) != 1)} of at least {LEAST_SEEDS}"
            )
        return "second" if self.interval.low > 0 else "first" if self.interval.high < 0 else "neither"


def compared(first: list[Result], second: list[Result]) -> Comparison:
    """Pair two groups by seed and compare them.

    Raises:
        PipelineError: they were scored on other test chips or classes, a seed occurs twice, or none is in both.
    """
    ours, theirs = _by_seed(first), _by_seed(second)
    reference = first[0]
    for one in (*first, *second):
        require_same_test(reference, one)
    seeds = tuple(sorted(ours.keys() & theirs.keys()))
    if not seeds:
        raise PipelineError(
            f"no seed is in both: {sorted(ours)} and {sorted(theirs)}; train both with the same values of seed"
        )
    ours_SU3K, theirs_SU3K = (np.stack([group[seed].counts_U3K for seed in seeds]) for group in (ours, theirs))
    gain = difference(ours_SU3K, theirs_SU3K)
    interval = difference_interval(ours_SU3K, theirs_SU3K, reference.classes)
    return Comparison(seeds, len(counted(reference.counts_U3K)), gain, interval)


def require_same_test(one: Result, other: Result) -> None:
    """Check that two results are of the same test chips and masks.

    The list of chips says nothing of their masks, which other params or remapped classes change; the true pixels of
    each class in each unit do.

    Raises:
        PipelineError: they are not.
    """
    for what, ours, theirs in (
        ("test chips", one.test_list, other.test_list),
        ("classes", one.classes, other.classes),
        ("units", one.units, other.units),
        ("labels", one.counts_U3K[:, TRUE].tolist(), other.counts_U3K[:, TRUE].tolist()),
    ):
        if ours != theirs:
            raise PipelineError(
                f"{one.name} and {other.name} were scored on different {what}, so their scores cannot be compared; "
                "evaluate both on the same masks, under the same dataset, tif_to_png, tile and split"
            )


def _by_seed(results: list[Result]) -> Mapping[int, Result]:
    found: dict[int, Result] = {}
    for one in results:
        if (other := found.setdefault(one.seed, one)) is not one:
            raise PipelineError(f"{other.name} and {one.name} both have seed {one.seed}; name one of them")
    return found
