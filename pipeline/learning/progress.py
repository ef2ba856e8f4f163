"""Progress of a training on the terminal or in a log, and its curves.

Not `DVCLiveLogger`: it counts optimiser steps, not epochs, rounds values to float32 (0.123456 becomes
0.12345600128173828), writes a curve of epoch numbers too, and after an interruption only the points since.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import lightning as L
from dvclive.live import Live
from rich.console import Console
from rich.progress import Progress, TextColumn

from pipeline.core.files import remove
from pipeline.learning.distributed import SINGLE_PROCESS, ProcessGroup
from pipeline.learning.fit import BestEpoch, Epoch

CURVES = ("loss", "mean_iou", "f_score")
LOG_INTERVAL = 60.0
"""Seconds between progress lines within an epoch, where there is no terminal."""


class TrainingProgress(L.Callback):
    """A progress bar on a terminal; a line and a point of each curve per epoch.

    The curves are `FOLDER/plots/metrics/{train,val}/{loss,mean_iou,f_score}.tsv`.
    """

    def __init__(self, folder: Path, chips: int, processes: ProcessGroup = SINGLE_PROCESS) -> None:
        """Write to `folder`; `chips`: training and validation chips of an epoch, across all ranks."""
        self._processes = processes
        self._live = Live(str(folder), dvcyaml=None, save_dvc_exp=False)
        self._chips = chips
        console = Console(stderr=True)
        columns = (*Progress.get_default_columns(), TextColumn("{task.fields[speed]}"))
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("train", total=chips, speed="")

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the epochs of the interrupted run that this one resumes."""
        for epoch in _epochs(trainer):
            self._write_curves(epoch)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._bar.start()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Reset the bar."""
        title = f"train: epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._bar.reset(self._task, description=title, total=self._chips, speed="")
        self._done, self._start, self._last_line = 0, time.monotonic(), time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *batch: Any) -> None:
        """Advance the bar."""
        self._advance(batch[0])

    on_validation_batch_end = on_train_batch_end  # type: ignore[assignment]

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the epoch's points and print its line."""
        epoch = _epochs(trainer)[-1]
        self._write_curves(epoch)
        self._last_line = time.monotonic()
        left = (trainer.max_epochs - epoch.number) * epoch.seconds  # type: ignore[operator]
        print(f"{epoch_line(epoch, trainer.max_epochs, self._chips)}, about {left:.0f} s left", flush=True)

    def close(self) -> None:
        """Remove the bar and finish the files, after an error too."""
        self._bar.stop()
        self._live.end()  # type: ignore[no-untyped-call]

    def _write_curves(self, epoch: Epoch) -> None:
        self._live.step = epoch.number
        for part, values in (("train", epoch.train), ("val", epoch.val)):
            for name in CURVES:
                self._live.log_metric(f"{part}/{name}", values[name])
        self._live.make_summary()  # type: ignore[no-untyped-call]

    def _advance(self, batch: Any) -> None:
        self._done += len(batch[0]) * self._processes.world_size
        now = time.monotonic()
        speed = self._done / (now - self._start)
        self._bar.update(self._task, completed=self._done, speed=f"{speed:.1f} chips/s")
        if self._bar.disable and now - self._last_line > LOG_INTERVAL:
            self._last_line = now
            title, left = self._bar.tasks[0].description, (self._chips - self._done) / speed
            print(
                f"{title}: {self._done} of {self._chips} chips, {speed:.1f} chips/s, about {left:.0f} s left",
                flush=True,
            )


@contextmanager
def training_progress(folder: Path, chips: int, processes: ProcessGroup) -> Iterator[L.Callback]:
    """Replace `folder` by the curves of a training and show its progress; on rank 0 only."""
    if not processes.is_rank_zero:
        yield L.Callback()
        return
    remove(folder)
    progress = TrainingProgress(folder, chips, processes)
    try:
        yield progress
    finally:
        progress.close()


def epoch_line(epoch: Epoch, epochs: int | None, chips: int) -> str:
    """Format loss, score and speed of an epoch."""
    return (
        f"epoch {epoch.number}/{epochs}: loss {epoch.train['loss']:.4f}, validation loss {epoch.val['loss']:.4f}, "
        f"mean IoU {epoch.val['mean_iou']:.4f}, {chips / epoch.seconds:.1f} chips/s"
    )


def _epochs(trainer: L.Trainer) -> list[Epoch]:
    tracker = next(callback for callback in trainer.callbacks if isinstance(callback, BestEpoch))  # type: ignore[attr-defined]
    return tracker.epochs
