"""The section `train` of params.yaml."""

from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from pipeline.core.params import Params
from pipeline.learning.augment import KINDS, Kind
from pipeline.learning.device import DeviceName, PrecisionName
from pipeline.learning.losses import Weighting

CacheName = Literal["auto", "gpu", "ram", "none"]


class TrainConfig(Params):
    """`train` of params.yaml."""

    epochs: int = Field(gt=0)
    steps: Literal["none"] | Annotated[int, Field(gt=0)]
    """Optimiser steps in total, divided equally over the epochs, whatever the number of chips; none: an epoch is one
    pass over the training chips."""
    batch_size: int = Field(gt=0)
    """Chips in a batch; global, across all devices."""
    accumulate: int = Field(gt=0)
    """Gradient accumulation: steps per batch on each device, to save memory."""
    lr: float = Field(gt=0)
    """Initial learning rate, or for one_cycle its maximum."""
    optimizer: Literal["adam", "sgd"]
    """SGD has a momentum of 0.9."""
    schedule: Literal["step", "cosine", "one_cycle"]
    """Of the learning rate: step decay, as in the study; cosine annealing to 0; or one cycle (Smith 2018)."""
    lr_step: Literal["auto"] | Annotated[int, Field(gt=0)]
    """Epochs between multiplications of the learning rate by `lr_gamma`; auto: once, for the last fifth of the
    epochs."""
    lr_gamma: float = Field(gt=0, le=1)
    clip: Literal["none"] | Annotated[float, Field(gt=0)]
    """Maximum norm of the gradient."""
    early_stop: Literal["none"] | Annotated[int, Field(gt=0)]
    """Patience: epochs without a better validation mean IoU before training stops."""
    gamma: float = Field(ge=0)
    """Of focal loss."""
    alpha: Literal["none"] | Annotated[float, Field(gt=0, lt=1)]
    """Of focal loss."""
    class_weights: Weighting
    augment: Literal["flips", "all"] | Kind | tuple[Kind, ...]
    """Flips and quarter turns alone, or every distortion too, or those named."""
    precision: PrecisionName
    deterministic: bool
    """On CUDA: bit-identical results, but slower; CPU results always are."""
    compile: bool
    """Compile network and loss by torch.compile first: takes minutes, which long trainings on a GPU regain."""
    workers: Literal["auto"] | Annotated[int, Field(ge=0)]
    """Loader workers; the result does not depend on them."""
    cache: CacheName
    """Where decoded chips stay between epochs; the result does not depend on it."""
    device: DeviceName
    devices: Literal["auto"] | Annotated[int, Field(gt=0)]
    """Devices per machine; auto: every GPU."""

    @field_validator("steps")
    @classmethod
    def _require_equal_epochs(cls, steps: Literal["none"] | int, info: ValidationInfo) -> Literal["none"] | int:
        epochs = info.data.get("epochs")  # None: it is invalid itself
        if steps != "none" and epochs and steps % epochs:
            below = steps // epochs * epochs
            nearest = " or ".join(str(multiple) for multiple in (below, below + epochs) if multiple)
            raise ValueError(f"{steps} must be a multiple of train.epochs, {epochs}: set it to {nearest}, or to none")
        return steps

    def epoch_chips(self, count: int) -> int:
        """Return how many chips are drawn in an epoch from `count` training chips."""
        return count if self.steps == "none" else self.steps // self.epochs * self.batch_size

    @property
    def lr_step_epochs(self) -> int:
        """`lr_step`, with `auto` resolved."""
        return max(1, self.epochs * 4 // 5) if self.lr_step == "auto" else self.lr_step

    @property
    def distortions(self) -> tuple[Kind, ...]:
        """`augment` without flips and quarter turns, which are always made."""
        if self.augment == "flips":
            return ()
        if self.augment == "all":
            return KINDS
        return (self.augment,) if isinstance(self.augment, str) else self.augment
