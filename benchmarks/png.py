"""Writing a chip as PNG: ours, OpenCV, Pillow.

    make repro && python -m benchmarks.png

The sample's first chip, and a noisy one, 512 px: milliseconds (median of 30), and the size of the file.
"""

import io
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

import cv2
import numpy as np
from PIL import Image

from benchmarks._machine import machine
from pipeline.formats.png import read_image, write_image

CHIPS = Path("data/chips/landcoverai/images")
ROUNDS = 30


def with_pillow(image_HWC: np.ndarray) -> int:
    """Encode at Pillow's fastest level, and return the size."""
    file = io.BytesIO()
    Image.fromarray(image_HWC).save(file, "PNG", compress_level=1)
    return file.tell()


def measure(encode: Callable[[], int]) -> tuple[float, int]:
    """Return milliseconds and size."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        size = encode()
        times.append(1000 * (time.perf_counter() - start))
    return statistics.median(times), size


def main() -> None:
    """Print a row for each chip and encoder."""
    noise_HWC = np.random.default_rng(0).integers(90, 110, (512, 512, 3), np.uint8)
    print(machine())
    with TemporaryDirectory() as folder:
        path = Path(folder, "chip.png")

        def with_ours(image_HWC: np.ndarray) -> int:
            write_image(path, image_HWC)
            return path.stat().st_size

        encoders: dict[str, Callable[[np.ndarray], int]] = {
            "ours, with the file": with_ours,
            "OpenCV's default, in memory": lambda image_HWC: len(cv2.imencode(".png", image_HWC)[1]),
            "Pillow, level 1, in memory": with_pillow,
        }
        for chip, image_HWC in (("sample", read_image(min(CHIPS.iterdir()))), ("noise", noise_HWC)):
            for name, encode in encoders.items():
                milliseconds, size = measure(lambda encode=encode, image=image_HWC: encode(image))  # type: ignore[misc]
                print(f"{chip}: {name}: {milliseconds:.2f} ms, {size / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
