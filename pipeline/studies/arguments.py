"""The command line that `sweep` and `report` have in common: which runs."""

import argparse
import fnmatch
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import yaml

from pipeline.core.choices import invalid_choice
from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE, read_yaml
from pipeline.studies.study import OWN_KEYS, Run, Study, built_in, load_settings, load_study, plan
from pipeline.studies.values import Overrides

EXPONENT = re.compile(r"[-+]?\d+(\.\d*)?[eE][-+]?\d+")
"""Numbers such as 1e-4, which are text in YAML."""


def add_study_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that `planned` reads."""
    parser.add_argument(
        "studies", nargs="*", metavar="STUDY", help=f"{', '.join(built_in())} (default: all of these), or a .yaml file"
    )
    parser.add_argument("--settings", metavar="NAME", help="overrides of each study: paper, sample, or a .yaml file")
    parser.add_argument(
        *("--set", "-S"),
        action="append",
        default=[],
        metavar="KEY=VALUE",
        dest="overrides",
        help="a key of params.yaml, such as train.epochs=20",
    )
    parser.add_argument("--seeds", type=int, default=1, metavar="N", help="trainings of each arm, with seed 1, 2, …")
    parser.add_argument(
        "--folds", type=int, default=1, metavar="K", help="folds of each seed; needs split.strategy=scene"
    )
    parser.add_argument("--only", action="append", default=[], metavar="PATTERN", help="arms such as focal-*")


def planned(arguments: argparse.Namespace) -> dict[str, tuple[Study, list[Run]]]:
    """List the runs of each study that was given; of all built-in studies by default.

    Raises:
        PipelineError: a study, settings, an override, a number or a pattern is not valid.
    """
    for option in ("seeds", "folds"):
        if getattr(arguments, option) < 1:
            raise PipelineError(f"--{option} is {getattr(arguments, option)}; give 1 or more")
    settings = load_settings(arguments.settings) if arguments.settings else None
    given = parse_overrides(arguments.overrides)
    params = read_yaml(PARAMS_FILE)
    if params["split"]["fold"] != "none":
        raise PipelineError(f"split.fold of {PARAMS_FILE} is {params['split']['fold']!r}; set it to none: use --folds")
    studies: dict[str, tuple[Study, list[Run]]] = {}
    for text in arguments.studies or built_in():
        name, study = load_study(text)
        if name in studies:
            raise PipelineError(f"two studies have the name {name}; give one of them, or rename a file")
        overrides = (settings.of(name) if settings else {}) | given
        runs = plan(name, study, overrides, arguments.seeds, arguments.folds)
        studies[name] = study, [replace(run, overrides=with_absolute_paths(run.overrides, params)) for run in runs]
    return choose_arms(studies, arguments.only)


def with_absolute_paths(overrides: Overrides, params: Mapping[str, Any]) -> Overrides:
    """Make paths of the user's files absolute, since experiments run in clones, which have only what Git has.

    Args:
        overrides: by dotted key.
        params: contents of params.yaml.
    """
    files = {}
    for dataset, settings in params["download"].items():
        key = f"download.{dataset}"
        path = overrides.get(f"{key}.path", settings["path"])
        if overrides.get(f"{key}.source", settings["source"]) == "local" or Path(path).is_file():
            files[f"{key}.path"] = path
    weights = overrides.get("encoder_weights", params["encoder_weights"])
    if Path(weights).is_file():
        files["encoder_weights"] = weights
    return overrides | {key: str(Path(path).absolute()) for key, path in files.items()}


def parse_overrides(texts: list[str]) -> Overrides:
    """Parse `KEY=VALUE`, where the value is YAML.

    Raises:
        PipelineError: a text is not of this form, or sets what other options set.
    """
    overrides: Overrides = {}
    for text in texts:
        key, equals, value = text.partition("=")
        if not (key and equals):
            raise PipelineError(f"--set is {text!r}; give KEY=VALUE, such as train.epochs=20")
        if key in OWN_KEYS:
            raise PipelineError(f"--set {key}: use --seeds and --folds")
        try:
            overrides[key] = float(value) if EXPONENT.fullmatch(value) else yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise PipelineError(f"--set {text}: the value is not valid YAML ({' '.join(str(error).split())})") from None
    return overrides


def choose_arms(
    planned: Mapping[str, tuple[Study, list[Run]]], patterns: list[str]
) -> dict[str, tuple[Study, list[Run]]]:
    """Keep the arms that match a pattern, in whichever study; leave out studies that have none of them.

    Raises:
        PipelineError: a pattern matches no arm.
    """
    arms = sorted({run.arm.name for _, runs in planned.values() for run in runs})
    for pattern in patterns:
        if not fnmatch.filter(arms, pattern):
            raise PipelineError(invalid_choice("--only", pattern, arms))
    chosen = {arm for pattern in patterns or ["*"] for arm in fnmatch.filter(arms, pattern)}
    kept = {name: (study, [run for run in runs if run.arm.name in chosen]) for name, (study, runs) in planned.items()}
    return {name: (study, runs) for name, (study, runs) in kept.items() if runs}
