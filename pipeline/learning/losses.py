"""The losses that params.yaml may name: of logits_NKHW and targets_NHW (int64), `IGNORE` counted nowhere."""

from typing import Literal

from segmentation_models_pytorch.losses import MULTICLASS_MODE, DiceLoss, FocalLoss
from torch import nn

from pipeline.classes import IGNORE

LossName = Literal["focal", "dice", "ce"]

LOSSES: dict[LossName, nn.Module] = {
    # gamma 2, no alpha: Lin et al. 2017, "Focal Loss for Dense Object Detection", as the library has it
    "focal": FocalLoss(MULTICLASS_MODE, ignore_index=IGNORE),
    # soft dice over softmax probabilities; a class that the batch lacks counts 0 in the mean over all classes
    "dice": DiceLoss(MULTICLASS_MODE, ignore_index=IGNORE),
    "ce": nn.CrossEntropyLoss(ignore_index=IGNORE),
}
