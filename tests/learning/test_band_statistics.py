"""Bands beyond red, green and blue are normalised by the pixels with data of all training chips."""

from pathlib import Path

import numpy as np
import pytest

from pipeline.formats.chips import Chip, make_chip_folders
from pipeline.formats.png import save_chip
from pipeline.learning.band_statistics import band_statistics
from pipeline.learning.data import Chips
from tests.world import TWO_CLASSES


def chips_of(folder: Path, *images: np.ndarray) -> Chips:
    """Chips 0, 1, …"""
    bands = images[0].shape[2]
    make_chip_folders(folder, bands)
    for number, image_HWC in enumerate(images):
        mask_HW = np.full(image_HWC.shape[:2], 255, np.uint8)
        save_chip(
            folder, Chip(str(number), "s", 0, 0, *mask_HW.shape), image_HWC.astype(np.uint8), mask_HW, TWO_CLASSES
        )
    return Chips(folder, [str(number) for number in range(len(images))], TWO_CLASSES, bands)


def test_values_by_hand(tmp_path: Path) -> None:
    image_HWC = np.array([[[0, 51, 255, 255, 7], [51, 51, 0, 255, 7]]])
    mean, std = band_statistics(chips_of(tmp_path, image_HWC))
    assert mean == pytest.approx([0.1, 0.2, 0.5, 1.0, 7 / 255])
    assert std == pytest.approx([0.1, 1 / 255, 0.5, 1 / 255, 1 / 255])  # a constant band: one step


def test_they_are_numpys_over_all_chips(tmp_path: Path) -> None:
    images = [np.random.default_rng(seed).integers(1, 255, (9, 8, 6)) // (seed + 1) + 1 for seed in range(7)]
    chips = chips_of(tmp_path, *images)
    pixels_NC = np.concatenate([image_HWC.reshape(-1, 6) for image_HWC in images]) / 255
    mean, std = band_statistics(chips)
    assert mean == pytest.approx(pixels_NC.mean(axis=0))
    assert std == pytest.approx(pixels_NC.std(axis=0))
    assert band_statistics(Chips(chips.folder, chips.ids[::-1], TWO_CLASSES, 6)) == (mean, std)  # to the last bit


def test_pixels_without_data_do_not_count(tmp_path: Path) -> None:
    image_HWC = np.random.default_rng(0).integers(0, 256, (4, 5, 4))
    image_HWC[..., 3] += image_HWC.sum(axis=2) == 0
    padded_HWC = np.pad(image_HWC, ((0, 3), (0, 2), (0, 0)))
    plain, padded = (chips_of(tmp_path / name, image) for name, image in (("a", image_HWC), ("b", padded_HWC)))
    assert band_statistics(plain) == band_statistics(padded)
    empty = chips_of(tmp_path / "c", np.zeros((2, 2, 4)))
    assert band_statistics(empty) == ((0.0,) * 4, (1 / 255,) * 4)
