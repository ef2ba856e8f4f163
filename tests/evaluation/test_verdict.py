from dataclasses import replace

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.evaluation.verdict import Result, compare_results
from pipeline.scoring.counts import HITS, PREDICTED, TRUE
from tests.evaluation.test_intervals import make_groups

GROUPS = tuple(f"u{number:02}" for number in range(12))


def result(name: str, seed: int, share: float, count: int = 12) -> Result:
    spread = np.linspace(-0.05, 0.05, count)
    return Result(name, seed, "list", ("a", "b"), GROUPS[:count], make_groups(*(share + spread)), share)


def trainings(name: str, share: float, seeds: int = 5, count: int = 12) -> list[Result]:
    return [result(f"{name}-{seed}", seed, share + 0.01 * (-1) ** seed, count) for seed in range(seeds)]


def test_a_clear_lead_over_five_seeds_gives_a_verdict() -> None:
    worse, better = trainings("a", 0.4), trainings("b", 0.6)
    assert compare_results(worse, better).verdict == "second"
    assert compare_results(better, worse).verdict == "first"
    assert compare_results(worse, better).difference == pytest.approx(0.6 / 1.4 - 0.4 / 1.6, abs=0.001)


def test_with_equal_scores_neither_is_better() -> None:
    assert compare_results(trainings("a", 0.5), trainings("b", 0.5)).verdict == "neither"


def test_fewer_than_five_paired_seeds_are_undecided() -> None:
    comparison = compare_results(trainings("a", 0.2, seeds=4), trainings("b", 0.9))
    assert comparison.seeds == (0, 1, 2, 3)
    assert comparison.verdict == "undecided: training noise was not sampled, 4 paired seeds of at least 5"
    assert compare_results(trainings("a", 0.2, 1), trainings("b", 0.9)).verdict.endswith("1 paired seed of at least 5")


def test_too_few_groups_are_undecided() -> None:
    comparison = compare_results(trainings("a", 0.2, count=9), trainings("b", 0.9, count=9))
    assert comparison.interval is None
    assert comparison.verdict == "undecided: 9 independent groups in the test set, at least 10 are needed"


def test_unlabelled_groups_do_not_count() -> None:
    ours, theirs = (
        replace(results[0], counts_G3K=results[0].counts_G3K.copy())
        for results in (trainings("a", 0.2), trainings("b", 0.9))
    )
    for side in (ours, theirs):
        side.counts_G3K[:3] = 0
    assert compare_results([ours], [theirs]).verdict == (
        "undecided: 9 independent groups in the test set, at least 10 are needed"
    )


def test_trainings_are_paired_by_seed() -> None:
    ours, theirs = trainings("a", 0.4), trainings("b", 0.6)
    assert compare_results(ours, theirs[::-1]) == compare_results(ours, theirs)


@pytest.mark.parametrize(
    ("what", "change"),
    [("test chips", {"test_list": "other"}), ("classes", {"classes": ("a", "c")}), ("groups", {"groups": GROUPS[1:]})],
)
def test_results_on_different_test_sets_are_refused(what: str, change: dict[str, object]) -> None:
    other = replace(result("b", 1, 0.5), **change)  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match=f"^a and b were scored on different {what}, so their scores cannot be"):
        compare_results([result("a", 1, 0.5)], [other])


def test_results_on_different_masks_of_the_same_chips_are_refused() -> None:
    ours, theirs = result("a", 1, 0.5), result("b", 1, 0.5)
    theirs.counts_G3K[3, PREDICTED, 0] += 1  # predictions may differ
    theirs.counts_G3K[3, HITS, 0] -= 1
    compare_results([ours], [theirs])
    theirs.counts_G3K[3, TRUE] += (1, -1)  # one pixel has another class
    with pytest.raises(
        PipelineError, match=r"^a and b were scored on different labels, .*; evaluate both on the same m"
    ):
        compare_results([ours], [theirs])


def test_sides_without_a_common_seed_are_refused() -> None:
    with pytest.raises(PipelineError, match=r"^no seed occurs in both: \[1\] and \[2\]"):
        compare_results([result("a", 1, 0.5)], [result("b", 2, 0.5)])


def test_a_seed_twice_on_one_side_is_refused() -> None:
    with pytest.raises(PipelineError, match=r"^a and c both have seed 1; name only one of them$"):
        compare_results([result("a", 1, 0.5), result("c", 1, 0.5)], [result("b", 1, 0.5)])
