"""Compare trainings: paired difference of mean IoU, interval, verdict.

python -m pipeline.compare A B          # two revisions or experiments; `workspace` is the working tree
python -m pipeline.compare 'ce-*' 'dice-*'          # sets of experiments, paired by seed, folds pooled
python -m pipeline.compare ce-1,ce-2 dice-1,dice-2
"""

import argparse
from fnmatch import fnmatchcase

from dvc.api import read
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError

from pipeline.core.cli import one_line_errors
from pipeline.core.errors import PipelineError
from pipeline.evaluation.verdict import Comparison, Result, compare_results, pool_by_seed
from pipeline.studies.result import parse_result

WORKSPACE = "workspace"
FILES = ("metrics/evaluate.json", "metrics/units.csv")


def expand_names(text: str, experiments: list[str]) -> list[str]:
    """Split one side at commas, and expand patterns with `*` to the experiments that match.

    Raises:
        PipelineError: no name at all, or a pattern that matches no experiment.
    """
    names: list[str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        matches = sorted(name for name in experiments if fnmatchcase(name, part)) if "*" in part else [part]
        if not matches:
            raise PipelineError(
                f"no experiment matches {part!r}; there are: {', '.join(sorted(experiments)) or 'none'}"
            )
        names += matches
    if not names:
        raise PipelineError(f"{text!r} contains no name; give revisions, experiments or 'workspace'")
    return names


def list_experiments() -> list[str]:
    """List the experiments of the checked-out commit.

    Raises:
        PipelineError: not in a DVC repository with a commit.
    """
    try:
        with Repo() as repo:
            listed = repo.experiments.ls()
    except (DvcException, SCMError) as error:
        raise PipelineError(
            f"cannot list experiments ({' '.join(str(error).split())}); run this in a checkout of the project, or name "
            "what to compare without *"
        ) from None
    return [name for experiments in listed.values() for name, _ in experiments]


def load_result(name: str) -> Result:
    """Read what `evaluate` wrote at a revision.

    Raises:
        PipelineError: no such revision, or no scores in it.
    """
    rev = None if name == WORKSPACE else name
    try:
        evaluate, units = (read(path, rev=rev, encoding="utf-8") for path in FILES)
    except (DvcException, SCMError, OSError) as error:
        raise PipelineError(
            f"{name}: cannot read its scores ({' '.join(str(error).split())}); "
            "name a revision or an experiment with metrics/evaluate.json and metrics/units.csv, or 'workspace'"
        ) from None
    return parse_result(name, evaluate, units)


def report_lines(
    sides: tuple[str, str], results: tuple[list[Result], list[Result]], comparison: Comparison
) -> list[str]:
    """Format the comparison as lines of text; `results` with their folds pooled."""
    lines = []
    for side, of_side in zip(sides, results, strict=True):
        scores = ", ".join(f"{result.mean_iou:.4f} (seed {result.seed})" for result in of_side)
        lines.append(f"{side}: mean IoU {scores}")
    interval = comparison.interval.describe("+.4f") if comparison.interval else "no interval"
    seeds = len(comparison.seeds)
    folds = f"{comparison.folds} folds pooled, " if comparison.folds > 1 else ""
    count = f"{comparison.groups} groups, {folds}{seeds} paired seed{'s' * (seeds != 1)}"
    lines.append(f"{sides[1]} - {sides[0]}: {comparison.difference:+.4f}, {interval} ({count})")
    verdicts = {
        "first": f"{sides[0]} is better",
        "second": f"{sides[1]} is better",
        "neither": "no significant difference: the interval contains 0",
    }
    verdict = verdicts.get(comparison.verdict, comparison.verdict)
    return [*lines, *precision_note(results), f"verdict: {verdict}"]


def precision_note(results: tuple[list[Result], list[Result]]) -> list[str]:
    """Report scores computed in different precisions, which differ slightly for that reason alone."""
    by_precision: dict[str, list[str]] = {}
    for result in (*results[0], *results[1]):
        by_precision.setdefault(result.precision, []).append(result.name)
    if len(by_precision) == 1:
        return []
    parts = (f"{precision}: {', '.join(names)}" for precision, names in sorted(by_precision.items()))
    return ["note: scored in " + "; ".join(parts)]


def main() -> None:
    """Compare the two sides named on the command line."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.compare", description="Compare trainings by mean IoU.")
    for name in ("a", "b"):
        parser.add_argument(name, help="a revision or experiment; several with commas, or a pattern such as 'ce-*'")
    arguments = parser.parse_args()
    sides = (arguments.a, arguments.b)
    with one_line_errors("compare"):
        experiments = list_experiments() if "*" in "".join(sides) else []
        results = (
            pool_by_seed([load_result(name) for name in expand_names(sides[0], experiments)]),
            pool_by_seed([load_result(name) for name in expand_names(sides[1], experiments)]),
        )
        print("\n".join(report_lines(sides, results, compare_results(*results))))


if __name__ == "__main__":
    main()
