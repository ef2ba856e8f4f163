"""The rules by which QGIS' plugin Deepness 0.6.5 maps a layer; used by `benchmarks.export` and tests.

python -m benchmarks._export_deepness MODEL.onnx SCENE OUT.npy

Written from its source (`processing/`): `extent_utils.py` and `tile_params.py` place tiles, and
`map_processor/map_processor_segmentation.py` and `models/model_base.py` predict. For an entire 8-bit layer at its own
pixel size, with the parameters of the file's metadata. Tiles start at the lower left corner and extend beyond the layer
at its top and right; QGIS does not define the pixels there, which are black here. Imports only numpy, rasterio and
onnxruntime, of any version.
"""

import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime
import rasterio


@dataclass(frozen=True)
class Tiles:
    """Tiles along one axis; all in pixels."""

    length: int
    """Of the layer."""
    size: int
    overlap: int

    @property
    def step(self) -> int:
        """From one tile to the next."""
        return self.size - self.overlap

    @property
    def missing(self) -> int:
        """Pixels beyond the layer in the last tile."""
        return self.size - self.length if self.length <= self.size else -(self.length - self.size) % self.step

    @property
    def spans(self) -> Iterator[tuple[int, slice]]:
        """Start of each tile and the part of the axis that it contributes: half an overlap is dropped between tiles."""
        last = self.length + self.missing - self.size
        for start in range(0, last + 1, self.step):
            low = start + self.overlap // 2 if start else start
            high = start + self.size - (self.overlap // 2 if start < last else 0)
            yield start, slice(low, high)


def read_parameters(session: onnxruntime.InferenceSession) -> tuple[int, int, float]:
    """Return tile size, overlap in pixels and threshold, as after "Load default parameters"."""
    metadata = session.get_modelmeta().custom_metadata_map
    size, per_cent, threshold = (json.loads(metadata[key]) for key in ("tile_size", "tiles_overlap", "seg_thresh"))
    assert json.loads(metadata["seg_small_segment"]) == 0  # else a median filter follows
    return int(size), int(size * per_cent / 100 * 2) // 2, float(threshold)


def extend(image_HWC: np.ndarray, size: int, overlap: int) -> np.ndarray:
    """Extend a layer to whole tiles: above and to the right."""
    rows, columns = (Tiles(length, size, overlap) for length in image_HWC.shape[:2])
    return np.pad(image_HWC, ((rows.missing, 0), (0, columns.missing), (0, 0)))


def deepness_map(session: onnxruntime.InferenceSession, image_HWC: np.ndarray) -> np.ndarray:
    """Map a layer: indices_HW, uint8, of the network's outputs."""
    size, overlap, threshold = read_parameters(session)
    extended_HWC = extend(image_HWC, size, overlap)
    height, width, _ = extended_HWC.shape
    indices_HW = np.zeros((height, width), np.uint8)
    for top, rows in Tiles(height, size, overlap).spans:
        for left, columns in Tiles(width, size, overlap).spans:
            tile_1HWC = extended_HWC[None, top : top + size, left : left + size]
            input_1CHW = (tile_1HWC * 1.0 / 255.0).astype(np.float32).transpose(0, 3, 1, 2)
            (result_1KHW,) = session.run(None, {session.get_inputs()[0].name: input_1CHW})
            result_1KHW[result_1KHW < threshold] = 0
            tile_HW = result_1KHW.argmax(axis=1)[0]
            indices_HW[rows, columns] = tile_HW[
                rows.start - top : rows.stop - top, columns.start - left : columns.stop - left
            ]
    return indices_HW[height - image_HWC.shape[0] :, : image_HWC.shape[1]]


def main() -> None:
    """Write the map, and print the version of onnxruntime."""
    session = onnxruntime.InferenceSession(sys.argv[1], providers=["CPUExecutionProvider"])
    with rasterio.open(sys.argv[2]) as scene:
        image_HWC = scene.read([1, 2, 3]).transpose(1, 2, 0)
    np.save(Path(sys.argv[3]), deepness_map(session, image_HWC))
    print(onnxruntime.__version__)


if __name__ == "__main__":
    main()
