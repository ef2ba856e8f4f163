"""Run experiments in clones of the repository that share its cache, each in one at a time.

Not `dvc exp run --temp`: it runs the working tree with its edits, not the commit. Not `dvc queue`: of two workers of
which one is killed it loses a task, which stays "Running" and is not retried. Here a clone is locked by the `dvc` that
runs in it, which holds the lock after its sweep was killed, and a finished experiment stays in the clone until it is
collected.
"""

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from configparser import RawConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from dvc.repo import Repo
from dvc.utils.hydra import apply_overrides

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path
from pipeline.core.fingerprint import digest
from pipeline.core.params import PARAMS_FILE, read_yaml
from pipeline.studies.study import Run
from pipeline.studies.values import Overrides, override_texts

EXPERIMENT_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/\S+")
"""Not the refs that DVC keeps beside them: `refs/exps/stash`, `refs/exps/exec/…`."""
TARGET = "evaluate"
LOCAL_CONFIG = ".dvc/config.local"
DATA_SECTIONS = ("dataset", "on_error", "bands", "download", "cloud_filter", "tif_to_png", "tile")
"""Sections of params.yaml that determine the chips."""


@dataclass(frozen=True)
class Clones:
    """The clones of a repository in which experiments run."""

    root: Path
    """The repository."""
    commit: str
    """What the experiments are based on."""
    folder: Path
    """The clones, their locks and logs."""
    cache: Path
    """DVC's cache."""
    environment: dict[str, str]
    pull: tuple[str, ...] = ()
    """Options of `dvc repro` and `dvc exp run`, to take from a remote what the cache lacks."""

    @classmethod
    def of(cls, repo: Repo, commit: str) -> "Clones":
        """Place the clones of a repository in its cache folder."""
        root, cache = Path(repo.root_dir), cache_folder().resolve()
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"
        environment = os.environ | {"PATH": path, "PIPELINE_CACHE": str(cache)}
        folder = cache / "sweep" / digest(str(root))[:8]
        return cls(root, commit, folder, Path(repo.cache.local_cache_dir), environment)

    @property
    def numbers(self) -> list[int]:
        """The clones that exist, from 1."""
        return sorted(int(path.name) for path in self.folder.glob("[0-9]*") if path.name.isdigit())


class Worker:
    """A clone, and the experiment that runs in it."""

    def __init__(self, clones: Clones, number: int, environment: dict[str, str]) -> None:
        self.clones, self.number = clones, number
        self.folder = clones.folder / str(number)
        self.environment = clones.environment | environment
        self._chips: Overrides | None = None
        self.running = self._left_running()
        """The run that an interrupted sweep left running in the clone."""

    @property
    def lock_file(self) -> Path:
        """Locked while a `dvc` runs in the clone; contains the name of its run."""
        return self.clones.folder / f"{self.number}.lock"

    def _left_running(self) -> str | None:
        """Return the name of the run in the clone; if there is none, collect what has finished."""
        with self.open_lock() as lock:
            if not try_lock(lock):
                return lock.read().strip()
            self.collect()
            return None

    @contextmanager
    def locked(self) -> Iterator[IO[str]]:
        """Wait until no `dvc` runs in the clone, and keep others out."""
        with self.open_lock() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield lock

    def prepare(self) -> None:
        """Make the clone, or reset it, at the commit; what stages wrote stays."""
        if not (self.folder / ".git").is_dir():
            with atomic_path(self.folder) as partial:
                git(self.clones.root, "clone", "--quiet", "--no-checkout", str(self.clones.root), str(partial))
        git(self.folder, "fetch", "--quiet", "origin", self.clones.commit)  # by now HEAD may be on another branch
        git(self.folder, "checkout", "--quiet", "--force", "--detach", self.clones.commit)
        git(self.folder, "clean", "--quiet", "--force", "-d")
        for key in ("user.name", "user.email"):  # clones do not have what only the repository sets
            if value := git(self.clones.root, "config", "--default", "", "--get", key):
                git(self.folder, "config", key, value)
        for stale in (self.folder / ".dvc" / "tmp").glob("**/rwlock"):  # of a killed dvc, whose PID may be in use again
            stale.unlink()
        self._write_config()

    def _write_config(self) -> None:
        """Copy the local configuration, with the shared cache; DVC's own writer only writes ASCII."""
        config = RawConfigParser()
        config.read(self.clones.root / LOCAL_CONFIG, encoding="utf-8")
        if not config.has_section("cache"):
            config.add_section("cache")
        config.set("cache", "dir", f"'{self.clones.cache}'")
        with (self.folder / LOCAL_CONFIG).open("w", encoding="utf-8") as file:
            config.write(file)

    def collect(self) -> None:
        """Move the finished experiments of the clone to the repository."""
        if not (self.folder / ".git").is_dir():
            return
        refs = git(self.folder, "for-each-ref", "--format=%(refname)", "refs/exps").split()
        for ref in filter(EXPERIMENT_REF.fullmatch, refs):
            git(self.folder, "push", "--quiet", "--force", str(self.clones.root), f"{ref}:{ref}")
            git(self.folder, "update-ref", "-d", ref)

    def run(self, run: Run) -> None:
        """Run an experiment and collect it.

        Raises:
            PipelineError: it failed.
        """
        with self.locked() as lock:
            self.run_locked(run, lock)
            self.collect()

    def run_locked(self, run: Run, lock: IO[str]) -> None:
        """Run an experiment, which stays in the clone, under the clone's lock.

        Raises:
            PipelineError: it failed.
        """
        self.prepare()
        self.log(run).unlink(missing_ok=True)
        self._prepare_chips(lock, run)
        options = [option for text in override_texts(run.overrides) for option in ("-S", text)]
        self.dvc([lock], run, "exp", "run", *self.clones.pull, "--name", run.name, *options, TARGET)

    def log(self, run: Run) -> Path:
        """Return the log of a run."""
        return self.clones.folder / "logs" / f"{run.name}.log"

    def _prepare_chips(self, lock: IO[str], run: Run) -> None:
        """Make the chips, or take them from the cache; one worker at a time, lest two download the same archive."""
        overrides = {key: value for key, value in run.overrides.items() if key.split(".")[0] in DATA_SECTIONS}
        if overrides == self._chips:
            return
        params = self.folder / PARAMS_FILE
        apply_overrides(params, override_texts(overrides))
        dataset = read_yaml(params)["dataset"]
        with (self.clones.folder / "chips.lock").open("w") as turn:
            fcntl.flock(turn, fcntl.LOCK_EX)
            stage = "tile" if dataset == "landcoverai" else f"tif_to_png@{dataset}"
            self.dvc([lock, turn], run, "repro", *self.clones.pull, stage)
        git(self.folder, "checkout", "--quiet", "--force", self.clones.commit)
        self._chips = overrides

    def dvc(self, locks: Sequence[IO[str]], run: Run, *arguments: str) -> None:
        """Run DVC in the clone, with its output in the log of the run.

        Args:
            locks: held until it ends; the first is that of the clone, and gets the name of the run.
            run: what it is part of.
            arguments: of `dvc`.

        Raises:
            PipelineError: it failed.
        """
        name_run(locks[0], run)
        log = self.log(run)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("a") as output:
            # the child holds the locks until it ends, even if this process is killed
            code = subprocess.run(
                [sys.executable, "-m", "dvc", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                pass_fds=[each.fileno() for each in locks],
                check=False,
            ).returncode
        if code:
            raise PipelineError(f"{run.name} failed: {failure(log.read_text(errors='replace'))}; its log: {log}")

    def open_lock(self) -> IO[str]:
        """Open the lock file, without locking it."""
        self.lock_file.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o666), "r+")


def name_run(lock: IO[str], run: Run) -> None:
    """Write the name of a run to the lock file of its clone."""
    lock.seek(0)
    lock.truncate()
    lock.write(run.name)
    lock.flush()


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lock a file for the block.

    Raises:
        PipelineError: another process has locked it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        if not try_lock(lock):
            raise PipelineError(f"another sweep runs in this repository (it holds {path}); wait for it, or stop it")
        yield


def require_identity(root: Path) -> None:
    """Check that Git can commit.

    Raises:
        PipelineError: Git has no name and address for commits.
    """
    try:
        git(root, "var", "GIT_COMMITTER_IDENT")
    except PipelineError:
        raise PipelineError(
            "Git has no name and address for commits, and DVC commits experiments: git config user.name NAME; git "
            "config user.email ADDRESS"
        ) from None


def failure(log: str) -> str:
    """Return the line of a log that names the error: the stage's own, else DVC's, else the last."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if ": error: " in line] or [line for line in lines if line.startswith("ERROR: ")]
    return (errors or lines or ["no output"])[-1]


def git(folder: Path, *arguments: str) -> str:
    """Run git.

    Raises:
        PipelineError: it failed.
    """
    run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise PipelineError(f"git {arguments[0]} in {folder}: {' '.join(run.stderr.split())}")
    return run.stdout.strip()


def try_lock(lock: IO[str]) -> bool:
    """Lock a file unless another process has; return whether it is locked."""
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
