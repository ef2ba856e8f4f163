"""The study's way to convert Sentinel-2 chips; used by `benchmarks.tif_to_png`.

python -m benchmarks._tif_to_png_study RAW OUT CHIPS

Bands are stacked, stretched between their extremes and written by a plotting library. A label is coloured by a loop
over the classes and the pixels, and written in the same way. Nothing is checked. Print milliseconds per chip.
"""

import sys
import time
from pathlib import Path

import matplotlib as mpl
import numpy as np
import rasterio
from matplotlib import pyplot as plt

from pipeline.formats.classes import read_classes

BANDS = ("B04.tif", "B03.tif", "B02.tif")


def read_band(path: Path) -> np.ndarray:
    """Read the first band of a GeoTIFF."""
    with rasterio.open(path) as dataset:
        band_HW: np.ndarray = dataset.read(1)
    return band_HW


def image_to_png(folder: Path, png: Path) -> None:
    """Stack, stretch and plot the bands of an item."""
    bands_HWC = np.dstack([read_band(folder / name) for name in BANDS]).astype(float)
    plt.imsave(png, (bands_HWC - bands_HWC.min()) / (bands_HWC.max() - bands_HWC.min()))


def label_to_png(path: Path, colours: dict[int, tuple[int, int, int]], png: Path) -> None:
    """Colour a label class by class and pixel by pixel."""
    label_HW = read_band(path)
    picture_HWC = np.zeros((*label_HW.shape, 3), np.uint8)
    for class_id, colour in colours.items():
        for row in range(label_HW.shape[0]):
            for column in range(label_HW.shape[1]):
                if label_HW[row, column] == class_id:
                    picture_HWC[row, column] = colour
    plt.imsave(png, picture_HWC)


def main() -> None:
    """Print milliseconds per chip."""
    raw, out, count = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    mpl.use("Agg")
    colours = {entry.id: entry.colour for entry in read_classes(raw / "classes.json").classes}
    items = sorted(path.parent for path in raw.glob("*/*/B04.tif"))[:count]
    labels = sorted(raw.glob("*/*/labels.tif"))[:count]
    out.mkdir(parents=True)
    plt.imsave(out / "first.png", np.zeros((2, 2, 3)))  # it loads its encoder
    start = time.perf_counter()
    for number, (folder, label) in enumerate(zip(items, labels, strict=True)):
        image_to_png(folder, out / f"image{number}.png")
        label_to_png(label, colours, out / f"label{number}.png")
    print(1000 * (time.perf_counter() - start) / len(items))


if __name__ == "__main__":
    main()
