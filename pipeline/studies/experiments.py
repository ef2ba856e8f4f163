"""The experiments of a repository, read through DVC."""

from dataclasses import dataclass
from typing import Literal

from dvc.repo import Repo

from pipeline.studies.study import Run

State = Literal["done", "outdated", "missing"]


@dataclass(frozen=True)
class Experiment:
    """An experiment in the repository."""

    name: str
    rev: str
    """Its commit."""


class Experiments:
    """All experiments of a repository, of every commit."""

    def __init__(self, repo: Repo) -> None:
        self.repo = repo

    def done(self, run: Run) -> Experiment | None:
        """Return the experiment that is this run with today's code, params and data."""
        raise NotImplementedError

    def state(self, run: Run) -> State:
        """Return whether the run is done, or was with other code, params or data."""
        raise NotImplementedError

    def read(self, rev: str, path: str) -> bytes:
        """Return a file of an experiment, from Git or from DVC's cache.

        Raises:
            FileNotFoundError: it is in neither.
        """
        raise NotImplementedError
