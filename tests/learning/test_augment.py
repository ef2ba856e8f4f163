"""Image and mask are turned, zoomed, coloured and blurred as stated, alike on any number of devices."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from pipeline.formats.classes import IGNORE
from pipeline.learning.augment import (
    KINDS,
    SYMMETRIES,
    Distortion,
    Kind,
    apply_symmetry,
    distort,
    distort_chip,
    draw,
    random_flip_rotate,
    zoom_chip,
)
from pipeline.learning.batches import Stream, generator

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
SEEDS, SHARES = st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True)
POSITIONS = st.tuples(SHARES, SHARES)
EVERYTHING = Distortion(0.8, (0.5, 0.5), 1.2, 0.8, 1.2, 0.7, 0.05, 7)


def seeded(seed: int) -> torch.Generator:
    return generator(Stream.DISTORTIONS, seed)


def chip(bands: int = 3, low: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    image_CHW = torch.randint(low, 256, (bands, 32, 32), generator=random, dtype=torch.uint8)
    return image_CHW, torch.randint(5, (32, 32), generator=random, dtype=torch.uint8)


def test_the_eight_symmetries_of_a_square() -> None:
    assert [apply_symmetry(SQUARE, symmetry).flatten().tolist() for symmetry in range(SYMMETRIES)] == ALL_EIGHT


@given(st.integers(1, 12), st.integers(1, 6), SEEDS)
def test_image_and_mask_get_the_same_symmetry(chips: int, side: int, seed: int) -> None:
    numbered_NHW = torch.arange(side * side).reshape(1, side, side).repeat(chips, 1, 1)
    images, masks = random_flip_rotate(numbered_NHW[:, None].repeat(1, 3, 1, 1), numbered_NHW, seeded(seed))
    assert all(torch.equal(images[:, band], masks) for band in range(3))
    assert all(sorted(mask.flatten().tolist()) == list(range(side * side)) for mask in masks)


def test_all_eight_are_equally_likely() -> None:
    images = SQUARE.repeat(8000, 1, 1, 1)
    _, masks = random_flip_rotate(images, images[:, 0], seeded(7))
    kinds, counts = np.unique(masks.flatten(1).numpy(), axis=0, return_counts=True)
    assert sorted(kinds.tolist()) == sorted(ALL_EIGHT)
    assert (counts.min() > 850, counts.max() < 1150) == (True, True)


@pytest.mark.parametrize("bands", [3, 4, 6])
@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"zoom": 1 + 1e-9},
        {"zoom": 1 - 1e-9, "position": (0.9, 0.9)},
        {"saturation": 1 + 1e-12},
        {"blur": 1e-3},
        {"noise": 1e-9},
    ],
)
def test_what_changes_nothing_changes_no_byte(bands: int, changes: dict[str, float]) -> None:
    image_CHW, mask_HW = chip(bands)
    image, mask = distort_chip(image_CHW, mask_HW, replace(Distortion(), **changes))  # type: ignore[arg-type]
    assert torch.equal(image, image_CHW)
    assert torch.equal(mask, mask_HW)


def pillow_resize(image_CHW: torch.Tensor, side: int) -> np.ndarray:
    """Resize to a square; Pillow's filter is antialiased when it shrinks. int64."""
    pillow = Image.fromarray(image_CHW.permute(1, 2, 0).numpy())
    return np.asarray(pillow.resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1).astype(int)


def nearest(mask_HW: torch.Tensor, side: int) -> np.ndarray:
    """The pixels whose area contains the centres of the new ones."""
    centres = ((np.arange(side) + 0.5) * len(mask_HW) / side).astype(int)
    return mask_HW.numpy()[np.ix_(centres, centres)]


@given(st.floats(0.7, 0.95) | st.floats(1.05, 1.4), POSITIONS)
def test_zooming_in_resizes_a_part_and_zooming_out_shrinks_the_chip(zoom: float, position: tuple[float, float]) -> None:
    image_CHW, mask_HW = chip(low=1)
    image, mask = zoom_chip(image_CHW, mask_HW, zoom, position)
    side = round(32 * min(zoom, 1 / zoom))
    top, left = (int(share * (33 - side)) for share in position)
    part = (..., slice(top, top + side), slice(left, left + side))
    if zoom > 1:
        assert np.abs(image.numpy() - pillow_resize(image_CHW[part], 32)).max() <= 1
        assert np.array_equal(mask, nearest(mask_HW[part], 32))
    else:
        assert np.abs(image[part].numpy() - pillow_resize(image_CHW, side)).max() <= 1
        assert np.array_equal(mask[part], nearest(mask_HW, side))
        assert torch.equal(mask == IGNORE, (image == 0).all(0))  # around it
        assert int((mask != IGNORE).sum()) == side**2
    assert (image.dtype, mask.dtype) == (torch.uint8, torch.uint8)


@given(st.floats(0.8, 1.2), st.floats(0.8, 1.2), st.floats(0.8, 1.2))
def test_colours_are_adjusted_as_pillow_does(brightness: float, contrast: float, saturation: float) -> None:
    image_CHW, mask_HW = chip(low=1)
    drawn = Distortion(brightness=brightness, contrast=contrast, saturation=saturation)
    image, _ = distort_chip(image_CHW, mask_HW, drawn)
    pillow: Image.Image = Image.fromarray(image_CHW.permute(1, 2, 0).numpy())
    for enhance, factor in (
        (ImageEnhance.Brightness, brightness),
        (ImageEnhance.Contrast, contrast),
        (ImageEnhance.Color, saturation),
    ):
        pillow = enhance(pillow).enhance(factor)
    difference = image.permute(1, 2, 0).numpy().astype(int) - np.asarray(pillow)
    assert np.abs(difference).max() <= 4  # Pillow rounds down three times


def test_further_bands_have_brightness_and_contrast_about_their_own_mean() -> None:
    image_CHW, mask_HW = chip(5, low=1)
    image_CHW[4] = 100
    drawn = Distortion(brightness=1.1, contrast=0.8, saturation=1.2)
    image, _ = distort_chip(image_CHW, mask_HW, drawn)
    alone, _ = distort_chip(image_CHW[:3], mask_HW, drawn)
    assert torch.equal(image[:3], alone)
    brighter = (image_CHW[3].double() * 1.1).clamp(max=255)
    expected = (0.8 * brighter + 0.2 * brighter.mean()).round()
    assert (image[3].double() - expected).abs().max() <= 1
    assert image[4].unique().tolist() == [110]


@pytest.mark.parametrize("sigma", [0.5, 1.0])
def test_blur_is_a_gaussian_filter(sigma: float) -> None:
    image_CHW, mask_HW = chip(4, low=1)
    image, mask = distort_chip(image_CHW, mask_HW, Distortion(blur=sigma))
    expected = gaussian_filter(image_CHW.double().numpy(), (0, sigma, sigma), mode="mirror", radius=(0, 3, 3))
    assert np.abs(image.numpy() - expected).max() < 0.51
    assert torch.equal(mask, mask_HW)


def test_noise_has_its_sigma_and_its_seed() -> None:
    grey, mask_HW = torch.full((3, 128, 128), 128, dtype=torch.uint8), torch.zeros((128, 128), dtype=torch.uint8)
    first, again, other = (
        distort_chip(grey, mask_HW, Distortion(noise=0.05, noise_seed=seed))[0] for seed in (5, 5, 6)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert first.float().std().item() == pytest.approx(0.05 * 255, rel=0.05)
    assert first.float().mean().item() == pytest.approx(128, abs=0.5)


@pytest.mark.parametrize("bands", [3, 4])
def test_pixels_without_data_stay_black_and_labels_stay_under_them(bands: int) -> None:
    image_CHW, mask_HW = chip(bands, low=1)
    image_CHW[:, :, :10] = 0
    image_CHW[0, 0] = 0  # black in one band: data
    image, mask = distort_chip(image_CHW, mask_HW, replace(EVERYTHING, zoom=1.0))
    assert not image[:, :, :10].any()
    assert image[0, 0, 10:].any()
    assert torch.equal(mask, mask_HW)


def test_draws_are_in_their_ranges_and_as_frequent_as_stated() -> None:
    drawn = draw(4000, KINDS, seeded(1))
    zooms = [one.zoom for one in drawn if one.zoom != 1]
    assert 1900 < len(zooms) < 2100
    assert 0.7 <= min(zooms) < 0.71 < 1.38 < max(zooms) < 1.4
    assert 0.4 < np.mean(np.array(zooms) < 1) < 0.6
    coloured = [(one.brightness, one.contrast, one.saturation) for one in drawn if one.brightness != 1]
    assert 1900 < len(coloured) < 2100
    assert 0.8 <= np.min(coloured) < 0.81 < 1.19 < np.max(coloured) < 1.2
    assert np.abs(np.corrcoef(np.array(coloured).T) - np.eye(3)).max() < 0.1
    blurs, noises = ([getattr(one, name) for one in drawn if getattr(one, name)] for name in ("blur", "noise"))
    assert (700 < len(blurs) < 900, 330 < len(noises) < 470) == (True, True)
    assert 0.5 <= min(blurs) < 0.52 < 0.98 < max(blurs) < 1
    assert max(noises) < 0.225 * 0.1**0.5 < 1.05 * max(noises)
    assert len({one.noise_seed for one in drawn if one.noise}) == len(noises)


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_is_drawn_alike_alone_and_with_others(kind: Kind) -> None:
    alone, all_kinds = draw(50, (kind,), seeded(2)), draw(50, KINDS[::-1], seeded(2))
    fields = {
        "scale": ("zoom", "position"),
        "colour": ("brightness", "contrast", "saturation"),
        "blur": ("blur", "noise", "noise_seed"),
    }[kind]
    assert alone == [Distortion(**{name: getattr(one, name) for name in fields}) for one in all_kinds]
    assert alone != [Distortion()] * 50


def test_bf16_training_distorts_as_fp32_does() -> None:
    images_NCHW, masks_NHW = (torch.stack([tensor] * 8) for tensor in chip())
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast, _ = distort(images_NCHW, masks_NHW, ("blur",), seeded(1))
    assert torch.equal(under_autocast, distort(images_NCHW, masks_NHW, ("blur",), seeded(1))[0])
    assert not torch.equal(under_autocast, images_NCHW)


@pytest.mark.parametrize("zoom", [0.8, 1.3])
def test_nothing_waits_for_the_device(zoom: float) -> None:
    image_CHW, mask_HW = (tensor.to("meta") for tensor in chip(4))  # without values: reading one is an error
    image, mask = distort_chip(image_CHW, mask_HW, replace(EVERYTHING, zoom=zoom, noise=0.0))
    assert (image.shape, mask.shape, image.dtype, mask.device.type) == ((4, 32, 32), (32, 32), torch.uint8, "meta")
