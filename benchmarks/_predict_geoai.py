"""geoai's inference on a GeoTIFF, with the project's network; used by `benchmarks.predict`.

python -m benchmarks._predict_geoai MODEL SCENE OUT PRECISION WINDOW HALO
"""

import sys
import time
from pathlib import Path

import torch
from geoai.train import semantic_inference_on_geotiff  # type: ignore[import-not-found,unused-ignore]
from torch import nn

from benchmarks._predict_common import report
from pipeline.learning.device import Device
from pipeline.learning.model import load_model


class UnitRange(nn.Module):
    """The project's network for images from 0 to 1, as geoai passes them."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, images_NCHW: torch.Tensor) -> torch.Tensor:
        """Predict logits_NKHW."""
        logits_NKHW: torch.Tensor = self.network(255 * images_NCHW)
        return logits_NKHW


def main() -> None:
    """Print the seconds from opening the scene to the map on disk."""
    path, out, window, halo = sys.argv[2], sys.argv[3], int(sys.argv[5]), int(sys.argv[6])
    device = Device("cpu", sys.argv[4])  # type: ignore[arg-type]
    model = load_model(Path(sys.argv[1]))
    network = UnitRange(model.segmenter.to(memory_format=device.memory_format))
    start = time.perf_counter()
    with device.autocast():
        semantic_inference_on_geotiff(
            network,
            path,
            out,
            window_size=window,
            overlap=2 * halo,
            batch_size=1,
            num_classes=len(model.table.classes),
            device=torch.device("cpu"),
            quiet=True,
        )
    report(time.perf_counter() - start)


if __name__ == "__main__":
    main()
