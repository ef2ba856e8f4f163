"""What one step of training does, and what an epoch came to."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from pydantic import Field
from timm.layers.norm_act import convert_sync_batchnorm

from pipeline.core.errors import PipelineError
from pipeline.core.params import Params
from pipeline.learning.augment import flip_and_turn
from pipeline.learning.confusion import argmax, confusion
from pipeline.learning.data import Batch, Steps, Stream, generator
from pipeline.learning.device import Device, DeviceName, Precision
from pipeline.learning.distributed import ALONE, EchoedError, average_buffers, shared_total, smallest, total
from pipeline.learning.losses import Loss, Weighting
from pipeline.learning.model import Segmenter
from pipeline.scoring.counts import counts_of
from pipeline.scoring.scores import scores

Part = Literal["train", "val"]
NEVER = 2**62
"""No step has this number."""


class TrainConfig(Params):
    """`train` of params.yaml."""

    epochs: int = Field(gt=0)
    batch_size: int = Field(gt=0)
    """Chips in a step of the weights, on all devices together."""
    accumulate: int = Field(gt=0)
    """Parts of a batch that go through the network one after another, to save memory."""
    lr: float = Field(gt=0)
    """Learning rate of the first epoch."""
    optimizer: Literal["adam", "sgd"]
    """SGD has a momentum of 0.9."""
    schedule: Literal["step", "cosine", "one_cycle"]
    """How the learning rate falls: in steps, as the study; to 0 along a cosine; or up and down again (Smith 2018)."""
    lr_step: Literal["auto"] | Annotated[int, Field(gt=0)]
    """Epochs after which the learning rate is multiplied by `lr_gamma`, again and again; auto: once, for the last
    fifth of the epochs, however many there are."""
    lr_gamma: float = Field(gt=0, le=1)
    clip: Literal["none"] | Annotated[float, Field(gt=0)]
    """The largest norm of a step's gradient."""
    early_stop: Literal["none"] | Annotated[int, Field(gt=0)]
    """Epochs without a better validation after which training ends."""
    gamma: float = Field(ge=0)
    """Of focal loss."""
    alpha: Literal["none"] | Annotated[float, Field(gt=0, lt=1)]
    """Of focal loss."""
    class_weights: Weighting
    precision: Precision
    deterministic: bool
    """On CUDA: the same bytes each time, more slowly; a processor always gives them."""
    compile: bool
    """Whether torch compiles the network first: minutes, which long trainings on a GPU win back."""
    workers: Literal["auto"] | Annotated[int, Field(ge=0)]
    """Processes that read chips; what they read does not depend on their number."""
    device: DeviceName
    devices: Literal["auto"] | Annotated[int, Field(gt=0)]
    """How many of this machine train together; auto: every GPU."""

    @property
    def step(self) -> int:
        """`lr_step` in epochs."""
        return max(1, self.epochs * 4 // 5) if self.lr_step == "auto" else self.lr_step


@dataclass
class RunningMetrics:
    """Losses and pixel counts of one pass over a set; kept on the device until the pass is over."""

    value: Callable[[torch.Tensor], torch.Tensor] | None = None
    """Makes one loss of the sums that are then added in place of losses; None: the mean weighted by pixels."""
    losses: list[torch.Tensor] = field(default_factory=list)
    weights: list[torch.Tensor] = field(default_factory=list)
    """Counted pixels behind each loss, see `Loss.weight`."""
    matrix_KK: torch.Tensor | None = None

    def add(self, loss: torch.Tensor, weight: torch.Tensor, matrix_KK: torch.Tensor) -> None:
        """Count one step."""
        self.losses.append(loss.detach())
        self.weights.append(weight)
        self.matrix_KK = matrix_KK if self.matrix_KK is None else self.matrix_KK + matrix_KK

    def first_bad_step(self) -> int | None:
        """The first step, counted from 0, whose loss is not finite on any process."""
        if not self.losses:
            return None
        losses = torch.stack(self.losses)
        number = torch.arange(len(losses), device=losses.device)
        finite = torch.isfinite(losses).reshape(len(losses), -1).all(dim=1)
        first = int(smallest(torch.where(finite, NEVER, number).min()))
        return None if first == NEVER else first

    def summary(self, names: Sequence[str]) -> dict[str, Any]:
        """`loss` and the scores of the whole pass, of all processes."""
        assert self.matrix_KK is not None
        matrix_KK = total(self.matrix_KK).cpu().numpy()
        return {"loss": round(self._loss(), 6)} | scores(counts_of(matrix_KK), names)

    def _loss(self) -> float:
        losses, weights = _double(self.losses), _double(self.weights)
        if self.value is not None:
            return float(self.value(total(losses.sum(dim=0))))
        loss, weight = total(torch.stack([(losses * weights).sum(), weights.sum()])).tolist()
        return float(loss / weight) if weight else 0.0


def _double(values: Sequence[torch.Tensor]) -> torch.Tensor:
    stacked = torch.stack(list(values))
    return (stacked.cpu() if stacked.device.type == "mps" else stacked).double()  # Apple's GPU lacks float64


class Task(L.LightningModule):
    """A network that learns under a recipe; Lightning calls its steps."""

    def __init__(self, segmenter: Segmenter, names: Sequence[str], loss: Loss, recipe: TrainConfig, seed: int) -> None:
        super().__init__()
        self.segmenter, self.names, self.recipe, self.seed = segmenter, names, recipe, seed
        self.ranks = ALONE
        self.steps: Steps | None = None
        self.loss = loss
        self.tallies = self._empty()
        self.part_pixels = 1.0
        self.memory_format = torch.contiguous_format

    def run_on(self, device: Device, steps: Steps | None = None) -> "Task":
        """Lay the weights out in memory as the device likes them best.

        `steps` are this process's of an epoch, where a step is not a batch; batch norm then sees whole batches on GPUs.
        """
        self.memory_format, self.steps = device.memory_format, steps
        self.ranks = steps.cut.ranks if steps else ALONE
        if self.ranks.size > 1 and device.name == "cuda":  # torch's own conversion would lose timm's activations
            self.segmenter.net = convert_sync_batchnorm(self.segmenter.net)  # type: ignore[no-untyped-call]
        self.segmenter.to(memory_format=device.memory_format)
        return self

    def training_step(self, batch: Batch, index: int) -> torch.Tensor:
        """The loss of a batch, flipped and turned as (seed, epoch, batch) say, however it is divided."""
        number, skip = self.steps.start(index) if self.steps else (index, 0)
        turned = flip_and_turn(*batch, generator(Stream.AUGMENTATION, self.seed, self.current_epoch, number), skip)
        loss, weight = self._step("train", *turned)
        loss = loss * self.ranks.size  # the mean of the gradients becomes their sum
        if self.recipe.accumulate == 1:
            return loss
        self.part_pixels = batch[1][0].numel() * self.recipe.batch_size / self.recipe.accumulate
        return loss * weight / self.part_pixels

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Make the gradient of an accumulated batch that of the whole batch.

        Lightning averages the parts' gradients as if all had as many labelled pixels. `training_step` multiplies each
        part's loss by its share of labelled pixels (a share, so that fp16 does not overflow); here the shares' sum is
        divided out. Lightning clips gradients after this.
        """
        parts = self.recipe.accumulate
        if parts > 1:
            weights = self.tallies["train"].weights[-parts:]
            scale = parts * self.part_pixels / torch.stack(weights).sum().clamp(min=1e-7)
            for parameter in self.segmenter.parameters():
                if parameter.grad is not None:
                    parameter.grad *= scale

    def validation_step(self, batch: Batch, index: int) -> None:
        """Count a batch of the validation set, as it is; the set has one loss, however it is cut into batches."""
        self._step("val", *batch)

    def on_train_epoch_start(self) -> None:
        """Forget the last epoch; what draws from the global generator, such as dropout, then depends on this epoch."""
        torch.manual_seed(generator(Stream.LAYERS, self.seed, self.current_epoch, self.ranks.rank).initial_seed())
        self.tallies = self._empty()

    def on_validation_epoch_start(self) -> None:
        """Stop before a network that is lost is scored."""
        self._require_finite("train")
        average_buffers(self.segmenter)

    def summary(self, part: Part) -> dict[str, Any]:
        """What the epoch came to so far.

        Raises:
            PipelineError: a loss was NaN or infinite; in which epoch and batch, and what to try.
        """
        self._require_finite(part)
        return self.tallies[part].summary(self.names)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Adam or SGD, with a schedule."""
        recipe, weights = self.recipe, self.segmenter.parameters()
        adam = recipe.optimizer == "adam"
        fused = (self.device.type == "cuda" and recipe.clip == "none") or None  # Lightning clips no fused one's
        optimizer = (
            torch.optim.Adam(weights, recipe.lr, fused=fused)
            if adam
            else torch.optim.SGD(weights, recipe.lr, momentum=0.9, fused=fused)
        )
        if recipe.schedule == "one_cycle":
            steps = int(self.trainer.estimated_stepping_batches)
            cycle = torch.optim.lr_scheduler.OneCycleLR(optimizer, recipe.lr, total_steps=steps)
            return {"optimizer": optimizer, "lr_scheduler": {"scheduler": cycle, "interval": "step"}}
        if recipe.schedule == "cosine":
            cosine = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, recipe.epochs)
            return {"optimizer": optimizer, "lr_scheduler": cosine}
        step = torch.optim.lr_scheduler.StepLR(optimizer, recipe.step, recipe.lr_gamma)
        return {"optimizer": optimizer, "lr_scheduler": step}

    def _require_finite(self, part: Part) -> None:
        bad = self.tallies[part].first_bad_step()
        if bad is not None:
            batch = f"validation batch {bad + 1}" if part == "val" else f"batch {bad // self.recipe.accumulate + 1}"
            raise (PipelineError if self.ranks.first else EchoedError)(
                f"the {self.loss.name} loss became NaN or infinite in epoch {self.current_epoch + 1}, {batch}; "
                f"try a smaller train.lr than {self.recipe.lr:g}, train.clip, or another loss"
            )

    def _empty(self) -> dict[Part, RunningMetrics]:
        return {"train": RunningMetrics(), "val": RunningMetrics(self.loss.value)}

    def _step(
        self, part: Part, images_NCHW: torch.Tensor, masks_NHW: torch.Tensor
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """The loss of a step (of validation its sums) and the labelled pixels behind it."""
        logits_NKHW = self.segmenter(images_NCHW.contiguous(memory_format=self.memory_format))
        sums = self.loss.sums(logits_NKHW, masks_NHW.long())
        if part == "train":  # the batch has one loss, however it is divided among processes
            sums = shared_total(sums)
        loss, weight = self.loss.value(sums) if part == "train" else sums, self.loss.weight(sums).detach()
        matrix_KK = confusion(argmax(logits_NKHW.detach()), masks_NHW, len(self.names))
        self.tallies[part].add(loss, weight, matrix_KK)
        return loss, weight
