import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st

from pipeline.learning.augment import SYMMETRIES, apply_symmetry, random_flip_rotate
from pipeline.learning.data import Stream, generator

SQUARE = torch.tensor([[1, 2], [3, 4]])

# the symmetries of [[1, 2], [3, 4]], row by row
ALL_EIGHT = [
    [1, 2, 3, 4],
    [2, 4, 1, 3],
    [4, 3, 2, 1],
    [3, 1, 4, 2],
    [2, 1, 4, 3],
    [1, 3, 2, 4],
    [3, 4, 1, 2],
    [4, 2, 3, 1],
]


def numbered(chips: int, side: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Images and masks whose values are the number of the pixel."""
    masks_NHW = torch.arange(side * side).reshape(1, side, side).repeat(chips, 1, 1)
    return masks_NHW[:, None].repeat(1, 3, 1, 1), masks_NHW


def test_the_eight_symmetries_of_a_square() -> None:
    assert [apply_symmetry(SQUARE, symmetry).flatten().tolist() for symmetry in range(SYMMETRIES)] == ALL_EIGHT


def test_only_rows_and_columns_are_transformed() -> None:
    images_NCHW = torch.arange(2 * 3 * 4 * 4).reshape(2, 3, 4, 4)
    for symmetry in range(8):
        turned = apply_symmetry(images_NCHW, symmetry)
        assert torch.equal(turned[1, 2], apply_symmetry(images_NCHW[1, 2], symmetry))


@given(st.integers(1, 12), st.integers(1, 6), st.integers(0, 2**32 - 1))
def test_image_and_mask_get_the_same_symmetry(chips: int, side: int, seed: int) -> None:
    images, masks = random_flip_rotate(*numbered(chips, side), generator(Stream.AUGMENTATION, seed))
    assert all(torch.equal(images[:, band], masks) for band in range(3))
    assert all(sorted(mask.flatten().tolist()) == list(range(side * side)) for mask in masks)


@given(st.integers(0, 2**32 - 1))
def test_the_same_seed_gives_the_same_result_and_does_not_change_its_input(seed: int) -> None:
    images, masks = numbered(5, 4)
    first, second = (random_flip_rotate(images, masks, generator(Stream.AUGMENTATION, seed)) for _ in range(2))
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])
    assert torch.equal(masks, numbered(5, 4)[1])


def test_all_eight_are_equally_likely() -> None:
    images = SQUARE.repeat(8000, 1, 1, 1)
    _, masks = random_flip_rotate(images, images[:, 0], generator(Stream.AUGMENTATION, 7))
    kinds, counts = np.unique(masks.flatten(1).numpy(), axis=0, return_counts=True)
    assert sorted(kinds.tolist()) == sorted(ALL_EIGHT)
    assert counts.min() > 850
    assert counts.max() < 1150


def test_ignored_pixels_and_dtypes_are_kept() -> None:
    images = torch.full((2, 3, 4, 4), 255, dtype=torch.uint8)
    turned, masks = random_flip_rotate(images, images[:, 0], generator(Stream.AUGMENTATION, 1))
    assert (turned.dtype, masks.dtype) == (torch.uint8, torch.uint8)
    assert masks.unique().tolist() == [255]
