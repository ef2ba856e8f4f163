"""A training step, the metrics of an epoch, and the optimizer with its schedule."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from timm.layers.norm_act import convert_sync_batchnorm

from pipeline.core.errors import PipelineError
from pipeline.learning.augment import distort, random_flip_rotate
from pipeline.learning.batches import MicroBatchSampler, Stream, generator
from pipeline.learning.config import TrainConfig
from pipeline.learning.confusion import argmax, confusion_matrix
from pipeline.learning.data import Batch
from pipeline.learning.device import Device
from pipeline.learning.distributed import (
    MIN,
    ProcessGroup,
    SharedError,
    all_reduce,
    average_buffers,
    sum_with_local_gradient,
)
from pipeline.learning.losses import Loss
from pipeline.learning.model import Segmenter
from pipeline.scoring.counts import counts_of
from pipeline.scoring.scores import scores

Part = Literal["train", "val"]
NO_STEP = 2**62
"""Larger than any step number."""


@dataclass
class RunningMetrics:
    """Losses and pixel counts of one pass over a set, kept on the device until the pass is over."""

    loss_from_sums: Callable[[torch.Tensor], torch.Tensor] | None = None
    """If set, `losses` are sums over pixels, from which this computes the loss; None: losses are averaged by weight."""
    losses: list[torch.Tensor] = field(default_factory=list)
    weights: list[torch.Tensor] = field(default_factory=list)
    """Labelled pixels behind each loss, see `Loss.weight`."""
    matrix_KK: torch.Tensor | None = None

    def add(self, loss: torch.Tensor, weight: torch.Tensor, matrix_KK: torch.Tensor) -> None:
        """Add one step."""
        self.losses.append(loss.detach())
        self.weights.append(weight)
        self.matrix_KK = matrix_KK if self.matrix_KK is None else self.matrix_KK + matrix_KK

    def first_bad_step(self) -> int | None:
        """Return the first step, counted from 0, whose loss is NaN or infinite on any rank."""
        losses = torch.stack(self.losses)
        steps = torch.arange(len(losses), device=losses.device)
        finite = torch.isfinite(losses).reshape(len(losses), -1).all(dim=1)
        first = int(all_reduce(torch.where(finite, NO_STEP, steps).min(), MIN))
        return None if first == NO_STEP else first

    def summary(self, names: Sequence[str]) -> dict[str, Any]:
        """Return `loss` and the scores of the whole pass, over all ranks."""
        assert self.matrix_KK is not None
        matrix_KK = all_reduce(self.matrix_KK).cpu().numpy()
        return {"loss": round(self._loss(), 6)} | scores(counts_of(matrix_KK), names)

    def _loss(self) -> float:
        losses, weights = _stack_double(self.losses), _stack_double(self.weights)
        if self.loss_from_sums is not None:
            return float(self.loss_from_sums(all_reduce(losses.sum(dim=0))))
        loss, weight = all_reduce(torch.stack([(losses * weights).sum(), weights.sum()])).tolist()
        return float(loss / weight) if weight else 0.0


def _stack_double(values: Sequence[torch.Tensor]) -> torch.Tensor:
    stacked = torch.stack(list(values))
    return (stacked.cpu() if stacked.device.type == "mps" else stacked).double()  # Apple's GPU lacks float64


class Task(L.LightningModule):
    """A network with its loss, optimizer and augmentation, as Lightning trains it."""

    sampler: MicroBatchSampler
    """This rank's micro-batches."""
    memory_format: torch.memory_format

    def __init__(self, segmenter: Segmenter, names: Sequence[str], loss: Loss, config: TrainConfig, seed: int) -> None:
        super().__init__()
        self.segmenter, self.names, self.config, self.seed = segmenter, names, config, seed
        self.loss = loss
        self.metrics = self._empty_metrics()
        self.step_pixels = 1.0
        self._compiled: Callable[..., tuple[torch.Tensor, torch.Tensor]] | None = None

    @property
    def processes(self) -> ProcessGroup:
        """The ranks that train together."""
        return self.sampler.plan.processes

    def prepare(self, device: Device, sampler: MicroBatchSampler) -> "Task":
        """Set the micro-batches and the memory format, and on several GPUs synchronise batch norm."""
        self.memory_format, self.sampler = device.memory_format, sampler
        if self.processes.world_size > 1 and device.name == "cuda":  # torch's conversion drops timm's activations
            self.segmenter.net = convert_sync_batchnorm(self.segmenter.net)  # type: ignore[no-untyped-call]
        self.segmenter.to(memory_format=device.memory_format)
        return self

    def compile_steps(self) -> None:
        """Compile network and loss, for training steps of a full batch; a smaller last batch and validation are not."""
        self._compiled = torch.compile(forward_loss, dynamic=False)

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """Return the loss of a micro-batch, augmented as seed, epoch and position in the batch determine."""
        number, skip = self.sampler.position(index)
        key = self.seed, self.current_epoch, number
        images_NCHW, masks_NHW = random_flip_rotate(*batch, generator(Stream.AUGMENTATION, *key), skip)
        if kinds := self.config.distortions:
            draws = generator(Stream.DISTORTIONS, *key)
            images_NCHW, masks_NHW = distort(images_NCHW, masks_NHW, kinds, draws, skip)
        loss, weight = self._step("train", images_NCHW, masks_NHW)
        loss = loss * self.processes.world_size  # DDP averages gradients; here they add up
        if self.config.accumulate == 1:
            return loss
        self.step_pixels = batch[1][0].numel() * self.config.batch_size / self.config.accumulate
        return loss * weight / self.step_pixels

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Scale accumulated gradients to the gradient of the whole batch.

        Lightning averages the gradients of the steps, as if all had as many labelled pixels. `training_step` multiplies
        the loss of each by its share of labelled pixels (a share, lest fp16 overflow); here the sum of the shares is
        divided out. Lightning clips gradients after this.
        """
        accumulate = self.config.accumulate
        if accumulate > 1:
            weights = self.metrics["train"].weights[-accumulate:]
            scale = accumulate * self.step_pixels / torch.stack(weights).sum().clamp(min=1e-7)
            for parameter in self.segmenter.parameters():
                if parameter.grad is not None:
                    parameter.grad *= scale

    def validation_step(self, batch: Batch, index: int) -> None:
        """Add a batch to the validation metrics; the loss of the set does not depend on how it is batched."""
        self._step("val", *batch)

    def on_train_epoch_start(self) -> None:
        """Reset the metrics; seed the global generator, from which layers such as dropout draw."""
        torch.manual_seed(generator(Stream.LAYERS, self.seed, self.current_epoch, self.processes.rank).initial_seed())
        self.metrics = self._empty_metrics()

    def on_validation_epoch_start(self) -> None:
        """Stop if training diverged; give all ranks the same batch norm statistics."""
        self._require_finite("train")
        average_buffers(self.segmenter)

    def summary(self, part: Part) -> dict[str, Any]:
        """Return the metrics of the epoch.

        Raises:
            PipelineError: a loss was NaN or infinite; names the epoch and the batch.
        """
        self._require_finite(part)
        return self.metrics[part].summary(self.names)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Create Adam or SGD, and the learning rate schedule."""
        config, weights = self.config, self.segmenter.parameters()
        fused = (self.device.type == "cuda" and config.clip == "none") or None  # Lightning cannot clip with fused ones
        optimizer: torch.optim.Optimizer = (
            torch.optim.Adam(weights, config.lr, fused=fused)
            if config.optimizer == "adam"
            else torch.optim.SGD(weights, config.lr, momentum=0.9, fused=fused)
        )
        if config.schedule == "one_cycle":
            steps = int(self.trainer.estimated_stepping_batches)
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, config.lr, total_steps=steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
        if config.schedule == "cosine":
            cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, config.epochs)
            return {"optimizer": optimizer, "lr_scheduler": cosine}
        step = torch.optim.lr_scheduler.StepLR(optimizer, config.lr_step_epochs, config.lr_gamma)
        return {"optimizer": optimizer, "lr_scheduler": step}

    def _require_finite(self, part: Part) -> None:
        step = self.metrics[part].first_bad_step()
        if step is not None:
            batch = f"validation batch {step + 1}" if part == "val" else f"batch {step // self.config.accumulate + 1}"
            raise (PipelineError if self.processes.is_rank_zero else SharedError)(
                f"the {self.loss.name} loss became NaN or infinite in epoch {self.current_epoch + 1}, {batch}; "
                f"try a train.lr below {self.config.lr:g}, train.clip, or another loss"
            )

    def _empty_metrics(self) -> dict[Part, RunningMetrics]:
        return {"train": RunningMetrics(), "val": RunningMetrics(self.loss.value)}

    def _step(
        self, part: Part, images_NCHW: torch.Tensor, masks_NHW: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Return the loss of a step (in validation the sums behind it) and its labelled pixels."""
        is_full = part == "train" and len(images_NCHW) in self.sampler.full_sizes
        forward = self._compiled if self._compiled and is_full else forward_loss
        images_NCHW = images_NCHW.contiguous(memory_format=self.memory_format)
        sums, predicted_NHW = forward(self.segmenter, self.loss, images_NCHW, masks_NHW)
        if part == "train":  # one loss per batch, over all ranks
            sums = sum_with_local_gradient(sums)
        loss, weight = self.loss.value(sums) if part == "train" else sums, self.loss.weight(sums).detach()
        self.metrics[part].add(loss, weight, confusion_matrix(predicted_NHW, masks_NHW, len(self.names)))
        return loss, weight


def forward_loss(
    segmenter: Segmenter, loss: Loss, images_NCHW: torch.Tensor, masks_NHW: torch.Tensor
) -> tuple[torch.Tensor, torch.Tensor]:
    """Return the sums behind the loss of a batch, and predicted_NHW."""
    logits_NKHW = segmenter(images_NCHW)
    return loss.sums(logits_NKHW, masks_NHW.long()), argmax(logits_NKHW.detach())
