"""A model as an item of a SpatioTemporal Asset Catalog: STAC 1.1.0 with the extension MLM 1.5.2.

pystac 1.15.2 writes MLM up to 1.4.0, so the item is a plain dictionary.
"""

import re
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.core.files import sha256
from pipeline.formats.chips import IMAGE_BANDS, Imagery
from pipeline.formats.datasets import LAYOUTS
from pipeline.publishing.onnx_model import IR_VERSION, OPSET, TILE
from pipeline.publishing.publication import CARD, ONNX, Publication

EXTENSIONS = ("mlm/v1.5.2", "file/v2.1.0")
UNKNOWN_TIME = {"datetime": None, "start_datetime": "1900-01-01T00:00:00Z", "end_datetime": "9999-12-31T23:59:59Z"}
"""The range that MLM's best practices give for a period without limits: STAC requires one where datetime is null."""
SHA2_256 = "1220"
"""Prefix of a multihash: SHA2-256, 32 bytes."""
UNNAMED = re.compile(r"[^0-9a-zA-Z_.-]")


def mlm_item(publication: Publication, folder: Path) -> dict[str, Any]:
    """Describe a model; the same item for the same files.

    `geometry` is null, and the period the widest possible: places and dates of the training images are not recorded.

    Args:
        publication: the model.
        folder: with model.onnx and README.md, whose sizes and checksums are recorded.
    """
    model = publication.model
    return {
        "type": "Feature",
        "stac_version": "1.1.0",
        "stac_extensions": [f"https://stac-extensions.github.io/{name}/schema.json" for name in EXTENSIONS],
        "id": f"{publication.name}-{model.digest[:12]}",
        "geometry": None,
        "properties": _properties(publication),
        "links": [],
        "assets": {
            "model": {
                "href": f"./{ONNX}",
                "type": "application/octet-stream; framework=onnx",
                "title": f"ONNX, opset {OPSET}, IR version {IR_VERSION}, fp32",
                "roles": ["mlm:model"],
                "mlm:artifact_type": "onnx",
                "bands": _bands(model.imagery),
            }
            | _file(folder / ONNX),
            "card": {"href": f"./{CARD}", "type": "text/markdown", "title": "Model card", "roles": ["metadata"]}
            | _file(folder / CARD),
        },
    }


def _bands(imagery: Imagery) -> list[dict[str, str]]:
    """Describe bands: MLM requires it in the properties, and STAC 1.1 allows it there if an asset has it too.

    Bands of Sentinel-2 have descriptions of their own; of numbered bands, the first three are taken as their colours.
    """
    known = LAYOUTS["landcovernet"].assets
    by_position = zip_longest(imagery.bands, ("red", "green", "blue"), fillvalue="")
    described = [(band, known.get(band, colour)) for band, colour in by_position]
    return [{"name": band} | ({"description": text} if text else {}) for band, text in described]


def _file(path: Path) -> dict[str, Any]:
    return {"file:size": path.stat().st_size, "file:checksum": SHA2_256 + sha256(path)}


def _properties(publication: Publication) -> dict[str, Any]:
    model, params = publication.model, publication.model.params
    synthetic = "Trained on synthetic images. " if model.imagery.synthetic else ""
    weights = params["encoder_weights"]
    return {
        "title": publication.name,
        "description": f"{synthetic}Semantic segmentation of land cover. Footprints and dates of the training images "
        "are not recorded: the geometry is null, and the period is the widest possible.",
        **UNKNOWN_TIME,
        "license": publication.spdx or "other",
        "bands": _bands(model.imagery),
        "mlm:name": publication.name,
        "mlm:architecture": f"{model.config.architecture} with encoder {model.config.encoder}",
        "mlm:tasks": ["semantic-segmentation"],
        "mlm:framework": "ONNX",
        "mlm:total_parameters": publication.parameters,
        "mlm:accelerator": None,
        "mlm:input": [_input(model.imagery)],
        "mlm:output": [_output(publication)],
        "model_sha256": model.digest,
        "mlm:pretrained": weights != "none",
        "mlm:pretrained_source": {"none": None, "imagenet": "ImageNet"}.get(weights, Path(weights).name),
        "mlm:hyperparameters": _flat(params),
    }


def _flat(params: dict[str, Any]) -> dict[str, Any]:
    """Join the names of nested params with dots, without the path of a file, which is private."""
    (flat,) = pd.json_normalize(params, sep=".").to_dict("records")
    if flat["encoder_weights"] not in ("none", "imagenet"):
        del flat["encoder_weights"]
    return {UNNAMED.sub("_", str(name)): value for name, value in flat.items()}


def _input(imagery: Imagery) -> dict[str, Any]:
    what = "Red, green and blue" if len(imagery.bands) == IMAGE_BANDS else f"Bands {', '.join(imagery.bands)}"
    found: dict[str, Any] = {
        "name": "image",
        "bands": list(imagery.bands),
        "input": {
            "shape": [-1, len(imagery.bands), TILE, TILE],
            "dim_order": ["batch", "bands", "height", "width"],
            "data_type": "float32",
        },
        "description": f"{what} between 0 and 1. Normalisation by mean and standard deviation is inside.",
        "resize_type": None,
    }
    if limits := raw_limits(imagery):
        low, high = limits
        found["value_scaling"] = [{"type": "min-max", "minimum": low, "maximum": high}]  # of all bands; or one for each
        found["description"] += " Scaled values below 0 and above 1 are cut off."
    else:
        found["description"] += " Each training image was stretched from its own smallest to its own largest value."
    return found


def raw_limits(imagery: Imagery) -> tuple[float, float] | None:
    """Return the values of an archive that become 0 and 1; None where each image has its own."""
    if isinstance(imagery.stretch, str):
        return None
    low, high = (round((limit - imagery.offset) / imagery.scale, 9) for limit in imagery.stretch)
    return low, high


def _output(publication: Publication) -> dict[str, Any]:
    model = publication.model
    return {
        "name": "probabilities",
        "tasks": ["semantic-segmentation"],
        "description": f"Softmax of the logits divided by the temperature {model.temperature:g}. The class of a pixel "
        "is that of the largest probability; values of classes are positions in the dimension class.",
        "result": {
            "shape": [-1, len(model.table.ids), TILE, TILE],
            "dim_order": ["batch", "class", "height", "width"],
            "data_type": "float32",
        },
        "classification:classes": [
            {
                "value": position,
                "name": entry.name,
                "description": f"{entry.name}, id {entry.id} in maps",
                "color_hint": hex_colour(entry.colour),
            }
            for position, entry in enumerate(model.table.classes)
        ],
    }


def hex_colour(colour: tuple[int, int, int]) -> str:
    """Return six upper-case digits."""
    return bytes(colour).hex().upper()
