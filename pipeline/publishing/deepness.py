"""Metadata by which QGIS' plugin Deepness runs an ONNX file without further settings.

Keys and their use are those of Deepness 0.6.5 (`processing/models/model_base.py`); GeoDeep 0.9.13 reads the same ones.
Values are JSON. Deepness applies them when a user presses "Load default parameters"; before, it has its own: 3 cm/px,
15 % overlap, a threshold of 0.5, and a median filter of 9 px ("Remove small segment areas").

Deepness divides the values of a layer by 255, whatever their type; GeoDeep divides integers by the range of their type.
So both need 8-bit layers. Other imagery is converted first, as the key `imagery` describes:
`255 * (scale * value + offset - low) / (high - low)`, cut off at 0 and 255.
"""

import json
from typing import Any

from pipeline.learning.model import Model
from pipeline.scenes.ground import MIN_METRES

OVERLAP = 25
"""Of tiles, in per cent of their side: Deepness and GeoDeep drop half of it, 128 of 1,024 px, at each side of a tile
that has a neighbour there."""


def deepness_metadata(model: Model, tile: int) -> dict[str, str]:
    """Describe an ONNX file whose graph normalises images and returns a softmax.

    Args:
        model: what was exported.
        tile: side of the input in pixels.

    Returns:
        JSON by key: those of Deepness and GeoDeep, and those of this project (`class_ids`, `class_colours`,
        `resolutions`, `imagery`, `model_sha256`). Deepness needs classes numbered from 0; `class_ids` and
        `class_colours` list the ids in this project's maps and the colours in that order.
    """
    values: dict[str, Any] = {
        "model_type": "Segmentor",
        "class_names": dict(enumerate(model.table.names)),
        "tile_size": tile,  # read by the code of Deepness
        "tiles_size": tile,  # in its documentation
        "tiles_overlap": OVERLAP,
        "standardization_mean": [0.0, 0.0, 0.0],
        "standardization_std": [1.0, 1.0, 1.0],
        "seg_thresh": 0,  # else unsure pixels get class 0: the threshold is applied before argmax
        "seg_small_segment": 0,
        "class_ids": model.table.ids,
        "class_colours": [entry.colour for entry in model.table.classes],
        "imagery": {
            "bands": model.imagery.bands,
            "scale": model.imagery.scale,
            "offset": model.imagery.offset,
            "stretch": model.imagery.stretch,
        },
        "model_sha256": model.digest,
    }
    if resolutions := resolutions_cm(model):
        values |= {"resolution": resolutions[0], "resolutions": resolutions}
    return {key: json.dumps(value) for key, value in values.items()}


def resolutions_cm(model: Model) -> list[float]:
    """Return the pixel sizes of the training in cm, ascending; the first, the finest, is the default of a file.

    Like `pipeline.scenes.ground`, it takes them as metres. Empty if unknown, or if they can only be degrees.
    """
    sizes = sorted(model.pixel_sizes)
    return [round(100 * size, 4) for size in sizes] if sizes and sizes[0] >= MIN_METRES else []
