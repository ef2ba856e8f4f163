"""LandCover.ai's own way to cut scenes, as in its `split.py`; used by `benchmarks.tile`.

python -m benchmarks._tile_landcoverai RAW OUT

Serial; a scene and its mask are read whole, chips are written as JPEG, masks as PNG.
"""

import sys
import time
from pathlib import Path

import cv2

from benchmarks._predict_common import report

SIZE = 512


def main() -> None:
    """Print the seconds and the peak memory."""
    raw, out = Path(sys.argv[1]), Path(sys.argv[2])
    start = time.perf_counter()
    out.mkdir()
    for path in sorted((raw / "images").glob("*.tif")):
        image, mask = cv2.imread(str(path)), cv2.imread(str(raw / "masks" / path.name))
        assert image is not None and mask is not None
        k = 0
        for y in range(0, image.shape[0], SIZE):
            for x in range(0, image.shape[1], SIZE):
                image_tile, mask_tile = image[y : y + SIZE, x : x + SIZE], mask[y : y + SIZE, x : x + SIZE]
                if image_tile.shape[:2] == mask_tile.shape[:2] == (SIZE, SIZE):
                    cv2.imwrite(str(out / f"{path.stem}_{k}.jpg"), image_tile)
                    cv2.imwrite(str(out / f"{path.stem}_{k}_m.png"), mask_tile)
                k += 1
    report(time.perf_counter() - start)


if __name__ == "__main__":
    main()
