"""What is published with a network: its description, how it was trained, and scores that are its own."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pipeline.core.errors import PipelineError
from pipeline.formats.datasets import LICENCES
from pipeline.learning.model import Model
from pipeline.publishing.onnx_model import Check

ONNX, ITEM, CARD = "model.onnx", "mlm.json", "README.md"
FILES = (ONNX, ITEM, CARD)
"""The files of an exported folder."""
SAMPLE_LICENCE = "MIT"


@dataclass(frozen=True)
class Publication:
    """A network and what is known about it."""

    model: Model
    scores: dict[str, Any] | None
    """`metrics/evaluate.json` of this model."""
    why_no_scores: str
    """For the card; empty if there are scores."""
    check: Check
    """Of the ONNX file."""

    @property
    def name(self) -> str:
        """Return a name for catalogues, such as landcoverai-unet-resnet18."""
        config, data = self.model.config, self.model.data
        return "-".join([data.dataset if data else "land-cover", config.architecture, config.encoder]).lower()

    @property
    def spdx(self) -> str | None:
        """SPDX identifier of the licence of the training images; None if unknown or without one."""
        licence = self.model.data.licence if self.model.data else ""
        if licence.startswith(SAMPLE_LICENCE):
            return SAMPLE_LICENCE
        return licence.replace(" ", "-") if licence in LICENCES.values() else None


class Scores(BaseModel):
    """The scores that a card shows; others are not checked."""

    model_config = ConfigDict(allow_inf_nan=False)

    mean_iou: float | None = None
    pixel_accuracy: float | None = None
    iou: dict[str, float | None] = {}
    classes: dict[str, dict[str, float | None]] = {}
    calibration: dict[str, float | None] = {}
    interval: dict[str, Any] = {}


def parse_scores(text: str, name: str, model: Model) -> dict[str, Any]:
    """Parse `metrics/evaluate.json`, and require that it is of this model.

    Args:
        text: of the file.
        name: of the file, for messages.
        model: is compared by its digest.

    Raises:
        PipelineError: it is of another model, of an older version that does not record the model, or damaged.
    """
    try:
        scores = json.loads(text)
        digest = scores.get("model_sha256")
    except (ValueError, AttributeError):
        raise PipelineError(f"{name} is not a file of the stage evaluate; run `dvc repro evaluate`") from None
    if digest is None:
        raise PipelineError(f"{name} does not record its model, like files of older versions; run `dvc repro evaluate`")
    if digest != model.digest:
        raise PipelineError(
            f"{name} has the scores of another model ({str(digest)[:12]}…, not {model.digest[:12]}…); "
            "run `dvc repro evaluate`, or give the scores of this model: --metrics"
        )
    try:
        Scores.model_validate(scores)
    except ValidationError as error:
        key = ".".join(map(str, error.errors()[0]["loc"]))
        raise PipelineError(f"{name}: {key} is no score; run `dvc repro evaluate`") from None
    return dict(scores)
