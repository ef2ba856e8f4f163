"""Patches below the minimum mapping unit join the neighbour of the longest border, in blocks as in one piece."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import ndimage

from pipeline.inference.sieve import sieve
from pipeline.polygons.patches import NODATA

maps = arrays(np.uint8, st.tuples(st.integers(1, 8), st.integers(1, 8)), elements=st.sampled_from([0, 1, 2, NODATA]))
sizes = st.integers(0, 12)
rows = st.integers(1, 8)


def windowed(class_HW: np.ndarray, min_pixels: int, block_rows: int = 1000) -> np.ndarray:
    def blocks() -> list[np.ndarray]:
        return [class_HW[top : top + block_rows] for top in range(0, len(class_HW), block_rows)]

    new = list(sieve(blocks, min_pixels))
    assert [block.shape for block in new] == [block.shape for block in blocks()]
    return np.concatenate(new)


def patches_of(class_HW: np.ndarray) -> list[np.ndarray]:
    """Return a mask for each patch."""
    masks = []
    for class_id in np.unique(class_HW[class_HW != NODATA]):
        label_HW, count = ndimage.label(class_HW == class_id)
        masks += [label_HW == number for number in range(1, count + 1)]
    return masks


def shared_border(one_HW: np.ndarray, other_HW: np.ndarray) -> int:
    down, right = (slice(1, None), slice(None)), (slice(None), slice(1, None))
    up, left = (slice(-1), slice(None)), (slice(None), slice(-1))
    sides = ((up, down), (down, up), (left, right), (right, left))
    return int(sum((one_HW[here] & other_HW[there]).sum() for here, there in sides))


def small_with_a_neighbour(class_HW: np.ndarray, min_pixels: int) -> list[np.ndarray]:
    """Return the small patches that have a neighbour, in the order of their turns."""
    has_class = class_HW != NODATA
    small = [mask for mask in patches_of(class_HW) if mask.sum() < min_pixels]
    found = [mask for mask in small if (ndimage.binary_dilation(mask) & has_class & ~mask).any()]
    return sorted(found, key=lambda mask: (mask.sum(), np.flatnonzero(mask)[0]))


def reference(class_HW: np.ndarray, min_pixels: int) -> np.ndarray:
    """Label the whole map anew after each patch."""
    class_HW = class_HW.copy()
    while small := small_with_a_neighbour(class_HW, min_pixels):
        patch_HW = small[0]
        near_HW = ndimage.binary_dilation(patch_HW) & ~patch_HW
        neighbours = [mask for mask in patches_of(class_HW) if (mask & near_HW).any()]

        def preference(mask: np.ndarray, patch_HW: np.ndarray = patch_HW) -> tuple[int, int, int]:
            return -shared_border(patch_HW, mask), -mask.sum(), class_HW[mask][0]

        class_HW[patch_HW] = class_HW[min(neighbours, key=preference)][0]
    return class_HW


@pytest.mark.parametrize(
    ("before", "after", "min_pixels"),
    [
        # the longest border counts, not the largest neighbour
        (["112222", "102222", "112222"], ["112222", "112222", "112222"], 2),
        # of equal borders, the larger patch; of equal patches, the lower class
        (["1102222"], ["1122222"], 2),
        (["22011"], ["22111"], 2),
        # the smallest patch is first: 5 (1 px) becomes 0; so 2 (2 px) has neighbours of 4 px and 3 px
        (["000522333"], ["000000333"], 3),
        # of equal small patches, the first: the second pixel becomes 1, then the third has 1 (3 px) and 4 (2 px) beside
        (["112344"], ["111144"], 2),
        # a merged patch waits: 1 becomes 2; these 2 px come before the 2 px of 3, for which 4 would be the larger
        ([".1233444"], [".3333444"], 3),
        # its first pixel is that of its parts: 1 becomes 2, 3 px before the 3 px of 3, which would become 4
        (["1.344", "23344", "2...."], ["3.344", "33344", "3...."], 4),
        # patches that touch afterwards are one: 0 has 2 px on either side, with 1 between them 5
        (["003", "100", "222", "222"], ["000", "000", "222", "222"], 4),
        # a frame around a hole is one neighbour
        (["0000", "0120", "0000"], ["0000", "0000", "0000"], 3),
        # no data is no neighbour
        (["1.00", "..00", "002."], ["1.00", "..00", "000."], 4),
        # a map below the size becomes one class
        (["0112"], ["1111"], 100),
        (["3"], ["3"], 100),
    ],
)
def test_maps_by_head(before: list[str], after: list[str], min_pixels: int) -> None:
    before_HW, after_HW = (
        np.array([[NODATA if char == "." else int(char) for char in line] for line in lines], np.uint8)
        for lines in (before, after)
    )
    for block_rows in range(1, len(before) + 1):
        assert windowed(before_HW, min_pixels, block_rows).tolist() == after_HW.tolist()
    assert reference(before_HW, min_pixels).tolist() == after_HW.tolist()


@given(maps, sizes, rows)
def test_blocks_of_any_height_give_what_the_definition_gives(
    class_HW: np.ndarray, min_pixels: int, block_rows: int
) -> None:
    assert (windowed(class_HW, min_pixels, block_rows) == reference(class_HW, min_pixels)).all()


def test_blocks_of_any_height_give_the_same_large_map() -> None:
    random = np.random.default_rng(0)
    score_KHW = [ndimage.gaussian_filter(random.normal(size=(300, 200)), 1) for _ in range(6)]
    class_HW = np.argmax(score_KHW, axis=0).astype(np.uint8)
    class_HW[class_HW == 5] = NODATA
    whole_HW = windowed(class_HW, 25)
    assert not small_with_a_neighbour(whole_HW, 25)
    for block_rows in (1, 13, 64, 299):
        assert (windowed(class_HW, 25, block_rows) == whole_HW).all()
