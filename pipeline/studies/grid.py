"""The missing runs of a sweep as a file, a row each, which jobs on any machines run.

A row is a line of JSON, so it needs no quoting, whatever the values are.
"""

import fcntl
import platform
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import chain, count
from pathlib import Path
from typing import IO

from dvc.repo import Repo
from pydantic import TypeAdapter, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.studies.experiments import Experiment, reread
from pipeline.studies.study import Run
from pipeline.studies.workers import EXPERIMENT_REF, Clones, Worker, git, name_run, require_identity, try_lock

STDIN = Path("-")


@dataclass(frozen=True)
class Row:
    """A run, and the commit that it is based on."""

    commit: str
    run: Run


ROW = TypeAdapter(Row)


def write_grid(path: Path, rows: Iterable[Row]) -> None:
    """Write rows as lines of JSON."""
    write_text(path, "".join(f"{ROW.dump_json(row).decode()}\n" for row in rows))


def read_row(path: Path, number: int) -> Row:
    """Read a row.

    Args:
        path: of the grid, or `-` for stdin.
        number: from 1.

    Raises:
        PipelineError: there is no such row, or it is not valid.
    """
    lines = (sys.stdin.buffer.read() if path == STDIN else path.read_bytes()).splitlines()
    if not 1 <= number <= len(lines):
        raise PipelineError(f"ROW is {number}; {path} has {len(lines)} rows, numbered from 1")
    try:
        return ROW.validate_json(lines[number - 1])
    except ValidationError:
        raise PipelineError(
            f"{path}: line {number} is not a row of a grid; write it with pipeline.sweep --grid"
        ) from None


def run_row(row: Row, repo: Repo, remote: str | None) -> str:
    """Run a row in a clone on this machine unless it is done, collect it, and push it.

    Args:
        row: what to run.
        repo: the checkout.
        remote: Git remote to push the experiment to, with what it wrote if DVC has a remote; None: do not push.

    Returns:
        What is done.

    Raises:
        PipelineError: it failed.
    """
    root, run = Path(repo.root_dir), row.run
    require_identity(root)
    _require_commit(root, row.commit)
    url = remote and _absolute_url(root, remote)
    with free_worker(_clones(repo, row.commit), run) as (worker, lock):
        with reread(root, row.commit) as experiments:
            done = experiments.done(run)
        if not done:
            print(f"{run.name}: log in {worker.log(run)}", flush=True)
            worker.run_locked(run, lock)
        elif url:
            worker.prepare()
            _copy_ref(done, root, worker.folder)
        if url:
            data = () if _has_storage(repo) else ("--no-cache",)
            worker.dvc([lock], run, "exp", "push", "--force", *data, url, done.name if done else run.name)
        worker.collect()
    with reread(root, row.commit) as experiments:
        score = experiments.score(run)
    return f"{run.name}: {score}, {'was done' if done else 'done'}" + (f", pushed to {remote}" if url else "")


def _require_commit(root: Path, commit: str) -> None:
    try:
        git(root, "cat-file", "-e", f"{commit}^{{commit}}")
    except PipelineError:
        raise PipelineError(
            f"{root} does not have the commit of the grid, {commit[:10]}; run git fetch there"
        ) from None


def _absolute_url(root: Path, remote: str) -> str:
    """Return the URL of a Git remote, in a form that a clone elsewhere can use."""
    try:
        url = git(root, "remote", "get-url", "--push", remote)
    except PipelineError:
        raise PipelineError(f"--push is {remote!r}; known here: {git(root, 'remote') or 'none'}") from None
    return str((root / url).resolve()) if (root / url).exists() else url


def _clones(repo: Repo, commit: str) -> Clones:
    """Return the clones of this machine, which do not depend on locks that work across machines."""
    clones = Clones.of(repo, commit)
    folder = clones.folder / "machines" / platform.node()
    return replace(clones, folder=folder, pull=("--pull",) if _has_storage(repo) else ())


def _has_storage(repo: Repo) -> bool:
    """Return whether DVC has a default remote."""
    return bool(repo.config["core"].get("remote"))


@contextmanager
def free_worker(clones: Clones, run: Run) -> Iterator[tuple[Worker, IO[str]]]:
    """Lock the first clone that is free; if one still runs this run for a job that was killed, wait for that one."""
    others_last = sorted(clones.numbers, key=lambda number: Worker(clones, number, {}).running != run.name)
    for number in chain(others_last, count(1)):
        worker = Worker(clones, number, {})
        with worker.open_lock() as lock:
            if worker.running == run.name:
                fcntl.flock(lock, fcntl.LOCK_EX)
                worker.collect()
            elif not try_lock(lock):
                continue
            name_run(lock, run)
            yield worker, lock
            return


def _copy_ref(experiment: Experiment, root: Path, clone: Path) -> None:
    """Copy an experiment of the checkout to a clone of it."""
    refs = git(root, "for-each-ref", "--format=%(refname)", "--points-at", experiment.rev, "refs/exps").split()
    ref = next(filter(EXPERIMENT_REF.fullmatch, refs))
    git(clone, "fetch", "--quiet", "origin", f"+{ref}:{ref}")
