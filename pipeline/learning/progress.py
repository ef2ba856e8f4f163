"""Shows training while it runs, and writes its curves."""

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
from pipeline.learning.distributed import ALONE, Ranks
from pipeline.learning.fit import BestEpoch, Epoch

CURVES = ("loss", "mean_iou", "f_score")
TELL_EVERY = 60.0
"""Seconds after which a log file hears of an epoch that is not over."""


class Watch(L.Callback):
    """A progress bar on a terminal; a line and a point of each curve an epoch.

    The curves lie in `FOLDER/plots/metrics/{train,val}/{loss,mean_iou,f_score}.tsv`.
    """

    def __init__(self, folder: Path, chips: int, ranks: Ranks = ALONE) -> None:
        """Write to `folder`; `chips` are what an epoch trains on and validates, on all `ranks` together."""
        self._ranks = ranks
        self._live = Live(str(folder), dvcyaml=None, save_dvc_exp=False)
        self._chips = chips
        console = Console(stderr=True)
        columns = (*Progress.get_default_columns(), TextColumn("{task.fields[speed]}"))
        self._bar = Progress(*columns, console=console, disable=not console.is_terminal, transient=True)
        self._task = self._bar.add_task("train", total=chips, speed="")

    def on_fit_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Draw the epochs of an interrupted run that this one goes on from."""
        for epoch in _keeper(trainer).epochs:
            self._draw(epoch)

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Show the bar."""
        self._bar.start()

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Begin at 0."""
        title = f"train: epoch {trainer.current_epoch + 1}/{trainer.max_epochs}"
        self._bar.reset(self._task, description=title, total=self._chips, speed="")
        self._seen, self._began, self._told = 0, time.monotonic(), time.monotonic()

    def on_train_batch_end(self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *batch: Any) -> None:
        """Move on."""
        self._advance(batch[0])

    def on_validation_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, outputs: Any, *batch: Any
    ) -> None:
        """Move on."""
        self._advance(batch[0])

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Write the epoch's points and its line."""
        epoch = _keeper(trainer).epochs[-1]
        self._draw(epoch)
        self._told = time.monotonic()
        left = (trainer.max_epochs - epoch.number) * epoch.seconds  # type: ignore[operator]
        print(f"{line(epoch, trainer.max_epochs, self._chips)}, about {left:.0f} s left", flush=True)

    def close(self) -> None:
        """Take the bar away and finish the files, after an error too."""
        self._bar.stop()
        self._live.end()  # type: ignore[no-untyped-call]

    def _draw(self, epoch: Epoch) -> None:
        self._live.step = epoch.number
        for part, values in (("train", epoch.train), ("val", epoch.val)):
            for name in CURVES:
                self._live.log_metric(f"{part}/{name}", values[name])
        self._live.make_summary()  # type: ignore[no-untyped-call]

    def _advance(self, batch: Any) -> None:
        self._seen += len(batch[0]) * self._ranks.size
        now = time.monotonic()
        speed = self._seen / (now - self._began)
        self._bar.update(self._task, completed=self._seen, speed=f"{speed:.1f} chips/s")
        if self._bar.disable and now - self._told > TELL_EVERY:
            self._told = now
            title, left = self._bar.tasks[0].description, (self._chips - self._seen) / speed
            print(
                f"{title}: {self._seen} of {self._chips} chips, {speed:.1f} chips/s, about {left:.0f} s left",
                flush=True,
            )


@contextmanager
def watching(folder: Path, chips: int, ranks: Ranks) -> Iterator[L.Callback]:
    """Show a training and write its curves to `folder`, anew; the first of several processes does it for all."""
    if not ranks.first:
        yield L.Callback()
        return
    remove(folder)
    watch = Watch(folder, chips, ranks)
    try:
        yield watch
    finally:
        watch.close()


def _keeper(trainer: L.Trainer) -> BestEpoch:
    return next(one for one in trainer.callbacks if isinstance(one, BestEpoch))  # type: ignore[attr-defined]


def line(epoch: Epoch, epochs: int | None, chips: int) -> str:
    """An epoch in words."""
    return (
        f"epoch {epoch.number}/{epochs}: loss {epoch.train['loss']:.4f}, validation loss {epoch.val['loss']:.4f}, "
        f"mean IoU {epoch.val['mean_iou']:.4f}, {chips / epoch.seconds:.1f} chips/s"
    )
