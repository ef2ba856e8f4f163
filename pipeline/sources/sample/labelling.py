"""Labels of a Sentinel-2 chip as annotators draw them: imprecise borders and a consensus score."""

import numpy as np

from pipeline.sources.sample.ground import Ground
from pipeline.sources.sample.noise import derive_seed, fractal_noise, perturb_borders, top_share, white_noise


def annotate(ground: Ground, with_unlabelled: bool) -> np.ndarray:
    """Return the class and the annotators' consensus in percent.

    Args:
        ground: maps of the site.
        with_unlabelled: leave some pixels without a class.

    Returns:
        (2, height, width) of uint16.
    """
    seed = ground.site.seed
    seeds = derive_seed(seed, "hand", 0), derive_seed(seed, "hand", 1)
    class_HW = perturb_borders(ground.class_HW, reach=1, cell=19, seeds=seeds)
    border_HW = np.zeros(class_HW.shape, bool)
    border_HW[:, 1:] |= class_HW[:, 1:] != class_HW[:, :-1]
    border_HW[1:] |= class_HW[1:] != class_HW[:-1]
    doubt_HW = fractal_noise(class_HW.shape, 12, 3, derive_seed(seed, "doubt"))
    block = white_noise((class_HW.shape[0] // 32, class_HW.shape[1] // 32), derive_seed(seed, "blocks"))
    block_HW = block.repeat(32, axis=0).repeat(32, axis=1)  # annotators labelled blocks of 32 pixels
    consensus_HW = np.full(class_HW.shape, 100, np.uint16)
    unsure_HW = border_HW | (doubt_HW > 700) | (block_HW > 860)
    consensus_HW[unsure_HW] = (64 + block_HW % 8)[unsure_HW]
    if with_unlabelled:
        unlabelled_HW = top_share(doubt_HW, 10) & (block_HW > 500)
        class_HW[unlabelled_HW] = 0
        consensus_HW[unlabelled_HW] = 34
    return np.stack([class_HW.astype(np.uint16), consensus_HW])
