from dataclasses import replace

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.evaluation.verdict import Result, compared
from pipeline.scoring.counts import HITS, PREDICTED, TRUE
from tests.evaluation.test_intervals import units

UNITS = tuple(f"u{number:02}" for number in range(12))


def result(name: str, seed: int, share: float, count: int = 12) -> Result:
    spread = np.linspace(-0.05, 0.05, count)
    return Result(name, seed, "list", ("a", "b"), UNITS[:count], units(*(share + spread)), share)


def group(name: str, share: float, seeds: int = 5, count: int = 12) -> list[Result]:
    return [result(f"{name}-{seed}", seed, share + 0.01 * (-1) ** seed, count) for seed in range(seeds)]


def test_a_clear_lead_over_five_seeds_is_a_verdict_either_way() -> None:
    worse, better = group("a", 0.4), group("b", 0.6)
    assert compared(worse, better).verdict == "second"
    assert compared(better, worse).verdict == "first"
    assert compared(worse, better).difference == pytest.approx(0.6 / 1.4 - 0.4 / 1.6, abs=0.01)


def test_the_same_scores_are_neither() -> None:
    assert compared(group("a", 0.5), group("b", 0.5)).verdict == "neither"


def test_fewer_than_five_paired_seeds_are_undecided_however_clear() -> None:
    found = compared(group("a", 0.2, seeds=4), group("b", 0.9))
    assert found.seeds == (0, 1, 2, 3)
    assert found.verdict == "undecided: training noise was not sampled, 4 paired seeds of at least 5"
    assert compared(group("a", 0.2, 1), group("b", 0.9)).verdict.endswith("1 paired seed of at least 5")


def test_too_few_units_are_undecided() -> None:
    found = compared(group("a", 0.2, count=9), group("b", 0.9, count=9))
    assert found.interval is None
    assert found.verdict == "undecided: 9 independent groups in the test set, at least 10 are needed"


def test_groups_without_a_labelled_pixel_are_not_counted() -> None:
    ours, theirs = (replace(one[0], counts_U3K=one[0].counts_U3K.copy()) for one in (group("a", 0.2), group("b", 0.9)))
    for one in (ours, theirs):
        one.counts_U3K[:3] = 0
    assert compared([ours], [theirs]).verdict == (
        "undecided: 9 independent groups in the test set, at least 10 are needed"
    )


def test_pairs_are_by_seed_not_by_order() -> None:
    ours, theirs = group("a", 0.4), group("b", 0.6)
    assert compared(ours, theirs[::-1]) == compared(ours, theirs)


@pytest.mark.parametrize(
    ("what", "change"),
    [("test chips", {"test_list": "other"}), ("classes", {"classes": ("a", "c")}), ("units", {"units": UNITS[1:]})],
)
def test_results_of_different_tests_are_refused(what: str, change: dict[str, object]) -> None:
    other = replace(result("b", 1, 0.5), **change)  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match=f"^a and b were scored on different {what}, so their scores cannot be"):
        compared([result("a", 1, 0.5)], [other])


def test_results_of_different_masks_of_the_same_chips_are_refused() -> None:
    ours, theirs = result("a", 1, 0.5), result("b", 1, 0.5)
    theirs.counts_U3K[3, PREDICTED, 0] += 1  # is what they may differ in
    theirs.counts_U3K[3, HITS, 0] -= 1
    compared([ours], [theirs])
    theirs.counts_U3K[3, TRUE] += (1, -1)  # one pixel has another class
    with pytest.raises(
        PipelineError, match=r"^a and b were scored on different labels, .*; evaluate both on the same m"
    ):
        compared([ours], [theirs])


def test_groups_without_a_common_seed_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"^no seed is in both: \[1\] and \[2\]"):
        compared([result("a", 1, 0.5)], [result("b", 2, 0.5)])


def test_a_seed_twice_in_a_group_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"^a and c both have seed 1; name one of them$"):
        compared([result("a", 1, 0.5), result("c", 1, 0.5)], [result("b", 1, 0.5)])
