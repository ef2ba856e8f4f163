"""Mean and standard deviation of each band over chips, to normalise images of more than three bands.

There are no ImageNet statistics for such bands.
"""

from concurrent.futures import ThreadPoolExecutor

import numpy as np

from pipeline.core.cpus import available_cpus
from pipeline.formats.png import read_chip_image
from pipeline.learning.data import Chips

SMALLEST_STD = 1 / 255
"""Of a band that is constant: one step of 8 bits."""
VALUES = np.arange(256)


def band_statistics(chips: Chips) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Return mean and standard deviation of each band, of values in 0 to 1, over the visible pixels of chips.

    Pixels that are 0 in every band have no data, or pad a chip. Labels do not count: the network sees all pixels, and
    in some datasets few are labelled. One chip a thread is in memory; sums are integers, so that their order does not
    matter.

    Raises:
        PipelineError: a chip cannot be read.
    """
    histogram_CV = np.zeros((chips.bands, len(VALUES)), np.int64)
    with ThreadPoolExecutor(available_cpus()) as pool:
        for chip_CV in pool.map(lambda chip: _histogram(read_chip_image(chips.folder, chip, chips.bands)), chips.ids):
            histogram_CV += chip_CV
    pixels = max(1, int(histogram_CV[0].sum()))
    sums, squares = (histogram_CV @ VALUES).tolist(), (histogram_CV @ VALUES**2).tolist()
    variances = [pixels * square - total**2 for total, square in zip(sums, squares, strict=True)]  # times pixels**2
    mean = tuple(total / pixels / 255 for total in sums)
    return mean, tuple(max(variance**0.5 / pixels / 255, SMALLEST_STD) for variance in variances)


def _histogram(image_HWC: np.ndarray) -> np.ndarray:
    """Count the values of each band in the visible pixels, int64 (bands, 256)."""
    bands = image_HWC.shape[2]
    offset_HWC = image_HWC.astype(np.int64) + len(VALUES) * np.arange(bands)
    histogram_CV = np.bincount(offset_HWC.ravel(), minlength=len(VALUES) * bands).reshape(bands, -1)
    histogram_CV[:, 0] -= int((~image_HWC.any(axis=2)).sum())
    return histogram_CV
