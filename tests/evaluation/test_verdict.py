"""One configuration is called better than another only on equal test sets, over enough seeds and groups."""

import hashlib
from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest

from pipeline.core.errors import PipelineError
from pipeline.evaluation.verdict import Result, compare_results, pool_by_seed, pool_folds
from pipeline.scoring.counts import HITS, PREDICTED, TRUE
from tests.evaluation.test_intervals import make_groups

GROUPS = tuple(f"u{number:02}" for number in range(12))


def result(name: str, seed: int, share: float) -> Result:
    spread = np.linspace(-0.05, 0.05, 12)
    return Result(name, seed, "list", ("a", "b"), GROUPS, make_groups(*(share + spread)), share, "fp32")


def trainings(name: str, share: float, seeds: int = 5) -> list[Result]:
    return [result(f"{name}-{seed}", seed, share + 0.01 * (-1) ** seed) for seed in range(seeds)]


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


def test_too_few_groups_are_undecided() -> None:
    ours, theirs = trainings("a", 0.2), trainings("b", 0.9)
    for side in (*ours, *theirs):
        side.counts_G3K[:3] = 0  # without labels
    comparison = compare_results(ours, theirs)
    assert comparison.interval is None
    assert comparison.verdict == "undecided: 9 independent groups in the test set, at least 10 are needed"


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


def in_folds(whole: Result, count: int = 3) -> list[Result]:
    """Deal the groups of a result into folds, fold 1 the groups 0, `count`, and so on."""
    return [
        replace(
            whole,
            name=f"{whole.name}-f{number}",
            test_list=f"list {number}",
            groups=whole.groups[number - 1 :: count],
            counts_G3K=whole.counts_G3K[number - 1 :: count],
            mean_iou=0.0,
            fold=f"{number}/{count}",
        )
        for number in range(1, count + 1)
    ]


def test_pooled_folds_have_the_groups_and_counts_of_all() -> None:
    # two classes; rows: true, predicted, hits
    first = np.array([[[10, 0], [8, 2], [8, 0]], [[5, 5], [5, 5], [5, 5]]])
    second = np.array([[[0, 10], [4, 6], [0, 6]]])
    folds = [
        Result("a2", 7, "y", ("field", "wood"), ("k",), second, 0.6, "bf16", "2/2"),
        Result("a1", 7, "x", ("field", "wood"), ("b", "z"), first, 0.9, "fp32", "1/2"),
    ]
    pooled = pool_folds(folds)
    assert pooled.groups == ("b", "k", "z")
    assert pooled.counts_G3K.tolist() == [first[0].tolist(), second[0].tolist(), first[1].tolist()]
    # field: 13 hits, 15 true, 17 predicted; wood: 11 hits, 15 true, 13 predicted
    assert pooled.mean_iou == pytest.approx((13 / (15 + 17 - 13) + 11 / (15 + 13 - 11)) / 2, abs=1e-6)
    assert pooled.test_list == hashlib.sha256(b"x\ny").hexdigest()
    assert (pooled.name, pooled.seed, pooled.fold, pooled.folds) == ("a1 (2 folds)", 7, None, 2)
    assert pooled.precision == "bf16 and fp32"


def test_folds_are_pooled_by_seed_and_other_results_kept() -> None:
    plain, seeds = result("p", 9, 0.5), [in_folds(result("a", seed, 0.5)) for seed in (1, 2)]
    mixed = [seeds[0][2], plain, *seeds[1], seeds[0][0], seeds[0][1]]
    assert [(pooled.name, pooled.folds) for pooled in pool_by_seed(mixed)] == [
        ("p", 1),
        ("a-f1 (3 folds)", 3),
        ("a-f1 (3 folds)", 3),
    ]


def test_pooled_folds_compare_as_one_test_set() -> None:
    worse, better = trainings("a", 0.4), trainings("b", 0.6)
    folds = ([fold for training in side for fold in in_folds(training)] for side in (worse, better))
    assert compare_results(*folds) == replace(compare_results(worse, better), folds=3)


def test_folds_of_different_splits_cannot_be_compared() -> None:
    ours, theirs = in_folds(result("a", 1, 0.4)), in_folds(result("b", 1, 0.6))
    with pytest.raises(PipelineError, match=r"^a-f1 \(3 folds\) and b-f1 \(3 folds\) were scored on different test ch"):
        compare_results(ours, [replace(theirs[0], test_list="other"), *theirs[1:]])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a[:2], "a-f1 is fold 1/3 of seed 1, and 3/3 is missing; name the experiments of all 3 folds"),
        (lambda a: a[1:2], "a-f2 is fold 2/3 of seed 1, and 1/3, 3/3 are missing; name the experiments of all 3 folds"),
        (lambda a: [*a, replace(a[0], name="c")], "a-f1 and c both are fold 1/3 of seed 1; name only one"),
        (
            lambda a: [*a[:2], replace(a[2], fold="3/4")],
            "a-f1 and a-f3 have different numbers of folds, so their folds cannot be pooled; name experiments of one "
            "dataset and one number of folds, with all folds of each seed",
        ),
        (lambda a: [*a[:2], replace(a[2], classes=("a", "c"))], "a-f1 and a-f3 have different classes, "),
        (
            lambda a: [*a[:2], replace(a[2], groups=("u00", *a[2].groups[1:]))],
            "group u00 is tested by both a-f1 and a-f3, which must be different folds of one split; train both with ",
        ),
    ],
)
def test_folds_that_are_not_one_complete_set_are_refused(
    change: Callable[[list[Result]], list[Result]], message: str
) -> None:
    with pytest.raises(PipelineError) as error:
        pool_folds(change(in_folds(result("a", 1, 0.5))))
    assert str(error.value).startswith(message)
    assert "\n" not in str(error.value)
