"""Save and resume interrupted trainings, outside DVC's outputs.

DVC removes a stage's outputs before it runs the stage, so checkpoints are kept in `PIPELINE_CACHE`, in a folder named
after a fingerprint of everything that could change the result: other params, chips or code never resume them.
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
from pipeline.learning.distributed import SINGLE_PROCESS, ProcessGroup

LOCK_TIMEOUT = 30.0
"""Seconds to wait for another process with the same training, whose parent may just have died."""


class Checkpoint:
    """The checkpoint of one training, locked by one process or process group at a time."""

    def __init__(self, folder: Path, processes: ProcessGroup) -> None:
        self.folder, self.processes = folder, processes

    @property
    def file(self) -> Path:
        """The checkpoint of the last finished epoch."""
        return self.folder / "epoch.ckpt"

    def resumable(self) -> Path | None:
        """Return the file to resume from, if there is one that can be read."""
        if not self.file.is_file():
            return None
        try:
            epoch = torch.load(self.file, map_location="cpu", weights_only=True)["epoch"] + 1
        except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError) as error:
            self._print(f"cannot read the checkpoint {self.file} ({type(error).__name__}); starting from scratch")
            return None
        self._print(f"resuming after epoch {epoch} of an interrupted run")
        return self.file

    def _print(self, text: str) -> None:
        if self.processes.is_rank_zero:
            print(f"train: {text}", flush=True)


class SaveCheckpoint(L.Callback):
    """Save a checkpoint after each epoch; must be the last callback, to include the state of the others."""

    def __init__(self, checkpoint: Checkpoint) -> None:
        self.checkpoint = checkpoint

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Save; only the scheduler's step is missing, which Lightning makes up for when it resumes."""
        trainer.save_checkpoint(self.checkpoint.file)


class AtomicCheckpointIO(TorchCheckpointIO):
    """Stream checkpoints to a temporary file and rename it.

    Lightning's own way serialises to memory and copies the buffer twice, which takes four times as long.
    """

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Write `path`.

        Raises:
            PipelineError: it cannot be written, for example to a full disk.
        """
        partial = Path(path).with_suffix(".partial")
        try:
            torch.save(checkpoint, partial)
            with partial.open("rb") as file:
                os.fsync(file.fileno())
            partial.rename(path)
        except (OSError, RuntimeError) as error:  # torch reports a full disk as a RuntimeError
            partial.unlink(missing_ok=True)
            raise PipelineError(
                f"cannot write the checkpoint {path} ({str(error).splitlines()[0]}); free disk space, or set "
                "PIPELINE_CACHE to a folder on a larger disk"
            ) from None


@contextmanager
def locked_checkpoint(fingerprint: str, processes: ProcessGroup = SINGLE_PROCESS) -> Iterator[Checkpoint]:
    """Lock the checkpoint of the training with this fingerprint; remove it when the block succeeds.

    Rank 0 holds the lock and removes the checkpoint.

    Raises:
        PipelineError: another process keeps the lock.
    """
    root = cache_folder() / "training"
    folder = root / fingerprint
    checkpoint = Checkpoint(folder, processes)
    if not processes.is_rank_zero:
        yield checkpoint
        return
    with _lock(folder):
        others = [other for other in root.glob("*/epoch.ckpt") if other.parent != folder]
        if others and not checkpoint.file.exists():
            print(
                f"train: starting from scratch; {len(others)} interrupted or running trainings in {root} have other "
                "params, chips or code",
                flush=True,
            )
        yield checkpoint
        remove(folder)


@contextmanager
def _lock(folder: Path) -> Iterator[None]:
    while True:
        folder.mkdir(parents=True, exist_ok=True)
        with (folder / "lock").open("w") as lock:
            _acquire(lock.fileno(), folder)
            # a training that succeeds removes the folder with the lock that others wait for
            if _is_same_file(folder / "lock", lock.fileno()):
                yield
                return


def _is_same_file(path: Path, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _acquire(lock: int, folder: Path) -> None:
    deadline = time.monotonic() + LOCK_TIMEOUT
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)  # released when the process ends, however it ends
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise PipelineError(
                    f"another process runs the same training and holds {folder / 'lock'}; wait for it, or stop it "
                    "(`fuser` prints its process id)"
                ) from None
            time.sleep(0.2)
