"""The training loop: train, validate, keep the epoch that validates best.

Not Lightning's `EarlyStopping`: a training that had reached its early stop when it was killed, and is resumed, trains
one epoch more, so that curves and perhaps weights differ.
"""

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
from pipeline.learning.checkpoint import AtomicCheckpointIO, Checkpoint
from pipeline.learning.data import Batch
from pipeline.learning.device import OUT_OF_MEMORY, Device, memory_problem
from pipeline.learning.distributed import require_same_on_all_ranks
from pipeline.learning.loaders import unwrap_worker_errors
from pipeline.learning.preemption import restore_sigterm_handler
from pipeline.learning.task import Task
from pipeline.learning.weights import Weights

BILINEAR = ("deeplabv3", "deeplabv3plus", "dpt", "fpn", "pan", "pspnet", "segformer", "upernet")
"""Architectures that interpolate features or logits linearly."""


def require_deterministic(architecture: str, device: Device) -> None:
    """Check that a network computes the same under `train.deterministic` as without.

    On CUDA, PyTorch's deterministic form of bilinear interpolation (`_upsample_linear_vec`) computes the positions of
    pixels in the precision of the values: in bf16, 256 pixels enlarged four times are up to half a pixel off.

    Raises:
        PipelineError: it does not.
    """
    if architecture in BILINEAR and (device.name, device.precision) == ("cuda", "bf16"):
        raise PipelineError(
            f"train.deterministic is true, and {architecture} interpolates: PyTorch's deterministic form of that is up "
            "to half a pixel off in bf16; set train.precision to fp32, or train.deterministic to false"
        )


@dataclass(frozen=True)
class Epoch:
    """The metrics of one epoch."""

    number: int
    """Counted from 1."""
    train: dict[str, Any]
    """`loss` and scores of the augmented training chips, while the weights changed."""
    val: dict[str, Any]
    """`loss` and scores of the validation chips."""
    seconds: float
    """Of training and validation."""


class BestEpoch(L.Callback):
    """Record the epochs and keep the weights of the best one; stop when they no longer improve."""

    def __init__(self, patience: Literal["none"] | int) -> None:
        self.patience = patience
        self.epochs: list[Epoch] = []
        self.weights: Weights = {}
        self._start = time.monotonic()

    @property
    def best(self) -> Epoch:
        """The epoch with the best validation mean IoU, the earlier on a tie."""
        return max(self.epochs, key=lambda epoch: epoch.val["mean_iou"])

    def state_dict(self) -> dict[str, Any]:
        """Return plain values and tensors, which load without unpickling objects."""
        return {"epochs": [asdict(epoch) for epoch in self.epochs], "weights": self.weights}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Restore from a checkpoint."""
        self.epochs = [Epoch(**epoch) for epoch in state_dict["epochs"]]
        self.weights = state_dict["weights"]

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop at once if the interrupted run had already reached its early stop."""
        restore_sigterm_handler()
        epoch = torch.tensor(trainer.current_epoch, device=pl_module.device)
        require_same_on_all_ranks(epoch, "the epoch to resume from")
        trainer.should_stop = self._has_stalled

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Start the clock."""
        self._start = time.monotonic()

    def on_validation_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Record the epoch; copy the weights if it is the best so far."""
        assert isinstance(pl_module, Task)
        train, val = pl_module.summary("train"), pl_module.summary("val")
        epoch = Epoch(trainer.current_epoch + 1, train, val, time.monotonic() - self._start)
        self.epochs.append(epoch)
        if self.best is epoch:
            state = pl_module.segmenter.state_dict()
            self.weights = {name: value.detach().cpu().clone() for name, value in state.items()}
        trainer.should_stop = self._has_stalled

    @property
    def _has_stalled(self) -> bool:
        """Whether the last `patience` epochs brought no improvement."""
        if not self.epochs or self.patience == "none":
            return False
        return self.epochs[-1].number - self.best.number >= self.patience


def fit(
    task: Task,
    loaders: tuple[DataLoader[Batch], DataLoader[Batch]],
    device: Device,
    progress: L.Callback,
    checkpoint: Checkpoint,
) -> BestEpoch:
    """Train on the first loader, validate on the second after each epoch.

    The network of `task` ends with the weights of its best epoch.

    Args:
        task: network, loss and config.
        loaders: training and validation chips.
        device: device and precision.
        progress: called after each epoch has been recorded.
        checkpoint: written after each epoch, and resumed if there is one.

    Raises:
        PipelineError: a loss became NaN or infinite, a chip cannot be read, or the network exceeds a limit.
    """
    tracker = BestEpoch(task.config.early_stop)
    with _quiet_lightning(), unwrap_worker_errors():
        task.prepare(device, loaders[0].batch_sampler)  # type: ignore[arg-type]
        trainer = _trainer(task, device, [tracker, progress, checkpoint.writer()])
        resumable = checkpoint.resumable()
        if task.config.compile:
            task.compile_steps()
        try:
            with _explain_limits(task, getattr(loaders[0].dataset, "memory", None) == "gpu"):
                trainer.fit(task, *loaders, ckpt_path=resumable, weights_only=True if resumable else None)
        finally:
            if tracker.weights:
                task.segmenter.load_state_dict(tracker.weights)
    return tracker


def _trainer(task: Task, device: Device, callbacks: list[L.Callback]) -> L.Trainer:
    config, processes = task.config, task.processes
    return L.Trainer(
        accelerator={"cpu": "cpu", "cuda": "gpu", "mps": "mps"}[device.name],
        devices=processes.local_world_size,
        num_nodes=processes.world_size // processes.local_world_size,
        # DDP's own broadcast of buffers would synchronise at each step, of validation too
        strategy=DDPStrategy(forward_sync_buffers=False) if processes.world_size > 1 else "auto",
        plugins=[processes.environment(), AtomicCheckpointIO()],
        use_distributed_sampler=False,
        accumulate_grad_batches=config.accumulate,
        precision=device.lightning_precision,
        max_epochs=config.epochs,
        gradient_clip_val=None if config.clip == "none" else config.clip,
        deterministic=config.deterministic,
        benchmark=device.name == "cuda" and not config.deterministic,
        callbacks=callbacks,
        logger=False,
        enable_progress_bar=False,
        enable_model_summary=False,
        num_sanity_val_steps=0,
    )


@contextmanager
def _explain_limits(task: Task, has_chips_on_gpu: bool) -> Iterator[None]:
    """Turn errors of a network that exceeds the machine or its batches into one line with a remedy."""
    try:
        yield
    except (ValueError, RuntimeError, MemoryError) as error:
        explanation = _explanation(error, task, has_chips_on_gpu)
        if explanation is None:
            raise
        raise PipelineError(explanation) from None


def _explanation(error: Exception, task: Task, has_chips_on_gpu: bool) -> str | None:
    config, text, epoch = task.config, str(error), task.current_epoch + 1
    if "deterministic implementation" in text:
        return (
            f"train.deterministic is true, but {text.partition(' ')[0]} of this network has no deterministic "
            "implementation on this device; set it to false, or choose another architecture"
        )
    if "more than 1 value per channel" in text:
        return (
            f"a step of epoch {epoch} has one chip, too few for this network's batch norm; change train.batch_size, "
            "or lower train.accumulate"
        )
    if "out of shared memory" in text:
        return (
            "the loader workers ran out of shared memory; lower train.workers, or enlarge /dev/shm "
            "(docker run --shm-size=8g)"
        )
    if config.compile and type(error).__module__.startswith("torch._"):
        return f"the network cannot be compiled ({text.splitlines()[0]}); set train.compile to false"
    remedy = (
        f"train.batch_size {config.batch_size} and train.accumulate {config.accumulate}: set a larger train.accumulate "
        "(same batch, smaller steps), a smaller batch, smaller chips (tile.size), "
        f"{'train.cache ram, ' if has_chips_on_gpu else ''}or a smaller encoder"
    )
    if problem := memory_problem(error):
        also = ", or that the network has no deterministic form on this GPU (train.deterministic)"
        is_vague = config.deterministic and not problem.startswith(OUT_OF_MEMORY)
        return f"{problem}{also if is_vague else ''} in epoch {epoch} with {remedy}"
    return None


@contextmanager
def _quiet_lightning() -> Iterator[None]:
    """Silence Lightning's device report, and advice that does not apply here."""
    for name in ("lightning.pytorch", "lightning.fabric"):
        logging.getLogger(name).setLevel(logging.WARNING)
    with warnings.catch_warnings():
        # on a CPU, reading a chip takes a hundredth of a step: workers would only compete for its cores
        warnings.filterwarnings("ignore", r".*does not have many workers")
        warnings.filterwarnings("ignore", r".*GPU available but not used")
        warnings.filterwarnings("ignore", r"Checkpoint directory .* exists and is not empty")
        # Lightning 2.6 uses an API that torch 2.14 deprecates
        warnings.filterwarnings("ignore", r"`isinstance\(treespec, LeafSpec\)` is deprecated", FutureWarning)
        yield
