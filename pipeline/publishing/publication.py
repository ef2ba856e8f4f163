"""What is published with a network: its description, how it was trained, and scores that are its own."""

from dataclasses import dataclass
from typing import Self

from pydantic import BaseModel, ConfigDict, ValidationError, model_validator

from pipeline.core.errors import PipelineError
from pipeline.core.params import first_error
from pipeline.formats.datasets import LICENCES
from pipeline.learning.model import Model
from pipeline.publishing.onnx_model import Check

ONNX, ITEM, CARD = "model.onnx", "mlm.json", "README.md"
FILES = (ONNX, ITEM, CARD)
"""The files of an exported folder."""
SAMPLE_LICENCE = "MIT"


class Accuracy(BaseModel):
    """Of a class, with 95 % intervals."""

    model_config = ConfigDict(allow_inf_nan=False)

    users_accuracy: float | None
    users_accuracy_low: float | None
    users_accuracy_high: float | None
    producers_accuracy: float | None
    producers_accuracy_low: float | None
    producers_accuracy_high: float | None


class CalibrationError(BaseModel):
    """Before and after temperature scaling."""

    model_config = ConfigDict(allow_inf_nan=False)

    error_before: float | None
    error_after: float | None
    error_after_low: float | None
    error_after_high: float | None


class Interval(BaseModel):
    """Why the interval of the mean IoU is missing or approximate."""

    why_null: str | None
    approximate: bool


class Scores(BaseModel):
    """What a card shows of `metrics/evaluate.json`."""

    model_config = ConfigDict(allow_inf_nan=False)

    mean_iou: float | None
    mean_iou_low: float | None
    mean_iou_high: float | None
    interval: Interval
    pixel_accuracy: float | None
    quantity_disagreement: float | None
    allocation_disagreement: float | None
    iou: dict[str, float | None]
    classes: dict[str, Accuracy]
    calibration: CalibrationError
    chips: int
    split_strategy: str
    leak_share: float | None
    leak_share_at_least: float | None
    model_sha256: str

    @model_validator(mode="after")
    def _require_same_classes(self) -> Self:
        if self.iou.keys() != self.classes.keys():
            raise ValueError("iou and classes have different classes")
        return self


@dataclass(frozen=True)
class Publication:
    """A network and what is known about it."""

    model: Model
    scores: Scores | None
    """Of this model."""
    why_no_scores: str
    """For the card; empty if there are scores."""
    check: Check
    """Of the ONNX file."""

    @property
    def name(self) -> str:
        """Return a name for catalogues, such as landcoverai-unet-resnet18."""
        config = self.model.config
        return "-".join([self.model.data.dataset, config.architecture, config.encoder]).lower()

    @property
    def parameters(self) -> int:
        """Number of parameters of the network."""
        return sum(parameter.numel() for parameter in self.model.segmenter.parameters())

    @property
    def spdx(self) -> str | None:
        """SPDX identifier of the licence of the training images; None without one."""
        licence = self.model.data.licence
        if licence.startswith(SAMPLE_LICENCE):
            return SAMPLE_LICENCE
        return licence.replace(" ", "-") if licence in LICENCES.values() else None


def parse_scores(text: str, name: str, model: Model) -> Scores:
    """Parse `metrics/evaluate.json`, and require that it is of this model.

    Args:
        text: of the file.
        name: of the file, for messages.
        model: is compared by its digest.

    Raises:
        PipelineError: it is of another model, or damaged.
    """
    try:
        scores = Scores.model_validate_json(text)
    except ValidationError as error:
        raise PipelineError(
            f"{name} is not a file of the stage evaluate ({first_error(error)}); run `dvc repro evaluate`"
        ) from None
    if scores.model_sha256 != model.digest:
        raise PipelineError(
            f"{name} has the scores of another model ({scores.model_sha256[:12]}…, not {model.digest[:12]}…); "
            "run `dvc repro evaluate`, or give the scores of this model: --metrics"
        )
    return scores
