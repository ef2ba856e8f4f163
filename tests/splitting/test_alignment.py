"""Masks that are shifted against their images are found, and others are not suspected."""

from itertools import pairwise

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.formats.classes import IGNORE
from pipeline.splitting.alignment import REACH, SMALLEST, Displacement, find_displacement

SIDE = 160
Pairs = list[tuple[np.ndarray, np.ndarray]]


def fields(count: int, shift: tuple[int, int] = (0, 0), seed: int = 0) -> Pairs:
    """Images of polygons in noise, with masks that lie `shift` px to the right and below."""
    random = np.random.default_rng(seed)
    pairs = []
    for _ in range(count):
        classes_HW = np.zeros((SIDE, SIDE), np.uint8)
        for class_id in (1, 2, 3):
            corners = random.integers(0, SIDE, (5, 2)).astype(np.int32)
            cv2.fillPoly(classes_HW, [cv2.convexHull(corners)], class_id)
        image_HWC = 60 * classes_HW[..., None] + random.integers(0, 40, (SIDE, SIDE, 3))
        pairs.append((image_HWC.astype(np.uint8), np.roll(classes_HW, (shift[1], shift[0]), (0, 1))))
    return pairs


@settings(max_examples=20, deadline=None)
@given(st.integers(-REACH, REACH), st.integers(-REACH, REACH))
def test_a_displacement_is_found_to_the_pixel(right: int, down: int) -> None:
    found = find_displacement(fields(12, (right, down)))
    assert found is not None
    assert max(abs(found.right - right), abs(found.down - down)) <= 1


def test_a_small_displacement_is_not_worth_a_warning() -> None:
    shifts = [Displacement(0, 0), Displacement(SMALLEST - 1, 1 - SMALLEST), Displacement(0, SMALLEST)]
    assert [shift.is_visible for shift in shifts] == [False, False, True]


def test_masks_that_have_nothing_to_do_with_their_images_give_no_statement() -> None:
    images, masks = fields(12), fields(12, seed=1)
    unrelated = [(image, mask) for (image, _), (_, mask) in zip(images, masks, strict=True)]
    noise = [
        (np.random.default_rng(k).integers(0, 255, (SIDE, SIDE, 3)).astype(np.uint8), m)
        for k, (_, m) in enumerate(masks)
    ]
    assert find_displacement(unrelated) is None
    assert find_displacement(noise) is None


@pytest.mark.parametrize("count", [0, 7])
def test_few_chips_give_no_statement(count: int) -> None:
    assert find_displacement(fields(count)) is None


def test_borders_of_what_is_not_labelled_do_not_count() -> None:
    pairs = [(image, np.where(mask == 1, IGNORE, 0).astype(np.uint8)) for image, mask in fields(12, (9, 9))]
    assert find_displacement(pairs) is None


def test_constant_and_small_images_give_no_statement() -> None:
    flat = [(np.zeros_like(image), mask) for image, mask in fields(12)]
    small = [(image[:40, :40], mask[:40, :40]) for image, mask in fields(30)]
    assert find_displacement(flat) is None
    assert find_displacement(small) is None


def test_the_order_of_the_pairs_hardly_matters() -> None:
    pairs = fields(16, (6, -4))
    found = [find_displacement(pairs[start:] + pairs[:start]) for start in range(3)]
    assert all(first == second for first, second in pairwise(found))
