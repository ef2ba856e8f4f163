"""Run experiments in clones of the repository that share its cache, each in one at a time.

Not `dvc queue`: of two workers of which one is killed it loses a task, which stays "Running" and is not retried. Here a
clone is locked by the `dvc` that runs in it, which holds the lock after its sweep was killed, and a finished experiment
stays in the clone until it is collected.
"""

import fcntl
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from configparser import RawConfigParser
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import yaml
from dvc.utils.hydra import apply_overrides

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path
from pipeline.core.params import PARAMS_FILE, read_yaml
from pipeline.studies.study import Overrides, Run

EXPERIMENT_REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/\S+")
"""Not the refs that DVC keeps beside them: `refs/exps/stash`, `refs/exps/exec/…`."""
TARGET = "evaluate"
LOCAL_CONFIG = ".dvc/config.local"
DATA_SECTIONS = ("dataset", "on_error", "bands", "download", "cloud_filter", "tif_to_png", "tile")
"""Sections of params.yaml that determine the chips."""
POLL = 1.0
"""Seconds between attempts to lock a clone."""


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
        with self._open_lock() as lock:
            if not _try_lock(lock):
                return lock.read().strip()
            self.collect()
            return None

    @contextmanager
    def locked(self) -> Iterator[IO[str]]:
        """Wait until no `dvc` runs in the clone, and keep others out."""
        with self._open_lock() as lock:
            while not _try_lock(lock):
                time.sleep(POLL)
            yield lock

    def prepare(self) -> None:
        """Make the clone, or reset it, at the commit; what stages wrote stays."""
        if not (self.folder / ".git").is_dir():
            with atomic_path(self.folder) as partial:
                git(self.clones.root, "clone", "--quiet", "--no-checkout", str(self.clones.root), str(partial))
        git(self.folder, "fetch", "--quiet", "origin", "HEAD")
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
            self.prepare()
            self._prepare_chips(lock, run)
            options = [option for text in override_texts(run.overrides) for option in ("-S", text)]
            self._dvc([lock], run.name, "exp", "run", "--name", run.name, *options, TARGET)
            self.collect()

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
            self._dvc([lock, turn], run.name, "repro", stage)
        git(self.folder, "checkout", "--quiet", "--force", self.clones.commit)
        self._chips = overrides

    def _dvc(self, locks: Sequence[IO[str]], name: str, *arguments: str) -> None:
        """Run DVC in the clone.

        Args:
            locks: held until it ends; the first is that of the clone, and gets the name.
            name: of the run, and of its log.
            arguments: of `dvc`.

        Raises:
            PipelineError: it failed.
        """
        lock = locks[0]
        lock.seek(0)
        lock.truncate()
        lock.write(name)
        lock.flush()
        log = self.clones.folder / "logs" / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("w") as output:
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
            raise PipelineError(f"{name} failed: {failure(log.read_text(errors='replace'))}; its log: {log}")

    def _open_lock(self) -> IO[str]:
        self.lock_file.parent.mkdir(parents=True, exist_ok=True)
        return os.fdopen(os.open(self.lock_file, os.O_RDWR | os.O_CREAT, 0o666), "r+")


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Lock a file for the block.

    Raises:
        PipelineError: another process has locked it.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as lock:
        if not _try_lock(lock):
            raise PipelineError(f"another sweep runs in this repository (it holds {path}); wait for it, or stop it")
        yield


def override_texts(overrides: Overrides) -> list[str]:
    """Return overrides as DVC's `-S` takes them."""
    return [f"{key}={hydra(value)}" for key, value in overrides.items()]


def hydra(value: Any) -> str:
    """Return a value in the grammar of Hydra's overrides, which DVC's `-S` has.

    Raises:
        PipelineError: it is null, or of another type than the values of params.yaml.
    """
    match value:
        case bool():
            return str(value).lower()
        case int() | float():
            return repr(value)
        case str():
            return "'" + re.sub(r"(\\*)(?='|$)", r"\1\1", value).replace("'", "\\'") + "'"
        case list():
            return f"[{','.join(map(hydra, value))}]"
        case dict():
            return "{" + ",".join(f"{key}:{hydra(inner)}" for key, inner in value.items()) + "}"
    raise PipelineError(
        f"{yaml.safe_dump(value).split(chr(10))[0]} is no value of a parameter; write none for nothing, "
        "and dates in quotes"
    )


def failure(log: str) -> str:
    """Return the line of a log that names the error: the stage's own, else the last."""
    lines = [line.strip() for line in log.splitlines() if line.strip()]
    errors = [line for line in lines if ": error: " in line] or lines[-1:] or ["no output"]
    return errors[-1]


def git(folder: Path, *arguments: str) -> str:
    """Run git.

    Raises:
        PipelineError: it failed.
    """
    run = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, text=True, check=False)
    if run.returncode:
        raise PipelineError(f"git {arguments[0]} in {folder}: {' '.join(run.stderr.split())}")
    return run.stdout.strip()


def _try_lock(lock: IO[str]) -> bool:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
