"""Compares trainings: paired difference of mean IoU, interval, verdict.

python -m pipeline.compare A B          # two revisions or experiments; `workspace` is what lies here
python -m pipeline.compare 'ce-*' 'dice-*'          # groups of experiments, paired by seed
python -m pipeline.compare ce-1,ce-2 dice-1,dice-2
"""

import argparse
import io
import json
import sys
from fnmatch import fnmatchcase

import pandas as pd
import yaml
from dvc.api import read
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.scm import SCMError

from pipeline.core.errors import PipelineError
from pipeline.core.interrupt import exit_on_interrupt
from pipeline.evaluation.verdict import Comparison, Result, compared
from pipeline.scoring.counts import from_table

WORKSPACE = "workspace"
FILES = ("metrics/evaluate.json", "metrics/units.csv", "params.yaml")


def names_of(text: str, known: list[str]) -> list[str]:
    """The revisions that one side names: separated by commas, patterns with `*` standing for known experiments.

    Raises:
        PipelineError: no name at all, or a pattern that no experiment fits.
    """
    found: list[str] = []
    for part in filter(None, map(str.strip, text.split(","))):
        fits = sorted(name for name in known if fnmatchcase(name, part)) if "*" in part else [part]
        if not fits:
            raise PipelineError(
                f"no experiment is named like {part!r}; there are: {', '.join(sorted(known)) or 'none'}"
            )
        found += fits
    if not found:
        raise PipelineError(f"{text!r} names nothing to compare; name revisions, experiments or 'workspace'")
    return found


def experiments() -> list[str]:
    """Names of the experiments of the checked-out commit.

    Raises:
        PipelineError: this is no DVC repository with a commit.
    """
    try:
        with Repo() as repo:
            listed = repo.experiments.ls()
    except (DvcException, SCMError) as error:
        raise PipelineError(
            f"no experiments can be listed ({' '.join(str(error).split())}); "
            "run from a checkout of the project, or name what to compare without *"
        ) from None
    return [name for group in listed.values() for name, _ in group]


def load(name: str) -> Result:
    """What the evaluation at a revision wrote.

    Raises:
        PipelineError: no such revision, or no scores in it.
    """
    rev = None if name == WORKSPACE else name
    try:
        evaluate, units, params = (read(path, rev=rev, encoding="utf-8") for path in FILES)
    except (DvcException, SCMError, OSError) as error:
        raise PipelineError(
            f"{name}: no scores can be read there ({' '.join(str(error).split())}); "
            "name a revision or an experiment with metrics/evaluate.json and metrics/units.csv, or 'workspace'"
        ) from None
    said = json.loads(evaluate)
    if "test_list" not in said:  # by an older version
        raise PipelineError(f"{name}: metrics/evaluate.json does not say its test list; run dvc repro there first")
    if said["mean_iou"] is None:
        raise PipelineError(f"{name}: no test pixel has a class, so there is no mean IoU; test it on labelled chips")
    classes = tuple(said["iou"])
    # a unit or class may be called NA
    table = pd.read_csv(io.StringIO(units), dtype={"unit": str, "class": str}, keep_default_na=False)
    unit_names, counts_U3K = from_table(table, classes)
    seed = said.get("seed")
    if seed is None:  # an older evaluation; in the workspace its params may have changed since
        seed = int(yaml.safe_load(params)["seed"])
    score, arithmetic = float(said["mean_iou"]), said.get("arithmetic", {}).get("scored")
    return Result(name, seed, said["test_list"], classes, tuple(unit_names), counts_U3K, score, arithmetic)


def report(sides: tuple[str, str], groups: tuple[list[Result], list[Result]], found: Comparison) -> list[str]:
    """The comparison in lines."""
    lines = []
    for side, results in zip(sides, groups, strict=True):
        scores = ", ".join(f"{one.mean_iou:.4f} (seed {one.seed})" for one in results)
        lines.append(f"{side}: mean IoU {scores}")
    interval = found.interval.in_words("+.4f") if found.interval else "no interval"
    count = f"{found.units} groups, {len(found.seeds)} paired seed{'s' * (len(found.seeds) != 1)}"
    lines.append(f"{sides[1]} - {sides[0]}: {found.difference:+.4f}, {interval} ({count})")
    words = {
        "first": f"{sides[0]} is better",
        "second": f"{sides[1]} is better",
        "neither": "no difference is shown: the interval holds 0",
    }
    return [*lines, *different_arithmetic(groups), f"verdict: {words.get(found.verdict, found.verdict)}"]


def different_arithmetic(groups: tuple[list[Result], list[Result]]) -> list[str]:
    """A line for scores that were computed in more than one arithmetic, which alone moves them a little."""
    found: dict[str, list[str]] = {}
    for one in (*groups[0], *groups[1]):
        found.setdefault(one.arithmetic or "an arithmetic that was not recorded", []).append(one.name)
    if len(found) == 1:
        return []
    return ["note: scored in " + "; ".join(f"{name}: {', '.join(ones)}" for name, ones in sorted(found.items()))]


def main() -> None:
    """Compare what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m pipeline.compare", description="Compare trainings by mean IoU.")
    for name in ("a", "b"):
        parser.add_argument(name, help="a revision or experiment; several with commas, or a pattern such as 'ce-*'")
    arguments = parser.parse_args()
    sides = (arguments.a, arguments.b)
    try:
        with exit_on_interrupt("compare"):
            known = experiments() if "*" in "".join(sides) else []
            groups = (
                [load(name) for name in names_of(sides[0], known)],
                [load(name) for name in names_of(sides[1], known)],
            )
            lines = report(sides, groups, compared(*groups))
    except PipelineError as error:
        sys.exit(f"compare: error: {error}")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
