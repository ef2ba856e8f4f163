"""Keeps what a training needs to go on after it was killed, outside of DVC's outputs.

DVC removes a stage's outputs before it runs the stage again, so the state lies in `PIPELINE_CACHE`, under a fingerprint
of everything that could change the result: a training of other params, chips or code finds nothing and starts afresh.
"""

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import UnpicklingError
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins import TorchCheckpointIO

from pipeline.core.cache import cache_folder
from pipeline.core.errors import PipelineError
from pipeline.core.files import remove
from pipeline.learning.distributed import ALONE, Ranks

PATIENCE = 30.0
"""Seconds that a training waits for another one at the same state, whose parent may just have died."""


class State:
    """Where a training keeps itself; held by one process at a time, or by those that train together."""

    def __init__(self, folder: Path, ranks: Ranks) -> None:
        self.folder, self.ranks = folder, ranks

    @property
    def file(self) -> Path:
        """The state after the last finished epoch."""
        return self.folder / "epoch.ckpt"

    def found(self) -> Path | None:
        """The state to go on from, if there is one that can be read."""
        if not self.file.is_file():
            return None
        try:
            epoch = torch.load(self.file, map_location="cpu", weights_only=True)["epoch"] + 1
        except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as error:
            self._say(f"the state in {self.file} cannot be read ({type(error).__name__}): starts afresh")
            return None
        self._say(f"goes on after epoch {epoch}, where an earlier run of the same was interrupted")
        return self.file

    def _say(self, words: str) -> None:
        if self.ranks.first:
            print(f"train: {words}", flush=True)


class Saver(L.Callback):
    """Writes the state after each epoch; stands last among the callbacks."""

    def __init__(self, state: State) -> None:
        self.state = state

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save: the epoch is over but for the schedule's step, which Lightning makes up for when it goes on."""
        trainer.save_checkpoint(self.state.file)


class WholeFiles(TorchCheckpointIO):
    """How Lightning writes: straight to the disk and under another name until all is there.

    Its own way, which makes the file in memory and copies it twice, takes four times as long.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `path`.

        Raises:
            PipelineError: it cannot be written, such as to a full disk.
        """
        partial = Path(path).with_suffix(".partial")
        try:
            torch.save(checkpoint, partial)
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.rename(path)
        except (OSError, RuntimeError) as error:  # torch says of a full disk that some position was unexpected
            partial.unlink(missing_ok=True)
            raise PipelineError(
                f"the training's state cannot be written to {path} ({str(error).splitlines()[0]}); make room there, "
                "or name another disk in PIPELINE_CACHE"
            ) from None


@contextmanager
def resumable(fingerprint: str, ranks: Ranks = ALONE) -> Iterator[State]:
    """The state of the training with this fingerprint; when the block ends without an error it is removed.

    Of processes that train together the first holds it, and removes it.

    Raises:
        PipelineError: another process is at it, and stays there.
    """
    root = cache_folder() / "training"
    folder = root / fingerprint
    state = State(folder, ranks)
    if not ranks.first:
        yield state
        return
    with _held(folder):
        others = [other for other in root.glob("*/epoch.ckpt") if other.parent != folder]
        if others and not state.file.exists():
            print(
                f"train: starts afresh; {len(others)} interrupted or running trainings in {root} have other params, "
                "chips or code",
                flush=True,
            )
        yield state
        remove(folder)


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            _wait_for(lock.fileno(), folder)
            # success removes the folder with the file: another's, for which this one waited, too
            if _is_still_there(folder / "lock", lock.fileno()):
                yield
                return


def _is_still_there(path: Path, opened: int) -> bool:
    try:
        return os.path.samestat(os.fstat(opened), path.stat())
    except FileNotFoundError:
        return False


def _wait_for(lock: int, folder: Path) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # goes with the process, however that ends
            return
        except BlockingIOError:
            if time.monotonic() > until:
                raise PipelineError(
                    f"another process is at the very same training, and holds {folder / 'lock'}; wait for it, or "
                    "stop it (`fuser` tells its number)"
                ) from None
            time.sleep(0.2)
