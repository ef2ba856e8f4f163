"""The network alone, on pixels in memory; used by `benchmarks.predict`.

python -m benchmarks._predict_bare MODEL SCENE windows|whole

`windows`: the windows that the command puts through the network; `whole`: the whole scene at once. Prints null where
that does not fit in the memory that is free.
"""

import sys
import time
from pathlib import Path

import numpy as np
import rasterio
from rasterio.windows import Window

from benchmarks._predict_common import report
from pipeline.inference.memory import batch_bytes_per_pixel
from pipeline.inference.network import LoadedModel, load_model
from pipeline.inference.windows import network_windows


def read_windows(model: LoadedModel, image_HWC: np.ndarray) -> list[np.ndarray]:
    """Cut a scene into batches_NHWC of windows, as the command does."""
    height, width = image_HWC.shape[:2]
    tiling, batch = model.plan(None)
    windows = [window for row in network_windows(Window(0, 0, width, height), height, width, tiling) for window in row]
    starts = [(window.rows.start, window.columns.start) for window in windows]
    rows, columns = windows[0].rows.size, windows[0].columns.size
    padded_HWC = np.pad(image_HWC, ((0, -height % tiling.stride), (0, -width % tiling.stride), (0, 0)))
    images = [padded_HWC[row : row + rows, column : column + columns] for row, column in starts]
    return [np.stack(images[first : first + batch]) for first in range(0, len(images), batch)]


def available_bytes() -> int:
    """Return the memory that is free or can be freed."""
    (line,) = (line for line in Path("/proc/meminfo").read_text().splitlines() if line.startswith("MemAvailable"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Print the seconds of a forward pass over all batches, after one to warm up."""
    model, kind = load_model(Path(sys.argv[1]), "cpu"), sys.argv[3]
    with rasterio.open(sys.argv[2]) as scene:
        image_HWC = np.ascontiguousarray(scene.read().transpose(1, 2, 0))
    batches = read_windows(model, image_HWC) if kind == "windows" else [image_HWC[None]]
    needed = batch_bytes_per_pixel(model.model.segmenter, model.device) * batches[0][..., 0].size
    if needed > available_bytes():
        print("null")
        return
    model.logits(batches[0])
    start = time.perf_counter()
    for images_NHWC in batches:
        model.logits(images_NHWC)
    report(time.perf_counter() - start, computed=sum(batch[..., 0].size for batch in batches))


if __name__ == "__main__":
    main()
