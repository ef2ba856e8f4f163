"""Studies: named grids of experiments, each a YAML file, with the scores that were published for them.

title: Loss functions on imbalanced data
published_as: Figure 7
set: {encoder: resnet18}                    # of every arm
grid:                                       # an arm for each combination
  loss: [focal, dice, ce]                   # values of a key of params.yaml
  data:                                     # or named settings of any keys
    full: {split.subsample: none}
    skewed: {split.skew.class: woodland}
compare: [loss]                             # axes whose values are compared in pairs
"""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from pipeline.core.choices import invalid_choice
from pipeline.core.errors import PipelineError
from pipeline.core.params import Params, read_yaml, validate
from pipeline.studies.values import Overrides

FOLDER = Path(__file__).parent
NAME = re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*")
"""Names of studies and values: parts of the names of experiments, in which DVC and Git allow few characters."""
MAX_NAME = 240
"""Characters in the name of an experiment, which becomes a file name in `.git`."""
OWN_KEYS = ("seed", "split.fold")
"""Keys that `--seeds` and `--folds` set."""


class Published(Params):
    """A score in print."""

    arm: str
    score: Literal["mean_iou", "pixel_accuracy"]
    value: float | tuple[float, float]
    """One value, or the lowest and highest of a range."""
    where: str
    """Table, figure or section."""


class Counterparts(Params):
    """Which table and figures of the study the parts of the report correspond to; empty: none."""

    table: str = ""
    mean_iou: str = ""
    """Curves of mean IoU over the epochs."""
    loss: str = ""
    f_score: str = ""
    pictures: str = ""


class Study(Params):
    """A grid of experiments, see the module's docstring."""

    title: str = Field(min_length=1)
    note: str = ""
    """Shown below the title in the report."""
    counterparts: Counterparts = Counterparts()
    overrides: Overrides = Field(default={}, alias="set")
    grid: dict[str, Annotated[list[Any], Field(min_length=1)] | dict[str, Overrides]] = Field(min_length=1)
    compare: list[str] = []
    """Axes of the grid: runs that differ in this one only are compared."""
    published: list[Published] = []
    watch: str = ""
    """A class whose IoU gets a table of its own."""

    @model_validator(mode="after")
    def _check_names(self) -> "Study":
        for axis, values in self.grid.items():
            if len(self.axis(axis)) < len(values):
                raise ValueError(f"grid.{axis}: two values have the same name; names have only a-z, 0-9 and -")
            if invalid := [name for name in self.axis(axis) if not NAME.fullmatch(name)]:
                raise ValueError(f"grid.{axis}: {invalid[0]!r} is no name; use a-z, 0-9 and - between them")
        varied = {axis: {key for values in self.axis(axis).values() for key in values} for axis in self.grid}
        for first, second in combinations(varied, 2):
            if common := sorted(varied[first] & varied[second]):
                raise ValueError(f"grid: {first} and {second} both set {common[0]}; an arm has one value of it")
        if unknown := [axis for axis in self.compare if axis not in self.grid]:
            raise ValueError(invalid_choice("compare", unknown[0], tuple(self.grid)))
        arms = [arm.name for arm in self.arms]
        if twice := [name for name, count in Counter(arms).items() if count > 1]:
            raise ValueError(f"grid: two arms have the name {twice[0]}; rename a value")
        if unknown := [score.arm for score in self.published if score.arm not in arms]:
            raise ValueError(invalid_choice("published.arm", unknown[0], arms))
        keys = {key for arm in self.arms for key in arm.overrides} | self.overrides.keys()
        if own := sorted(keys & set(OWN_KEYS)):
            raise ValueError(f"{own[0]} is not a key of a study: use --seeds and --folds")
        return self

    def axis(self, name: str) -> dict[str, Overrides]:
        """Return the settings of each value of an axis."""
        values = self.grid[name]
        if isinstance(values, dict):
            return values
        return {re.sub(r"[^a-z0-9]+", "-", str(value).lower()).strip("-"): {name: value} for value in values}

    @property
    def arms(self) -> list["Arm"]:
        """All combinations of the values of the axes, the last axis fastest."""
        axes = [list(self.axis(name).items()) for name in self.grid]
        return [
            Arm(
                dict(zip(self.grid, (name for name, _ in values), strict=True)),
                {key: value for _, overrides in values for key, value in overrides.items()},
            )
            for values in product(*axes)
        ]


@dataclass(frozen=True)
class Arm:
    """A combination of values of the axes."""

    values: Mapping[str, str]
    """From axis to the name of its value."""
    overrides: Overrides

    @property
    def name(self) -> str:
        """The names of the values, joined."""
        return self.without("")

    def without(self, axis: str) -> str:
        """Return the names of the values of the other axes, joined."""
        return "-".join(value for name, value in self.values.items() if name != axis)


@dataclass(frozen=True)
class Run:
    """One experiment of a study."""

    study: str
    arm: Arm
    seed: int
    fold: str
    """`i/k`, or `none`."""
    overrides: Overrides
    """Everything that differs from params.yaml, with seed and fold."""

    @property
    def hash(self) -> str:
        """Runs of several studies with the same overrides are the same experiment."""
        text = json.dumps(self.overrides, sort_keys=True, separators=(",", ":"), default=str)  # dates: refused later
        return hashlib.sha256(text.encode()).hexdigest()[:10]

    @property
    def name(self) -> str:
        """The name of the experiment: study, arm, seed, fold, hash."""
        fold = "" if self.fold == "none" else f"-f{self.fold.replace('/', 'of')}"
        rest = f"-{self.seed}{fold}-{self.hash}"
        return f"{self.study}-{self.arm.name}"[: MAX_NAME - len(rest)] + rest


def plan(name: str, study: Study, given: Overrides, seeds: int = 1, folds: int = 1) -> list[Run]:
    """List the runs of a study; what an arm sets takes precedence over `given`, and that over what the study sets.

    Args:
        name: of the study.
        study: its arms.
        given: overrides of all runs.
        seeds: runs of each arm, with seed 1, 2, …
        folds: of each seed; 1: not split into folds.

    Raises:
        PipelineError: `given`, from `--set` and `--settings`, sets what the study varies.
    """
    varied = {key: axis for axis in study.grid for overrides in study.axis(axis).values() for key in overrides}
    if fixed := sorted(given.keys() & varied.keys()):
        raise PipelineError(
            f"--set or --settings: {fixed[0]} is what the study {name} varies (grid.{varied[fixed[0]]}); leave it out"
        )
    runs = []
    names = ["none"] if folds == 1 else [f"{fold}/{folds}" for fold in range(1, folds + 1)]
    for seed, fold, arm in product(range(1, seeds + 1), names, study.arms):
        own = {"seed": seed} | ({} if fold == "none" else {"split.fold": fold})
        runs.append(Run(name, arm, seed, fold, study.overrides | given | arm.overrides | own))
    return runs


def load_study(name: str) -> tuple[str, Study]:
    """Read a built-in study by name, or a YAML file; return its name too.

    Raises:
        PipelineError: there is none, or it is not valid.
    """
    path = _file("STUDY", name, FOLDER, built_in())
    if not NAME.fullmatch(path.stem):
        raise PipelineError(f"{path}: the name of a study has a-z, 0-9 and - between them; rename the file")
    return path.stem, validate(Study, read_yaml(path), path)


def built_in() -> list[str]:
    """Return the names of the built-in studies, in the order of the paper."""
    order = ("table-iv", "losses", "losses-skewed", "encoders", "datasets", "leak")
    found = {path.stem for path in FOLDER.glob("*.yaml")}
    return sorted(found, key=lambda name: (order.index(name) if name in order else len(order), name))


class Settings(Params):
    """Overrides of all studies and of single ones, for `--settings`."""

    every: Overrides = {}
    studies: dict[str, Overrides] = {}

    def of(self, study: str) -> Overrides:
        """Return the overrides of a study."""
        return self.every | self.studies.get(study, {})


def load_settings(name: str) -> Settings:
    """Read built-in settings by name, or a YAML file.

    Raises:
        PipelineError: there are none, or they are not valid.
    """
    folder = FOLDER / "settings"
    path = _file("--settings", name, folder, sorted(file.stem for file in folder.glob("*.yaml")))
    return validate(Settings, read_yaml(path), path)


def _file(argument: str, text: str, folder: Path, names: Sequence[str]) -> Path:
    """Return the path of a YAML file that was given, or of the built-in one of this name."""
    path = Path(text)
    if path.suffix in (".yaml", ".yml"):
        return path
    if text not in names:
        raise PipelineError(invalid_choice(argument, text, names, "; or a .yaml file"))
    return folder / f"{text}.yaml"
