import json
import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from pipeline.compare import expand_names, list_experiments, load_result, precision_note, report_lines
from pipeline.core.errors import PipelineError
from pipeline.evaluation.intervals import mean_iou
from pipeline.evaluation.verdict import compare_results
from pipeline.scoring.counts import to_table
from tests.evaluation.test_intervals import BOTH, make_groups
from tests.evaluation.test_verdict import trainings

ROOT = Path(__file__).parents[1]
GROUPS = [f"u{number:02}" for number in range(12)]
GIT = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false", "-c", "core.hooksPath=/dev/null")
# a pipeline of one stage, whose "training" copies the scores that its params select
DVC_YAML = {
    "stages": {
        "evaluate": {
            "cmd": "cp -r made/${share} metrics",
            "params": ["share", "seed"],
            "outs": [{"metrics": {"cache": False}}],
        }
    }
}


def write_scores(folder: Path, share: float, groups: Sequence[str] = GROUPS, **metrics: str) -> None:
    """Write what `evaluate` does, for groups with `share` of their pixels predicted correctly."""
    folder.mkdir(parents=True, exist_ok=True)
    counts = make_groups(*[share] * len(groups))
    score = float(mean_iou(counts.sum(axis=0), BOTH))
    values = {"mean_iou": score, "iou": {"field": score, "wood": score}, "test_list": "list"} | metrics
    (folder / "evaluate.json").write_text(json.dumps(values))
    (folder / "units.csv").write_text(to_table(groups, counts, ("field", "wood")).to_csv(index=False))


def git(*arguments: str) -> None:
    subprocess.run(["git", *GIT, *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A commit that scored 0.5, tag `worse` that scored 0.2, an experiment `better-1`, and nothing at tag `empty`.

    The tags `a1`, `a2`, `b1` and `b2` are the folds of two trainings.
    """
    folder, before = tmp_path_factory.mktemp("repository"), Path.cwd()
    os.chdir(folder)
    git("init", "-q")
    git("commit", "-q", "--allow-empty", "-m", "empty")
    git("tag", "empty")
    dvc = (sys.executable, "-W", "ignore", "-m", "dvc")
    subprocess.run([*dvc, "init", "-q"], check=True)
    for share in (0.2, 0.5, 0.8):
        write_scores(folder / f"made/{share}", share)
    (folder / "dvc.yaml").write_text(yaml.safe_dump(DVC_YAML))
    for share in (0.2, 0.5):
        (folder / "params.yaml").write_text(f"share: {share}\nseed: 1\n")
        subprocess.run([*dvc, "repro", "-q"], check=True)
        git("add", "-A")
        git("commit", "-q", "-m", str(share))
        git("tag", "worse" if share == 0.2 else "middle")
    for side, share in (("a", 0.2), ("b", 0.8)):
        for number in (1, 2):
            groups, fold = GROUPS[number - 1 :: 2], {"fold": f"{number}/2", "test_list": f"list {number}"}
            write_scores(folder / "metrics", share, groups, **fold)
            git("commit", "-q", "-a", "-m", f"{side}{number}")
            git("tag", f"{side}{number}")
    git("reset", "-q", "--hard", "middle")
    named = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@b", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@b"}
    command = [*dvc, "exp", "run", "-q", "-n", "better-1", "-S", "share=0.8"]
    subprocess.run(command, check=True, env=os.environ | named)
    yield folder
    os.chdir(before)


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-W", "ignore", "-m", "pipeline.compare", *arguments]
    return subprocess.run(
        command, cwd=folder, capture_output=True, text=True, env=os.environ | {"PYTHONPATH": str(ROOT)}
    )


def test_revisions_experiments_and_the_workspace_are_read(repository: Path) -> None:
    for name, share in (("worse", 0.2), ("HEAD", 0.5), ("better-1", 0.8), ("workspace", 0.8)):
        assert load_result(name).mean_iou == pytest.approx(share / (2 - share), abs=1e-3)
        assert load_result(name).groups == tuple(GROUPS)
    assert list_experiments() == ["better-1"]


def test_the_seed_is_that_of_the_training_not_of_the_current_params(repository: Path) -> None:
    evaluate, params = Path("metrics/evaluate.json"), Path("params.yaml")
    before = evaluate.read_text(), params.read_text()
    try:
        evaluate.write_text(json.dumps(json.loads(before[0]) | {"seed": 5}))
        params.write_text(before[1].replace("seed: 1", "seed: 9"))
        assert load_result("workspace").seed == 5
        evaluate.write_text(before[0])
        assert load_result("workspace").seed == 9
    finally:
        evaluate.write_text(before[0])
        params.write_text(before[1])


def test_a_comparison_of_two_is_printed_and_undecided(repository: Path) -> None:
    done = run(repository, "worse", "better-*")
    assert (done.returncode, done.stderr) == (0, "")
    gain = 0.8 / 1.2 - 0.2 / 1.8
    assert done.stdout.splitlines() == [
        f"worse: mean IoU {0.2 / 1.8:.4f} (seed 1)",
        f"better-*: mean IoU {0.8 / 1.2:.4f} (seed 1)",
        f"better-* - worse: +{gain:.4f}, approximate 95 % interval +{gain:.4f} to +{gain:.4f}: "
        "the groups show no variation (12 groups, 1 paired seed)",
        "verdict: undecided: training noise was not sampled, 1 paired seed of at least 5",
    ]


def test_folds_are_pooled_before_a_comparison(repository: Path) -> None:
    assert load_result("a2").fold == "2/2"
    assert load_result("worse").fold is None  # the metrics of older versions lack it
    done = run(repository, "a2,a1", "b1,b2")
    assert (done.returncode, done.stderr) == (0, "")
    gain = 0.8 / 1.2 - 0.2 / 1.8
    assert done.stdout.splitlines() == [
        f"a2,a1: mean IoU {0.2 / 1.8:.4f} (seed 1)",
        f"b1,b2: mean IoU {0.8 / 1.2:.4f} (seed 1)",
        f"b1,b2 - a2,a1: +{gain:.4f}, approximate 95 % interval +{gain:.4f} to +{gain:.4f}: "
        "the groups show no variation (12 groups, 2 folds pooled, 1 paired seed)",
        "verdict: undecided: training noise was not sampled, 1 paired seed of at least 5",
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
    done = run(repository, *names)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (("a*", "b"), "compare: error: cannot list experiments (you are not inside of a DVC repository"),
        (("a", "b"), "compare: error: a: cannot read its scores ("),
    ],
)
def test_outside_a_repository_is_one_line(tmp_path: Path, names: tuple[str, str], message: str) -> None:
    done = run(tmp_path, *names)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(message)
    assert done.stderr.count("\n") == 1


def test_classes_and_groups_may_be_called_na(repository: Path) -> None:
    before = {path: path.read_text() for path in (repository / "metrics").iterdir()}
    try:
        (repository / "metrics/evaluate.json").write_text(
            before[repository / "metrics/evaluate.json"].replace('"field"', '"NA"').replace('"wood"', '"null"')
        )
        (repository / "metrics/units.csv").write_text(
            before[repository / "metrics/units.csv"]
            .replace("field", "NA")
            .replace("wood", "null")
            .replace("u03", "nan")
        )
        result = load_result("workspace")
    finally:
        for path, text in before.items():
            path.write_text(text)
    assert result.classes == ("NA", "null")
    assert result.groups == tuple(sorted([*GROUPS[:3], *GROUPS[4:], "nan"]))


def test_a_test_set_without_labels_is_one_line(repository: Path) -> None:
    path = repository / "metrics/evaluate.json"
    before = path.read_text()
    try:
        path.write_text(json.dumps(json.loads(before) | {"mean_iou": None}))
        with pytest.raises(PipelineError, match=r"^workspace: the test chips have no labelled pixel"):
            load_result("workspace")
    finally:
        path.write_text(before)


def test_names_are_separated_by_commas_and_patterns_are_sorted() -> None:
    experiments = ["ce-2", "ce-1", "dice-1"]
    assert expand_names("HEAD,ce-*", experiments) == ["HEAD", "ce-1", "ce-2"]
    with pytest.raises(PipelineError, match=r"matches 'focal-\*'; there are: ce-1, ce-2, dice-1$"):
        expand_names("focal-*", experiments)


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
    old = [replace(ours[0], precision=None)]
    assert precision_note((ours, old)) == ["note: scored in an unrecorded precision: bf16-0; bf16: bf16-0"]
