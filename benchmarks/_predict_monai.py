"""MONAI's sliding window over a scene in memory, with the project's network; used by `benchmarks.predict`.

python -m benchmarks._predict_monai MODEL SCENE OUT PRECISION WINDOW HALO
"""

import sys
import time
from pathlib import Path

import rasterio
import torch
from monai.inferers import sliding_window_inference  # type: ignore[import-not-found,unused-ignore]

from benchmarks._predict_common import report
from pipeline.learning.device import Device
from pipeline.learning.model import load_model


def main() -> None:
    """Print the seconds from opening the scene to the map on disk."""
    path, out, window, halo = sys.argv[2], sys.argv[3], int(sys.argv[5]), int(sys.argv[6])
    device = Device("cpu", sys.argv[4])  # type: ignore[arg-type]
    network = load_model(Path(sys.argv[1])).segmenter.eval().to(memory_format=device.memory_format)
    start = time.perf_counter()
    with rasterio.open(path) as scene:
        image_1CHW = torch.from_numpy(scene.read())[None].float()  # MONAI adds up logits in the dtype of its input
        profile = scene.profile | {"count": 1, "photometric": None}
    with torch.inference_mode(), device.autocast():
        logits_1KHW = sliding_window_inference(image_1CHW, window, 1, network, overlap=2 * halo / window)
    with rasterio.open(out, "w", **{key: value for key, value in profile.items() if value is not None}) as file:
        file.write(logits_1KHW.argmax(dim=1).byte().numpy())
    report(time.perf_counter() - start)


if __name__ == "__main__":
    main()
