"""Shows training while it runs, and writes its curves."""

from pathlib import Path
from typing import Any

import lightning as L
from dvclive.live import Live
from rich.console import Console
from rich.progress import Progress, TextColumn

from pipeline.learning.fit import Epoch, Keeper

CURVES = ("loss", "mean_iou", "f_score")


class Watch(L.Callback):
    """A progress bar on a terminal; a line and a point of each curve an epoch.

    The curves lie in `FOLDER/plots/metrics/{train,val}/{loss,mean_iou,f_score}.tsv`.
    """

    def __init__(self, folder: Path, chips: int) -> None:
        """Write to `folder`; `chips` are what an epoch trains on and validates."""
        self._live = Live(str(folder), dvcyaml=None, save_dvc_exp=False)
        self._chips, self._seen = chips, 0
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
        self._bar.advance(self._task, len(batch[0]))
        speed = self._bar.tasks[0].speed
        self._bar.update(self._task, speed=f"{speed:.1f} chips/s" if speed else "")


def _keeper(trainer: L.Trainer) -> Keeper:
    return next(one for one in trainer.callbacks if isinstance(one, Keeper))  # type: ignore[attr-defined]


def line(epoch: Epoch, epochs: int | None, chips: int) -> str:
    """An epoch in words."""
    return (
        f"epoch {epoch.number}/{epochs}: loss {epoch.train['loss']:.4f}, validation loss {epoch.val['loss']:.4f}, "
        f"mean IoU {epoch.val['mean_iou']:.4f}, {chips / epoch.seconds:.1f} chips/s"
    )
