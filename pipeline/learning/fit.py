"""Trains a network and keeps the epoch that validates best."""

import logging
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.strategies import DDPStrategy
from torch.utils.data import DataLoader

from pipeline.core.errors import PipelineError
from pipeline.learning.checkpoint import Saver, State, WholeFiles
from pipeline.learning.data import Batch, Steps, plain_errors
from pipeline.learning.device import Device
from pipeline.learning.distributed import agree
from pipeline.learning.preemption import listen_again
from pipeline.learning.task import Task

Weights = dict[str, torch.Tensor]


@dataclass(frozen=True)
class Epoch:
    """What one epoch came to."""

    number: int
    """Counted from 1."""
    train: dict[str, Any]
    """`loss` and scores of the training chips as they were drawn, while the weights moved."""
    val: dict[str, Any]
    """`loss` and scores of the validation chips."""
    seconds: float
    """Of training and validation together."""


class BestEpoch(L.Callback):
    """Gathers the epochs and keeps the weights of the one with the best validation mean IoU, the earlier on a tie."""

    def __init__(self) -> None:
        self.epochs: list[Epoch] = []
        self.best: Epoch | None = None
        self.weights: Weights = {}
        self._began = time.monotonic()

    def state_dict(self) -> dict[str, Any]:
        """For a checkpoint: plain values and tensors, which load without running code."""
        best = self.best.number if self.best else None
        return {"epochs": [asdict(epoch) for epoch in self.epochs], "best": best, "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Back from a checkpoint."""
        self.epochs = [Epoch(**epoch) for epoch in state_dict["epochs"]]
        self.best = next((epoch for epoch in self.epochs if epoch.number == state_dict["best"]), None)
        self.weights = state_dict["weights"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Go no further if the run that was interrupted would not have."""
        listen_again()
        assert isinstance(pl_module, Task)
        agree(torch.tensor(trainer.current_epoch, device=pl_module.device), "the epoch to go on from")
        trainer.should_stop = self.stalled(pl_module.recipe.early_stop)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._began = time.monotonic()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Sum the epoch up; copy the weights if it is the best so far."""
        assert isinstance(pl_module, Task)
        train, val = pl_module.summary("train"), pl_module.summary("val")
        epoch = Epoch(trainer.current_epoch + 1, train, val, time.monotonic() - self._began)
        self.epochs.append(epoch)
        if self.best is None or val["mean_iou"] > self.best.val["mean_iou"]:
            self.best = epoch
            state = pl_module.segmenter.state_dict()
            self.weights = {name: value.detach().cpu().clone() for name, value in state.items()}
        trainer.should_stop = self.stalled(pl_module.recipe.early_stop)

    def stalled(self, patience: Literal["none"] | int) -> bool:
        """Whether the last `patience` epochs brought nothing better."""
        if self.best is None or patience == "none":
            return False
        return self.epochs[-1].number - self.best.number >= patience


def fit(
    task: Task,
    loaders: tuple[DataLoader[Batch], DataLoader[Batch]],
    device: Device,
    watch: L.Callback,
    state: State | None = None,
) -> BestEpoch:
    """Train on the first loader, validate on the second after each epoch.

    The network of `task` ends with the weights of its best epoch.

    Args:
        task: the network with its recipe.
        loaders: training and validation chips.
        device: where, and in which arithmetic.
        watch: told of every epoch after it was summed up.
        state: where each epoch's end is saved, and from where an interrupted training goes on; None saves nothing.

    Raises:
        PipelineError: a loss became NaN or infinite, or a chip cannot be read.
    """
    keeper = BestEpoch()
    callbacks = [keeper, watch, *([Saver(state)] if state else [])]
    with _quiet(), plain_errors():
        steps = loaders[0].batch_sampler
        task.run_on(device, steps if isinstance(steps, Steps) else None)
        trainer = _trainer(task, device, callbacks)
        found = state.found() if state else None
        if task.recipe.compile:
            task.segmenter.net.compile()
        try:
            with _limits_in_words(task):
                trainer.fit(task, *loaders, ckpt_path=found, weights_only=True if found else None)
        finally:
            if keeper.weights:
                task.segmenter.load_state_dict(keeper.weights)
    return keeper


def _trainer(task: Task, device: Device, callbacks: list[L.Callback]) -> L.Trainer:
    recipe, ranks = task.recipe, task.ranks
    return L.Trainer(
        accelerator={"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[device.name],
        devices=ranks.a_machine,
        num_nodes=ranks.size // ranks.a_machine,
        # not DDP's own copying of buffers, which waits for all at each step, of validation too
        strategy=DDPStrategy(forward_sync_buffers=False) if ranks.size > 1 else "auto",
        plugins=[ranks.environment(), WholeFiles()],
        use_distributed_sampler=False,
        accumulate_grad_batches=recipe.accumulate,
        precision=device.precision,
        max_epochs=recipe.epochs,
        gradient_clip_val=None if recipe.clip == "none" else recipe.clip,
        deterministic=recipe.deterministic,
        benchmark=device.name == "cuda" and not recipe.deterministic,
        callbacks=callbacks,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@contextmanager
def _limits_in_words(task: Task) -> Iterator[None]:
    """One line for a network that does not fit this machine or its batches."""
    try:
        yield
    except (ValueError, RuntimeError, MemoryError) as error:
        words = _in_words(error, task)
        if words is None:
            raise
        raise PipelineError(words) from None


def _in_words(error: Exception, task: Task) -> str | None:
    recipe, said, epoch = task.recipe, str(error), task.current_epoch + 1
    if "deterministic implementation" in said:
        return (
            f"train.deterministic is true, but {said.partition(' ')[0]} of this network has no deterministic form on "
            "this device; set it to false, or take another architecture"
        )
    if "more than 1 value per channel" in said:
        return (
            f"epoch {epoch} has a step of one chip, from which this network's batch norm cannot learn: set a "
            "train.batch_size of which more is left, or a smaller train.accumulate"
        )
    if "out of shared memory" in said:
        return (
            "the processes that read chips have too little shared memory: set a smaller train.workers, or make "
            "/dev/shm larger (docker run --shm-size=8g)"
        )
    if recipe.compile and type(error).__module__.startswith("torch._"):
        return f"the network cannot be compiled ({said.splitlines()[0]}); set train.compile to false"
    # of CUDA's libraries, and of a processor; torch.OutOfMemoryError is a RuntimeError
    if isinstance(error, MemoryError) or "out of memory" in said or "can't allocate memory" in said:
        return (
            f"out of memory in epoch {epoch} with train.batch_size {recipe.batch_size} and train.accumulate "
            f"{recipe.accumulate}: set a larger train.accumulate (the same batch in smaller parts), a smaller batch, "
            "smaller chips (tile.size), or a smaller encoder"
        )
    return None


@contextmanager
def _quiet() -> Iterator[None]:
    """Lightning tells of devices and gives advice that does not apply here."""
    loggers = [logging.getLogger(name) for name in ("lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # reading a chip takes a hundredth of a training step on a processor: workers would take its cores away
        warnings.filterwarnings("ignore", r".*does not have many workers")
        warnings.filterwarnings("ignore", r".*GPU available but not used")
        # Lightning 2.6 asks torch 2.14 in a way that torch is about to drop
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        try:
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
