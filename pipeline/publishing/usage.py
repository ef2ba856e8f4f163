"""How to use an exported model: the section of its card."""

import textwrap
from collections.abc import Iterable

from pipeline.formats.chips import IMAGE_BANDS, Imagery
from pipeline.publishing.onnx_model import TILE
from pipeline.publishing.publication import ITEM, ONNX, Publication
from pipeline.publishing.stac_mlm import raw_limits


def usage(publication: Publication) -> Iterable[list[str]]:
    """Describe three ways to use a model, as blocks of lines of Markdown."""
    imagery = publication.model.imagery
    yield ["With the project that trained it, and its model folder:"]
    yield _code("sh", "python -m pipeline.predict scene.tif -o map.tif --model FOLDER")
    if isinstance(imagery.stretch, str):
        yield [
            f"Each training chip had its own stretch, so `pipeline.predict` refuses this model, and `{ONNX}` needs "
            "images of a chip's size, stretched in the same way."
        ]
    needed = "red, green and blue" if len(imagery.bands) == IMAGE_BANDS else f"bands {', '.join(imagery.bands)}"
    yield [
        f"In QGIS, with the plugin Deepness: choose `{ONNX}` and press *Load default parameters*. The layer needs "
        f"8-bit {needed} in this order. Classes are numbered as channels."
    ]
    if (limits := raw_limits(imagery)) and not is_8bit(imagery):
        yield ["Convert a layer of other values first:"]
        low, high = limits
        yield _code("sh", f"gdal_translate -ot Byte -scale {low:g} {high:g} 0 255 scene.tif scene8.tif")
    yield ["In Python, with numpy, onnxruntime and rasterio; here for one tile:"]
    yield _code("python", example(publication))
    yield [f"`{ITEM}` describes inputs and outputs for programs (STAC, extension MLM)."]


def example(publication: Publication) -> str:
    """Return Python code that maps the first tile of scene.tif with the model in the current folder."""
    model = publication.model
    imagery = model.imagery
    is_numbered = all(band.isdecimal() for band in imagery.bands)
    bands = [int(band) if is_numbered else number for number, band in enumerate(imagery.bands, 1)]
    low, high = raw_limits(imagery) or (0, 255)
    byte = f"np.rint(255 * np.clip((tile - {low:g}) / ({high:g} - {low:g}), 0, 1))"
    return textwrap.dedent(f"""\
        import numpy as np
        import onnxruntime
        import rasterio
        from rasterio.windows import Window

        window = Window(0, 0, {TILE}, {TILE})
        with rasterio.open("scene.tif") as scene:
            tile = scene.read({bands}, window=window, boundless=True, fill_value=0)  # {", ".join(imagery.bands)}
        image = np.float32({"tile" if is_8bit(imagery) else byte} / 255)[None]
        session = onnxruntime.InferenceSession("{ONNX}")
        (probabilities,) = session.run(None, {{"image": image}})
        classes = np.array({list(model.table.ids)}, np.uint8)[probabilities[0].argmax(axis=0)]
        confidence = probabilities[0].max(axis=0)
        """).strip()


def _code(language: str, text: str) -> list[str]:
    return [f"```{language}", text, "```"]


def is_8bit(imagery: Imagery) -> bool:
    """Return whether values are used as they are."""
    return raw_limits(imagery) == (0, 255)
