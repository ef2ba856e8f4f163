"""A patch is the same whatever the blocks in which a map is read."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from pipeline.polygons.patches import NODATA, Patches, PatchLabeller

maps = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 1, 2, NODATA]))
rows = st.integers(1, 9)
columns = st.none() | st.integers(1, 9)


def label(class_HW: np.ndarray, rows: int, columns: int | None = None) -> tuple[np.ndarray, Patches]:
    """Return the patch of every pixel, and the patches; of full-width blocks if `columns` is None."""
    height, width = class_HW.shape
    labeller = PatchLabeller(None if columns is None else width)
    ids_HW = np.empty(class_HW.shape, np.int32)
    for top in range(0, height, rows):
        for left in range(0, width, columns or width):
            block = (slice(top, top + rows), slice(left, left + (columns or width)))
            ids_HW[block] = labeller.add(class_HW[block])
    patches = labeller.finish()
    return patches.id_N[ids_HW], patches


def test_patches_are_numbered_by_their_first_pixel_and_0_is_nodata() -> None:
    class_HW = np.array(
        [
            [255, 7, 0, 7],
            [0, 7, 0, 7],
            [0, 255, 0, 0],
        ],
        np.uint8,
    )
    id_HW, patches = label(class_HW, 2)
    assert id_HW.tolist() == [
        [0, 1, 2, 3],
        [4, 1, 2, 3],
        [4, 0, 2, 2],
    ]
    assert patches.class_P.tolist() == [255, 7, 0, 7, 0]
    assert patches.pixels_P.tolist() == [0, 2, 4, 2, 2]
    assert patches.first_P.tolist() == [-1, 1, 2, 3, 4]


@given(maps, rows, columns)
def test_patches_are_those_of_scipy_with_the_class_size_and_first_pixel_of_their_pixels(
    class_HW: np.ndarray, block_rows: int, block_columns: int | None
) -> None:
    id_HW, patches = label(class_HW, block_rows, block_columns)
    found = 0
    for class_id in set(np.unique(class_HW)) - {NODATA}:
        own_HW, count = ndimage.label(class_HW == class_id)
        pairs = set(zip(own_HW[own_HW > 0].tolist(), id_HW[own_HW > 0].tolist(), strict=True))
        assert len(pairs) == count == len({patch for _, patch in pairs})
        found += count
    assert len(patches.class_P) == found + 1
    assert (patches.class_P[id_HW] == class_HW).all()
    assert ((id_HW == 0) == (class_HW == NODATA)).all()
    assert patches.pixels_P[1:].tolist() == np.bincount(id_HW.ravel())[1:].tolist()
    for patch in range(1, len(patches.class_P)):
        assert patches.first_P[patch] == np.flatnonzero(id_HW == patch)[0]
    assert (np.diff(patches.first_P) > 0).all()
