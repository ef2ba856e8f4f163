"""The labels of a Sentinel-2 chip as people made them: borders a pixel off, and how far the labellers agreed."""

import numpy as np

from pipeline.sources.sample.ground import Ground
from pipeline.sources.sample.noise import derive, displaced, fractal_noise, quantile, value_noise, white_noise


def label(ground: Ground, unnamed: bool) -> np.ndarray:
    """Class and consensus of the labellers in percent.

    Args:
        ground: the site.
        unnamed: whether the labellers left some pixels without a name.

    Returns:
        (2, height, width) of uint16.
    """
    seed = ground.site.seed
    drawn_HW = _drawn(ground.class_HW, seed)
    border_HW = np.zeros(drawn_HW.shape, bool)
    border_HW[:, 1:] |= drawn_HW[:, 1:] != drawn_HW[:, :-1]
    border_HW[1:] |= drawn_HW[1:] != drawn_HW[:-1]
    doubt_HW = fractal_noise(drawn_HW.shape, 12, 3, derive(seed, "doubt"))
    block = white_noise((drawn_HW.shape[0] // 32, drawn_HW.shape[1] // 32), derive(seed, "blocks"))
    block_HW = block.repeat(32, axis=0).repeat(32, axis=1)  # labellers were given squares of 32 pixels
    consensus_HW = np.full(drawn_HW.shape, 100, np.uint16)
    unsure_HW = border_HW | (doubt_HW > 700) | (block_HW > 860)
    consensus_HW[unsure_HW] = (64 + block_HW % 8)[unsure_HW]
    if unnamed:
        nobody_HW = (doubt_HW > quantile(doubt_HW, 990)) & (block_HW > 500)
        drawn_HW[nobody_HW] = 0
        consensus_HW[nobody_HW] = 34
    return np.stack([drawn_HW.astype(np.uint16), consensus_HW])


def _drawn(class_HW: np.ndarray, seed: int) -> np.ndarray:
    """The classes with borders that are a pixel off here and there."""
    rows, columns = ((value_noise(class_HW.shape, 19, derive(seed, "hand", axis)) * 3 >> 10) - 1 for axis in range(2))
    return displaced(class_HW, rows, columns)
