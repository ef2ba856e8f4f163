"""Predict an image in memory."""

from pathlib import Path

import numpy as np
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE
from pipeline.inference.forward import NetworkRun
from pipeline.inference.network import LoadedModel, Wanted
from pipeline.inference.windows import Plan
from pipeline.raster.georeference import Georeference


class ArrayScene:
    """An image in memory as a `Scene`."""

    def __init__(self, image_HWC: np.ndarray, valid_HW: np.ndarray) -> None:
        self.image_HWC, self.valid_HW = image_HWC, valid_HW
        self.height, self.width, self.band_count = image_HWC.shape
        self.name, self.georeference = "image", Georeference(None, Affine.identity())
        self.identity: list[object] = []
        self.notes: list[str] = []
        self.damaged: list[str] = []
        self.files: list[Path] = []

    def read(self, window: Window) -> tuple[np.ndarray, np.ndarray]:
        """Return a window, as `Scene.read`."""
        rows, columns = window.toslices()
        valid_HW = self.valid_HW[rows, columns]
        return np.where(valid_HW[..., None], self.image_HWC[rows, columns], np.uint8(0)), valid_HW


def predict_array(
    model: LoadedModel,
    image_HWC: np.ndarray,
    valid_HW: np.ndarray | None = None,
    wanted: Wanted = Wanted(),  # noqa: B008  # frozen
) -> dict[str, np.ndarray]:
    """Predict an image of any size in memory, with the windows of `predict_scene`.

    Args:
        model: see `load_model`.
        image_HWC: uint8, as the chips that the model was trained on: `to_8bit` of `pipeline.raster.imagery` converts
            other values.
        valid_HW: bool; where False, the image counts as black and the layers are 255. None: every pixel is valid.
        wanted: layers besides the classes.

    Returns:
        `classes`, uint8 class ids (1, H, W); if wanted, `confidence` in per cent, uint8 (1, H, W), and `probabilities`
        in per cent, uint8 (K, H, W), classes in the order of `model.model.table`.

    Raises:
        PipelineError: the image has another shape or type.
    """
    bands = model.model.segmenter.bands
    if image_HWC.ndim != 3 or image_HWC.shape[2] != bands or image_HWC.dtype != np.uint8 or not image_HWC.size:
        raise PipelineError(
            f"the image is {image_HWC.dtype} of shape {image_HWC.shape}; expected uint8 of shape (height, width, "
            f"{bands})"
        )
    height, width, _ = image_HWC.shape
    valid_HW = np.ones((height, width), bool) if valid_HW is None else valid_HW
    if valid_HW.shape != (height, width) or valid_HW.dtype != bool:
        raise PipelineError(
            f"valid_HW is {valid_HW.dtype} of shape {valid_HW.shape}; expected bool of shape {(height, width)}"
        )
    whole = Window(0, 0, width, height)
    tiling, size = model.plan(None)
    scene = ArrayScene(image_HWC, valid_HW)
    run = NetworkRun(model, scene, Plan.make(whole, scene, tiling, size), wanted, lambda _: True)
    layers = {name: np.full((bands, height, width), IGNORE, np.uint8) for name, bands in run.layer_bands.items()}
    for _, cores in run.predict((batch, run.read(batch)) for batch in run.batches(0)):
        for core in cores:
            for name, values_CHW in core.layers.items():
                rows = slice(core.row, core.row + values_CHW.shape[1])
                layers[name][:, rows, core.column : core.column + values_CHW.shape[2]] = values_CHW
    return layers
