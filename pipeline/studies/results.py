"""The finished runs of a study, read from their experiments, and the means of an arm."""

import csv
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import product
from statistics import mean
from typing import Any, Literal

import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE
from pipeline.evaluation.verdict import Result, pool_by_seed
from pipeline.scoring.scores import class_scores, scores
from pipeline.studies.experiments import LOCK, Experiment, Experiments
from pipeline.studies.result import parse_result
from pipeline.studies.study import Arm, Run, Study
from pipeline.studies.values import look_up

CURVES = ("mean_iou", "loss", "f_score")
PARTS = ("train", "val")
CURVES_FOLDER = "plots/train/plots/metrics"
File = Literal["evaluate", "cost", "split"]
Curve = tuple[tuple[int, float], ...]
"""Epoch, from 1, and value."""


@dataclass(frozen=True)
class Finished:
    """A run that is done."""

    run: Run
    experiment: Experiment
    params: dict[str, Any]
    """params.yaml of the experiment."""
    result: Result
    evaluate: dict[str, Any]
    """metrics/evaluate.json."""
    cost: dict[str, Any] = field(default_factory=dict)
    """metrics/cost.json; empty if it is missing, as the following."""
    split: dict[str, Any] = field(default_factory=dict)
    """metrics/split/D.json."""
    data: str = ""
    """MD5 of the chips, from dvc.lock."""
    curves: dict[tuple[str, str], Curve] = field(default_factory=dict)
    """From part and score to the curve over the epochs."""

    @property
    def dataset(self) -> str:
        """The dataset it was trained on."""
        return str(self.params["dataset"])

    @property
    def synthetic(self) -> bool:
        """Whether the images are synthetic."""
        return bool(self.evaluate.get("synthetic"))

    @property
    def data_source(self) -> str:
        """Dataset and source, and whether it is synthetic."""
        source = self.evaluate.get("source") or look_up(self.params, "download", self.dataset, "source")
        return f"{self.dataset}, {source or 'source not recorded'}{', synthetic' if self.synthetic else ''}"

    @property
    def has_all_chips(self) -> bool:
        """Whether it was trained on all training chips of the split."""
        section = {"skew.class": "none", "subsample": "none", "neighbours": "any"}
        return all(look_up(self.params, "split", *key.split(".")) == value for key, value in section.items())


@dataclass(frozen=True)
class ArmResults:
    """The runs of an arm."""

    arm: Arm
    runs: tuple[Run, ...]
    finished: tuple[Finished, ...]
    outdated: int = 0
    """Runs that were done with other code, params or data."""
    problems: tuple[str, ...] = ()
    """Why experiments could not be read."""

    @property
    def synthetic(self) -> bool:
        """Whether any image is synthetic."""
        return any(each.synthetic for each in self.finished)

    @property
    def progress(self) -> str:
        """How many runs are done."""
        text = f"{len(self.finished)} of {len(self.runs)} run{'s' * (len(self.runs) != 1)}"
        return f"{text}, {self.outdated} outdated" if self.outdated else text

    @property
    def by_seed(self) -> list[Result]:
        """A result for each seed, pooled over its folds; without seeds that lack a fold."""
        results = []
        for seed in dict.fromkeys(run.seed for run in self.runs):
            planned = [run for run in self.runs if run.seed == seed]
            done = [each.result for each in self.finished if each.run.seed == seed]
            if len(done) == len(planned):
                results += pool_by_seed(done)
        return results

    def of_class(self, name: str, score: str) -> list[float]:
        """Return a score of a class for each seed, without seeds whose test chips have no pixel of it.

        Args:
            name: of the class.
            score: `iou`, or a key of `class_scores`.
        """
        found = []
        for result in self.by_seed:
            counts_3K = result.counts_G3K.sum(axis=0)
            iou, others = scores(counts_3K, result.classes)["iou"], class_scores(counts_3K, result.classes)
            found.append(iou.get(name) if score == "iou" else look_up(others, name, score))
        return [float(value) for value in found if value is not None]

    def values(self, file: File, *keys: str) -> list[float]:
        """Return a value of each finished run, by its keys in a file, without runs that lack it."""
        found = (look_up(getattr(each, file), *keys) for each in self.finished)
        return [float(value) for value in found if value is not None]

    def mean_of(self, file: File, *keys: str) -> float | None:
        """Average a value of the finished runs; None if none has it."""
        values = self.values(file, *keys)
        return mean(values) if values else None


@dataclass(frozen=True)
class StudyResults:
    """A study with what is done of it."""

    name: str
    study: Study
    arms: tuple[ArmResults, ...]

    @property
    def finished(self) -> list[Finished]:
        """All finished runs."""
        return [each for arm in self.arms for each in arm.finished]

    @property
    def synthetic(self) -> bool:
        """Whether any image is synthetic."""
        return any(arm.synthetic for arm in self.arms)

    @property
    def runs(self) -> list[Run]:
        """All planned runs."""
        return [run for arm in self.arms for run in arm.runs]

    @property
    def folds(self) -> bool:
        """Whether the runs are folds."""
        return any(run.fold != "none" for run in self.runs)


def is_skewed(results: StudyResults) -> bool:
    """Return whether the study skews the training chips of any arm."""
    return any(run.overrides.get("split.skew.class", "none") != "none" for run in results.runs)


def read_study(name: str, study: Study, runs: Iterable[Run], experiments: Experiments) -> StudyResults:
    """Read the finished runs of a study."""
    by_arm: dict[str, list[Run]] = {}
    for run in runs:
        by_arm.setdefault(run.arm.name, []).append(run)
    arms = []
    for of_arm in by_arm.values():
        finished, problems, outdated = [], [], 0
        for run in of_arm:
            if not (experiment := experiments.done(run)):
                outdated += experiments.state(run) == "outdated"
                continue
            try:
                finished.append(read_run(run, experiment, experiments))
            except PipelineError as error:
                problems.append(str(error))
        arms.append(ArmResults(of_arm[0].arm, tuple(of_arm), tuple(finished), outdated, tuple(problems)))
    return StudyResults(name, study, tuple(arms))


def read_run(run: Run, experiment: Experiment, experiments: Experiments) -> Finished:
    """Read an experiment; what is missing beside its scores is left empty.

    Raises:
        PipelineError: its scores cannot be read.
    """

    def text(path: str) -> str:
        return experiments.read(experiment.rev, path).decode()

    def values(path: str) -> dict[str, Any]:
        try:
            return dict(json.loads(text(path)))
        except FileNotFoundError:
            return {}

    try:
        params, lock = text(str(PARAMS_FILE)), text(LOCK)
        evaluate, units = text("metrics/evaluate.json"), text("metrics/units.csv")
    except FileNotFoundError as error:
        raise PipelineError(f"{experiment.name}: {error}; dvc exp remove {experiment.name} and run it again") from None
    parsed = yaml.safe_load(params)
    dataset = str(parsed.get("dataset"))
    return Finished(
        run=run,
        experiment=experiment,
        params=parsed,
        result=parse_result(experiment.name, evaluate, units),
        evaluate=json.loads(evaluate),
        cost=values("metrics/cost.json"),
        split=values(f"metrics/split/{dataset}.json"),
        data=chips_hash(yaml.safe_load(lock), dataset),
        curves=read_curves(text),
    )


def read_curves(text: Callable[[str], str]) -> dict[tuple[str, str], Curve]:
    """Read the curves of a training.

    Args:
        text: returns the contents of a file, or raises FileNotFoundError; such curves are left out.
    """
    curves = {}
    for part, score in product(PARTS, CURVES):
        with suppress(FileNotFoundError):
            rows = csv.DictReader(text(f"{CURVES_FOLDER}/{part}/{score}.tsv").splitlines(), delimiter="\t")
            curves[part, score] = tuple((int(row["step"]), float(row[score])) for row in rows)
    return curves


def chips_hash(lock: dict[str, Any], dataset: str) -> str:
    """Return the MD5 of the chips folder that `evaluate` read; empty if a `dvc.lock` lacks it."""
    deps = lock.get("stages", {}).get("evaluate", {}).get("deps", ())
    return next((str(dep["md5"]) for dep in deps if dep["path"] == f"data/chips/{dataset}"), "")
