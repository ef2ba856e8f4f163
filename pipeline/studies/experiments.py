"""The experiments of a repository, read through DVC, and which of them is a run of a study.

Not `dvc.api.exp_show`: it has those of the first parents of one revision only, seven digits of their commits, and keys
joined by dots, which are ambiguous. It takes five times as long to read 19 for the first time (10.3 to 2.0 s).
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path, PurePosixPath
from typing import Any, Literal

import yaml
from dvc.api import DVCFileSystem
from dvc.dependency import loads_from
from dvc.exceptions import DvcException
from dvc.repo import Repo
from dvc.repo.experiments.utils import exp_refs
from dvc.scm import SCMError
from dvc.stage import Stage
from dvc_data.index import DataIndexDirError

from pipeline.core.errors import PipelineError
from pipeline.core.params import PARAMS_FILE
from pipeline.studies.study import Run
from pipeline.studies.values import look_up, merged, same

State = Literal["done", "outdated", "missing"]
LOCK = "dvc.lock"
METRICS = ("metrics/summary.json", "metrics/evaluate.json", "metrics/units.csv")
"""Files of a finished run."""
LAST_STAGE = "evaluate"
UNREAD_STAGE = "check"
"""Depends on all code and params, and writes a constant."""


@dataclass(frozen=True)
class Experiment:
    """An experiment in the repository."""

    name: str
    rev: str
    """Its commit."""


class Experiments:
    """All experiments of a repository, of every commit, as they are when they are first asked for.

    Code, params and data are those of a commit: what is edited meanwhile does not matter.
    """

    def __init__(self, repo: Repo, commit: str = "HEAD") -> None:
        """Take code and params from `commit`.

        Raises:
            PipelineError: there is no such commit.
        """
        self.repo = repo
        try:
            self.commit = repo.scm.resolve_rev(commit)
        except SCMError:
            raise PipelineError("the repository has no commit; commit your files") from None
        self._filesystem = lru_cache(maxsize=8)(lambda rev: DVCFileSystem(repo.root_dir, rev=rev))
        self._stages = lru_cache(maxsize=None)(lambda rev: yaml.safe_load(self.read(rev, LOCK))["stages"])
        self._hash = lru_cache(maxsize=None)(self._current_hash)

    def done(self, run: Run) -> Experiment | None:
        """Return the experiment that is this run with the code, params and data of the commit.

        It may belong to another study that has the same overrides, and to another commit: what counts are the hashes of
        what it read and its params, both in its `dvc.lock`.
        """
        return next(filter(lambda experiment: self.is_current(experiment, run), self._named(run)), None)

    def state(self, run: Run) -> State:
        """Return whether the run is done, or was with other code, params or data."""
        return "done" if self.done(run) else "outdated" if self._named(run) else "missing"

    def score(self, run: Run) -> str:
        """Return the mean IoU of a run that has finished, as text.

        Raises:
            PipelineError: the run is not done.
        """
        found = self.done(run)
        if found is None:
            raise PipelineError(
                f"{run.name} has finished, but its dvc.lock has other code, params or data than there are now: "
                "were files edited meanwhile? Run it again"
            )
        score = json.loads(self.read(found.rev, "metrics/summary.json"))["mean_iou"]
        return "no mean IoU" if score is None else f"mean IoU {score:.4f}"

    def read(self, rev: str, path: str) -> bytes:
        """Return a file of an experiment, from Git or from DVC's cache or remote.

        Raises:
            FileNotFoundError: it is in none of them.
        """
        committed = self.repo.scm.get_fs(rev)
        if committed.exists(path):
            with committed.open(path, "rb") as file:
                return bytes(file.read())
        try:
            return bytes(self._filesystem(rev).read_bytes(path))
        except (DvcException, DataIndexDirError) as error:
            raise FileNotFoundError(f"{path} of {rev} is in neither cache nor remote: {error}") from None

    def names_in(self, rev: str, folder: str) -> list[str]:
        """Return the names of an experiment's files in a folder of DVC's, sorted; empty if there is none."""
        try:
            return sorted(PurePosixPath(path).name for path in self._filesystem(rev).ls(folder, detail=False))
        except (DvcException, FileNotFoundError):
            return []

    def is_current(self, experiment: Experiment, run: Run) -> bool:
        """Return whether an experiment has finished metrics, and read what the run would read now."""
        committed = self.repo.scm.get_fs(experiment.rev)
        if not all(committed.exists(path) for path in (LOCK, *METRICS)):
            return False
        stages = self._stages(experiment.rev)
        if LAST_STAGE not in stages:
            return False
        params = merged(self._params, run.overrides)
        for stage in upstream(stages):
            for file, values in stage.get("params", {}).items():
                if file != str(PARAMS_FILE) or not all(
                    same(value, look_up(params, *key.split("."))) for key, value in values.items()
                ):
                    return False
        return all(self._hash(path) == md5 for path, md5 in roots(stages))

    @cached_property
    def _params(self) -> dict[str, Any]:
        return dict(yaml.safe_load(self.read(self.commit, str(PARAMS_FILE))))

    @cached_property
    def _all(self) -> list[Experiment]:
        # not experiments.ls, which waits for a `dvc` that runs in the working tree, and fails after three seconds
        refs = exp_refs(self.repo.scm)
        return [Experiment(ref.name, self.repo.scm.get_ref(str(ref))) for ref in refs if ref.name]

    def _named(self, run: Run) -> list[Experiment]:
        return [experiment for experiment in self._all if experiment.name.rpartition("-")[2] == run.hash]

    def _current_hash(self, path: str) -> str | None:
        with self.repo.switch(self.commit):  # relative paths are those of the commit, absolute ones those on disk
            (dependency,) = loads_from(Stage(self.repo, path=f"{self.repo.root_dir}dvc.yaml"), [path])
            return dependency.get_hash().value if dependency.exists else None


@contextmanager
def reread(root: Path, commit: str) -> Iterator[Experiments]:
    """Open a repository anew, to read the experiments that there are by now."""
    with Repo(str(root)) as repo:
        yield Experiments(repo, commit)


def open_repository() -> Repo:
    """Open the repository of the working directory.

    Raises:
        PipelineError: it is in none.
    """
    try:
        return Repo()
    except (DvcException, SCMError) as error:
        raise PipelineError(f"{' '.join(str(error).split())}; run this in a checkout of the project") from None


def upstream(stages: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Return the stages of a `dvc.lock` that `evaluate` depends on, with itself; without `check`."""
    writers = {out["path"]: name for name, stage in stages.items() for out in stage.get("outs", ())}
    names, todo = [], [LAST_STAGE]
    while todo:
        name = todo.pop()
        if name in names or name == UNREAD_STAGE:
            continue
        names.append(name)
        todo += [writers[dep["path"]] for dep in stages[name].get("deps", ()) if dep["path"] in writers]
    return [stages[name] for name in names]


def roots(stages: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Yield path and MD5 of the code and the original data that the stages up to `evaluate` read."""
    written = {out["path"] for stage in stages.values() for out in stage.get("outs", ())}
    for stage in upstream(stages):
        for dep in stage.get("deps", ()):
            if dep["path"] not in written:
                yield dep["path"], dep["md5"]
