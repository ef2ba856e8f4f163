from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageEnhance
from scipy.ndimage import gaussian_filter

from pipeline.formats.classes import IGNORE
from pipeline.learning.data import Stream, generator
from pipeline.learning.distortions import (
    KINDS,
    Distortion,
    Kind,
    adjust_colour,
    distort,
    distort_chip,
    draw,
    zoom_chip,
)

SEEDS, SHARES = st.integers(0, 2**32 - 1), st.floats(0, 1, exclude_max=True)
POSITIONS, ZOOMS = st.tuples(SHARES, SHARES), st.floats(0.7, 1.4)
EVERYTHING = Distortion(0.8, (0.5, 0.5), 1.2, 0.8, 1.2, 0.7, 0.05, 7)


def seeded(seed: int) -> torch.Generator:
    return generator(Stream.DISTORTIONS, seed)


def chips(count: int = 1, bands: int = 3, side: int = 32, low: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(3)
    images_NCHW = torch.randint(low, 256, (count, bands, side, side), generator=random, dtype=torch.uint8)
    return images_NCHW, torch.randint(5, (count, side, side), generator=random, dtype=torch.uint8)


def chip(bands: int = 3, low: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    images_NCHW, masks_NHW = chips(1, bands, low=low)
    return images_NCHW[0], masks_NHW[0]


@pytest.mark.parametrize("bands", [3, 4, 6])
@pytest.mark.parametrize(
    "changes", [{}, {"zoom": 1 + 1e-9}, {"zoom": 1 - 1e-9, "position": (0.9, 0.9)}, {"blur": 1e-3}, {"noise": 1e-9}]
)
def test_what_changes_nothing_changes_no_byte(bands: int, changes: dict[str, float]) -> None:
    image_CHW, mask_HW = chip(bands)
    image, mask = distort_chip(image_CHW, mask_HW, replace(Distortion(), **changes))  # type: ignore[arg-type]
    assert torch.equal(image, image_CHW)
    assert torch.equal(mask, mask_HW)


def test_factors_of_1_change_no_byte() -> None:
    image_CHW, _ = chip(5)
    neutral = adjust_colour(image_CHW / 255, Distortion(saturation=1 + 1e-12))
    assert torch.equal((neutral * 255).round().to(torch.uint8), image_CHW)


@given(ZOOMS, POSITIONS, st.integers(4, 28), st.booleans())
def test_an_edge_of_the_image_stays_on_the_edge_of_the_mask(
    zoom: float, position: tuple[float, float], edge: int, across: bool
) -> None:
    mask_HW = (torch.arange(32) >= edge).to(torch.uint8).repeat(32, 1)
    mask_HW = mask_HW.T if across else mask_HW
    image, mask = zoom_chip((mask_HW * 254 + 1).repeat(3, 1, 1), mask_HW, zoom, position)
    level, labelled = image[0].int(), mask != IGNORE
    clear = labelled & ((level - 128).abs() > 1)  # in the middle of the edge either class is right
    assert clear.sum() >= labelled.sum() - 32
    assert torch.equal(level[clear] > 128, mask[clear] == 1)


@given(ZOOMS, POSITIONS)
def test_what_a_smaller_chip_leaves_free_is_black_and_ignored(zoom: float, position: tuple[float, float]) -> None:
    image, mask = zoom_chip(*chip(low=1), zoom, position)
    assert (image.shape, mask.shape, image.dtype, mask.dtype) == ((3, 32, 32), (32, 32), torch.uint8, torch.uint8)
    assert torch.equal(mask == IGNORE, (image == 0).all(0))
    assert int((mask != IGNORE).sum()) == min(32, round(32 * zoom)) ** 2
    assert set(mask.unique().tolist()) <= {0, 1, 2, 3, 4, IGNORE}


def pillow_resize(image_CHW: torch.Tensor, side: int) -> np.ndarray:
    """Resize to a square; Pillow's filter is antialiased when it shrinks. int64."""
    pillow = Image.fromarray(image_CHW.permute(1, 2, 0).numpy())
    return np.asarray(pillow.resize((side, side), Image.Resampling.BILINEAR)).transpose(2, 0, 1).astype(int)


def nearest(mask_HW: torch.Tensor, side: int) -> np.ndarray:
    """The pixels whose area contains the centres of the new ones."""
    centres = ((np.arange(side) + 0.5) * len(mask_HW) / side).astype(int)
    return mask_HW.numpy()[np.ix_(centres, centres)]


@given(st.floats(1.05, 1.4), POSITIONS)
def test_zooming_in_resizes_a_part(zoom: float, position: tuple[float, float]) -> None:
    image_CHW, mask_HW = chip()
    image, mask = zoom_chip(image_CHW, mask_HW, zoom, position)
    side = round(32 / zoom)
    top, left = (int(share * (33 - side)) for share in position)
    part = (..., slice(top, top + side), slice(left, left + side))
    assert np.abs(image.numpy() - pillow_resize(image_CHW[part], 32)).max() <= 1
    assert np.array_equal(mask, nearest(mask_HW[part], 32))


@given(st.floats(0.7, 0.95), POSITIONS)
def test_zooming_out_shrinks_the_whole_chip(zoom: float, position: tuple[float, float]) -> None:
    image_CHW, mask_HW = chip()
    image, mask = zoom_chip(image_CHW, mask_HW, zoom, position)
    side = round(32 * zoom)
    top, left = (int(share * (33 - side)) for share in position)
    part = (..., slice(top, top + side), slice(left, left + side))
    assert np.abs(image[part].numpy() - pillow_resize(image_CHW, side)).max() <= 1
    assert np.array_equal(mask[part], nearest(mask_HW, side))


@given(st.floats(0.8, 1.2), st.floats(0.8, 1.2), st.floats(0.8, 1.2))
def test_colours_are_adjusted_as_pillow_does(brightness: float, contrast: float, saturation: float) -> None:
    image_CHW, _ = chip(low=1)
    drawn = Distortion(brightness=brightness, contrast=contrast, saturation=saturation)
    image, _ = distort_chip(*chip(low=1), drawn)
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


@pytest.mark.parametrize("sigma", [0.5, 0.8, 1.0])
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


@given(st.integers(1, 40), st.integers(0, 40), SEEDS)
def test_ranks_draw_what_one_process_draws(count: int, skip: int, seed: int) -> None:
    assert draw(count, KINDS, seeded(seed), skip) == draw(skip + count, KINDS, seeded(seed))[skip:]


def test_a_batch_in_parts_gives_the_same_chips_and_does_not_change_its_input() -> None:
    images_NCHW, masks_NHW = chips(20)
    images, masks = distort(images_NCHW, masks_NHW, KINDS, seeded(4))
    first, rest = (
        distort(images_NCHW[part], masks_NHW[part], KINDS, seeded(4), part.start)
        for part in (slice(0, 7), slice(7, 20))
    )
    assert torch.equal(images, torch.cat([first[0], rest[0]]))
    assert torch.equal(masks, torch.cat([first[1], rest[1]]))
    assert (images.dtype, masks.dtype) == (torch.uint8, torch.uint8)
    changed = [not torch.equal(*pair) for pair in zip(images, images_NCHW, strict=True)]
    assert 0 < sum(changed) < 20  # some chips stay as they are
    assert torch.equal(images_NCHW, chips(20)[0])


def test_bf16_training_distorts_as_fp32_does() -> None:
    batch = chips(8)
    with torch.autocast("cpu", torch.bfloat16):
        under_autocast = distort(*batch, ("blur",), seeded(1))
    assert torch.equal(under_autocast[0], distort(*batch, ("blur",), seeded(1))[0])
    assert not torch.equal(under_autocast[0], batch[0])


@pytest.mark.parametrize("zoom", [0.8, 1.3])
def test_nothing_waits_for_the_device(zoom: float) -> None:
    image_CHW, mask_HW = (tensor.to("meta") for tensor in chip(4))  # without values: reading one is an error
    image, mask = distort_chip(image_CHW, mask_HW, replace(EVERYTHING, zoom=zoom, noise=0.0))
    assert (image.shape, mask.shape, image.dtype, mask.device.type) == ((4, 32, 32), (32, 32), torch.uint8, "meta")
