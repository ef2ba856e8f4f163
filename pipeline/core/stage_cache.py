"""Finished pieces of a stage's work, kept while the stage has not succeeded.

DVC removes a stage's outputs before it runs the stage, and a stage publishes them whole or not at all. What one scene
or item became is therefore kept apart, so that after a bad file or a kill only the rest is done again.
"""

import fcntl
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.core.cache import cache_folder
from pipeline.core.files import read_json, remove, write_json
from pipeline.core.fingerprint import code_digest, digest, versions

RESULT = "result.json"


class StageCache:
    """The kept pieces of one stage under one set of params."""

    def __init__(self, folder: Path, verified: Callable[[Path], str]) -> None:
        self.folder = folder
        self.verified = verified

    def make(self, name: str, inputs: Iterable[Path], build: Callable[[Path], Any]) -> tuple[Path, Any]:
        """A piece, from what is kept if the same inputs made it before.

        Args:
            name: of the piece; part of what its files depend on.
            inputs: the files that it is made of; their names and bytes count.
            build: writes files into the empty folder it is given; returns what JSON can hold.

        Returns:
            The folder with the files, and what `build` returned.

        Raises:
            PipelineError: an input is not what was downloaded.
        """
        folder = self.folder / digest(name, *((path.name, self.verified(path)) for path in inputs))
        if not folder.is_dir():
            partial = Path(tempfile.mkdtemp(dir=self.folder, prefix=".partial-"))
            try:
                write_json(partial / RESULT, build(partial))
                partial.rename(folder)
            finally:
                remove(partial)  # if it was not renamed
        return folder, read_json(folder / RESULT)


@contextmanager
def stage_cache(stage: str, verified: Callable[[Path], str], *settings: Any) -> Iterator[StageCache]:
    """The pieces of `stage` under `settings`; when the block ends without an error they are removed.

    StageCache of another code, of other libraries or settings are not found. A second process with the same ones waits.

    Args:
        stage: its name, with the dataset's where it has one.
        verified: gives the SHA-256 of an input, or raises a PipelineError if it is not what it should be.
        settings: all that decides what a piece becomes, beside its inputs.
    """
    root = cache_folder() / "pieces" / stage
    folder = root / digest(code_digest(), versions(), *settings)
    done = folder.with_name(f".{folder.name}.done")
    root.mkdir(parents=True, exist_ok=True)
    with (root / f"{folder.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # goes with the process, however that ends
        folder.mkdir(exist_ok=True)
        for leftover in (done, *folder.glob(".partial-*")):
            remove(leftover)
        yield StageCache(folder, verified)
        folder.rename(done)  # at once: a kill in the middle of removing leaves no half of a piece that looks whole
        remove(done)
