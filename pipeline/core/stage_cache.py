"""Finished results of single files, kept until their stage succeeds.

DVC removes a stage's outputs before it runs the stage, and a stage writes them whole or not at all. The result of each
scene or item is therefore kept apart, so that a run after a bad file or a kill only does the rest.

Inputs count by their SHA-256, which `download` recorded: 0.04 s of the 2.1 s of CPU time that `tile` takes for the
sample's scenes. By size and time of modification, as in DVC's own records, an edit that keeps the time would be missed,
and what `dvc checkout` writes again would be done again.
"""

import fcntl
import json
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.core.cache import cache_folder
from pipeline.core.files import read_json, remove
from pipeline.core.fingerprint import digest, loaded_code_digest, versions

RESULT = "result.json"


@dataclass(frozen=True)
class StageCache:
    """Cached results of one stage under one set of params."""

    folder: Path
    """Absolute: several machines may share it."""
    checksum: Callable[[Path], str]

    def get(self, name: str, inputs: Iterable[Path], build: Callable[[Path], Any]) -> tuple[Path, Any]:
        """Return the cached result for these inputs, built first if it is missing.

        Args:
            name: of the result; part of the cache key.
            inputs: files it is built from; their names and checksums are part of the cache key.
            build: writes files to the empty folder it is given and returns a JSON value.

        Returns:
            The folder with the files, and the value that `build` returned.

        Raises:
            PipelineError: an input has changed since it was downloaded.
        """
        folder = self.folder / digest(name, *((path.name, self.checksum(path)) for path in inputs))
        if not folder.is_dir():
            partial = Path(tempfile.mkdtemp(dir=self.folder, prefix=".partial-"))
            try:
                text = json.dumps(build(partial), allow_nan=False)
                (partial / RESULT).write_text(text, encoding="utf-8")  # the folder is renamed when it is whole
                _rename(partial, folder)
            finally:
                remove(partial)  # unless it was renamed
            return folder, json.loads(text)
        return folder, read_json(folder / RESULT)


def _rename(partial: Path, folder: Path) -> None:
    try:
        partial.rename(folder)
    except OSError:
        if not folder.is_dir():  # else a worker that was thought dead has built the same
            raise


@dataclass(frozen=True)
class CachedTask:
    """A `pipeline.core.parallel.Task` over the files of a raw folder, whose finished results are kept."""

    raw: Path
    """Absolute."""
    cache: StageCache

    @property
    def reads(self) -> tuple[Path, ...]:
        """The raw folder."""
        return (self.raw,)

    @property
    def writes(self) -> tuple[Path, ...]:
        """Nothing besides the cache folder."""
        return ()


@contextmanager
def stage_cache(stage: str, checksum: Callable[[Path], str], *settings: Any) -> Iterator[StageCache]:
    """Open the cache of `stage` under `settings`; remove it when the block succeeds.

    Other settings, code or library versions use another cache. A second process with the same ones waits.

    Args:
        stage: its name, and the dataset's if it has one.
        checksum: returns the SHA-256 of an input, or raises a PipelineError if it is not as downloaded.
        settings: everything besides its inputs that a result depends on.
    """
    root = cache_folder().absolute() / "stages" / stage
    folder = root / digest(loaded_code_digest(), versions(), *settings)
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # released when the process ends, however it ends
        folder.mkdir(exist_ok=True)
        for leftover in root.glob(f"{_dead(folder)}*"):
            remove(leftover)
        for leftover in folder.glob(".partial-*"):
            _discard(leftover, folder)
        yield StageCache(folder, checksum)
        _discard(folder, folder)


def _discard(path: Path, folder: Path) -> None:
    """Rename a folder and remove it.

    A kill then leaves nothing incomplete under its name, and a worker of a cluster that still writes to it, for a stage
    that has ended, can neither write more nor rename it.
    """
    dead = path.rename(folder.with_name(f"{_dead(folder)}{path.name}"))
    remove(dead)


def _dead(folder: Path) -> str:
    return f".{folder.name}.dead-"
