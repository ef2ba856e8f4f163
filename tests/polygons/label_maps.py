"""Small class maps with many corners, holes and pixels of nodata, and their labels."""

import numpy as np
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

NODATA = 255

sizes = st.integers(1, 12)
class_maps = st.one_of(
    arrays(np.uint8, st.tuples(sizes, sizes), elements=st.sampled_from([0, 1])),
    arrays(np.uint8, st.tuples(sizes, sizes), elements=st.sampled_from([0, 0, 0, 1, 2, NODATA])),
)


def label(class_HW: np.ndarray) -> np.ndarray:
    """Label the patches of every class; 0 is nodata."""
    label_HW = np.zeros(class_HW.shape, np.int32)
    for class_id in np.unique(class_HW[class_HW != NODATA]):
        own_HW, _ = ndimage.label(class_HW == class_id)
        label_HW[own_HW > 0] = own_HW[own_HW > 0] + label_HW.max()
    return label_HW
