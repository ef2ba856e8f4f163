"""Trainings are compared as they were scored, whatever the working tree has; or one line says why not."""

from collections.abc import Iterator
from contextlib import chdir
from dataclasses import replace
from pathlib import Path

import pytest

from pipeline.compare import expand_names, list_experiments, load_result, main, precision_note, report_lines
from pipeline.evaluation.verdict import compare_results
from tests.evaluation.test_verdict import trainings
from tests.studies.made import GROUPS, write_scores
from tests.studies.world import commit, git, make_repository, run_command, run_experiments

# a pipeline of one stage, whose "training" copies scores
STAGES = {"evaluate": {"cmd": "cp -r made metrics", "params": ["loss"], "outs": [{"metrics": {"cache": False}}]}}


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A commit that scored 0.5, tag `worse` that scored 0.2, an experiment `better-1`, and nothing at tag `empty`.

    The tags `a1`, `a2`, `b1` and `b2` are the folds of two trainings.
    """
    folder = tmp_path_factory.mktemp("compare")
    write_scores(folder / "made", 0.8, seed=1)
    make_repository(folder, STAGES)
    git(folder, "tag", "empty")

    def score(tag: str, share: float, groups: list[str], **changes: str) -> None:
        write_scores(folder / "metrics", share, groups, seed=1, **changes)
        commit(folder, tag)
        git(folder, "tag", tag)

    for side, share in (("a", 0.2), ("b", 0.8)):
        for number in (1, 2):
            score(f"{side}{number}", share, GROUPS[number - 1 :: 2], fold=f"{number}/2", test_list=f"list {number}")
    score("worse", 0.2, GROUPS)
    score("middle", 0.5, GROUPS)
    run_experiments(folder, {"better-1": ["loss=dice"]})
    with chdir(folder):
        yield folder


def test_revisions_experiments_and_the_workspace_are_read(repository: Path) -> None:
    for name, share in (("worse", 0.2), ("HEAD", 0.5), ("better-1", 0.8), ("workspace", 0.5)):
        assert load_result(name).mean_iou == pytest.approx(share / (2 - share), abs=1e-3)
        assert load_result(name).groups == tuple(GROUPS)
    assert list_experiments() == ["better-1"]
    assert load_result("a2").fold == "2/2"


GAIN = 0.8 / 1.2 - 0.2 / 1.8
INTERVAL = f"approximate 95 % interval +{GAIN:.4f} to +{GAIN:.4f}: the groups show no variation"
VERDICT = "verdict: undecided: training noise was not sampled, 1 paired seed of at least 5"


def test_a_comparison_of_two_is_printed_and_undecided(repository: Path) -> None:
    assert run_command(repository, main, "worse", "better-*").splitlines() == [
        f"worse: mean IoU {0.2 / 1.8:.4f} (seed 1)",
        f"better-*: mean IoU {0.8 / 1.2:.4f} (seed 1)",
        f"better-* - worse: +{GAIN:.4f}, {INTERVAL} (12 groups, 1 paired seed)",
        VERDICT,
    ]


def test_folds_are_pooled_before_a_comparison(repository: Path) -> None:
    assert run_command(repository, main, "a2,a1", "b1,b2").splitlines() == [
        f"a2,a1: mean IoU {0.2 / 1.8:.4f} (seed 1)",
        f"b1,b2: mean IoU {0.8 / 1.2:.4f} (seed 1)",
        f"b1,b2 - a2,a1: +{GAIN:.4f}, {INTERVAL} (12 groups, 2 folds pooled, 1 paired seed)",
        VERDICT,
    ]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ("a1", "b1,b2"),
            "compare: error: a1 is fold 1/2 of seed 1, and 2/2 is missing; name the experiments of all 2",
        ),
        (("worse", "nowhere"), "compare: error: nowhere: cannot read its scores ("),
        (("empty", "worse"), "compare: error: empty: cannot read its scores ("),
        (("worse", "foc*"), "compare: error: no experiment matches 'foc*'; there are: better-1"),
        (("", "worse"), "compare: error: '' contains no name; give revisions, experiments or 'workspace'"),
        (("worse", " ,"), "compare: error: ' ,' contains no name; "),
    ],
)
def test_unreadable_revisions_are_one_line(repository: Path, names: tuple[str, str], message: str) -> None:
    assert_error(repository, names, message)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a*", "b"), "compare: error: cannot list experiments (you are not inside of a DVC repository"),
        (("a", "b"), "compare: error: a: cannot read its scores ("),
    ],
)
def test_outside_a_repository_is_one_line(tmp_path: Path, names: tuple[str, str], message: str) -> None:
    assert_error(tmp_path, names, message)


def assert_error(folder: Path, names: tuple[str, str], message: str) -> None:
    with pytest.raises(SystemExit) as raised:
        run_command(folder, main, *names)
    assert str(raised.value).startswith(message)
    assert "\n" not in str(raised.value)


def test_names_are_separated_by_commas_and_patterns_are_sorted() -> None:
    experiments = ["ce-2", "ce-1", "dice-1"]
    assert expand_names("HEAD,ce-*", experiments) == ["HEAD", "ce-1", "ce-2"]


def test_a_verdict_names_the_better_side() -> None:
    sides, results = ("ce-*", "dice-*"), (trainings("ce", 0.4), trainings("dice", 0.6))
    lines = report_lines(sides, results, compare_results(*results))
    assert lines[0].startswith("ce-*: mean IoU 0.4100 (seed 0), 0.3900 (seed 1), ")
    assert lines[-1] == "verdict: dice-* is better"
    assert report_lines(sides, results[::-1], compare_results(*results[::-1]))[-1] == "verdict: ce-* is better"
    same = (results[0], results[0])
    assert (
        report_lines(sides, same, compare_results(*same))[-1]
        == "verdict: no significant difference: the interval contains 0"
    )


def test_different_precisions_are_noted() -> None:
    ours, theirs = (
        [replace(result, precision=name) for result in trainings(name, 0.5, seeds=1)] for name in ("bf16", "fp32")
    )
    assert report_lines(("a", "b"), (ours, theirs), compare_results(ours, theirs))[-2] == (
        "note: scored in bf16: bf16-0; fp32: fp32-0"
    )
    assert precision_note((ours, ours)) == []
