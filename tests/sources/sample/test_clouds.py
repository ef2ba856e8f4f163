from collections.abc import Callable

import numpy as np
import pytest

from pipeline.sources.sample.clouds import (
    DETECTABLE,
    Occlusion,
    SclClass,
    Weather,
    apply_occlusion,
    cloud_mask,
    cloud_probability,
    coarsen,
    generate_occlusion,
    scene_classification,
)
from pipeline.sources.sample.shapes import direction, move

SHAPE = (128, 128)
SHADOW_DIRECTION = direction(42)
CLEAR = np.zeros(SHAPE, np.int32)
RGBN = (0, 1, 2, 6)


def generate(**shares: int) -> Occlusion:
    return generate_occlusion(SHAPE, Weather(**shares), SHADOW_DIRECTION, seed=5)


def uniform(*values: int) -> np.ndarray:
    return np.array(values, np.int32)[:, None, None] * np.ones((1, *SHAPE), np.int32)


def test_a_clear_sky_occludes_nothing() -> None:
    clear = generate()
    assert not any(values_HW.any() for values_HW in vars(clear).values())
    bands = uniform(500, 700, 600, 2500)
    assert (apply_occlusion(bands, clear, RGBN) == bands).all()
    assert not cloud_mask(clear).any()
    assert not cloud_probability(clear, 1).any()


@pytest.mark.parametrize("share", [20, 120, 400, 700])
def test_clouds_cover_their_share(share: int) -> None:
    assert (generate(cloud=share).cloud_HW >= DETECTABLE).mean() == pytest.approx(share / 1000, abs=0.01)


@pytest.mark.parametrize("share", [30, 300, 600])
def test_haze_covers_its_share_and_is_not_opaque(share: int) -> None:
    haze_HW = generate(haze=share).haze_HW
    assert (haze_HW >= DETECTABLE).mean() == pytest.approx(share / 1000, abs=0.01)
    assert haze_HW.max() < 1024


@pytest.mark.parametrize("share", [50, 300])
def test_the_swath_ends_in_a_straight_line(share: int) -> None:
    missing_HW = generate(missing=share).missing_HW
    assert missing_HW.mean() == pytest.approx(share / 1000, abs=0.015)
    assert (np.abs(np.diff(missing_HW, axis=1)).sum(axis=1) <= 1).all()
    assert (np.abs(np.diff(missing_HW.sum(axis=1))) <= 1).all()


def test_shadows_are_the_clouds_displaced_away_from_the_sun() -> None:
    occlusion = generate(cloud=100)
    shadow_HW = occlusion.shadow_HW >= DETECTABLE
    assert 0.02 < shadow_HW.mean() < 0.3

    def best_overlap(towards: tuple[int, int]) -> float:
        overlaps = []
        for distance in range(14, 41):
            pixels = np.argwhere(shadow_HW) - move((0, 0), towards, distance)
            pixels = pixels[((pixels >= 0) & (pixels < 128)).all(axis=1)]
            overlaps.append(float((occlusion.cloud_HW >= DETECTABLE // 2)[tuple(pixels.T)].mean()))
        return max(overlaps)

    assert best_overlap(SHADOW_DIRECTION) > 0.95 > 0.5 > best_overlap(direction(42 + 32))


def test_thick_clouds_are_white_and_shadows_dark_and_bluish() -> None:
    thick = np.full(SHAPE, 1024, np.int32)
    bands = uniform(600, 900, 1200, 2500)
    missing = np.zeros(SHAPE, bool)
    white = apply_occlusion(bands, Occlusion(thick, CLEAR, CLEAR, missing), RGBN)[:, 0, 0].astype(int)
    dark = apply_occlusion(bands, Occlusion(CLEAR, thick, CLEAR, missing), RGBN)[:, 0, 0].astype(int)
    assert white.min() > 5000
    assert (dark < [400, 500, 600, 1200]).all()
    assert dark[0] / 600 > dark[2] / 1200


def test_bands_are_0_outside_the_swath_and_nowhere_else() -> None:
    occlusion = generate(missing=200, cloud=100)
    assert ((apply_occlusion(uniform(0, 0, 0, 0), occlusion, RGBN) == 0) == occlusion.missing_HW).all()


@pytest.mark.parametrize(
    ("reflectance", "expected"),
    [
        ((400, 700, 500, 3000), SclClass.VEGETATION),
        ((900, 1300, 1900, 2500), SclClass.BARE),
        ((400, 420, 250, 150), SclClass.WATER),
        ((420, 470, 520, 800), SclClass.DARK),
    ],
)
def test_clear_ground_has_the_classes_of_sen2cor(reflectance: tuple[int, ...], expected: SclClass) -> None:
    snow_HW = np.zeros(SHAPE, bool)
    assert (scene_classification(uniform(*reflectance), snow_HW, generate()) == expected).all()
    assert (scene_classification(uniform(*reflectance), ~snow_HW, generate()) == SclClass.SNOW).all()


@pytest.mark.parametrize(
    ("name", "thickness", "scl", "ghana"),
    [
        ("cloud_HW", 300, SclClass.CLOUD_MEDIUM, 1),
        ("cloud_HW", 900, SclClass.CLOUD_HIGH, 1),
        ("shadow_HW", 300, SclClass.SHADOW, 2),
        ("haze_HW", 300, SclClass.CIRRUS, 3),
        ("cloud_HW", 200, SclClass.VEGETATION, 0),
    ],
)
def test_clouds_shadows_and_haze_have_their_codes(name: str, thickness: int, scl: SclClass, ghana: int) -> None:
    layers = dict.fromkeys(("cloud_HW", "shadow_HW", "haze_HW"), CLEAR) | {name: CLEAR + thickness}
    occlusion = Occlusion(**layers, missing_HW=np.zeros(SHAPE, bool))
    bands, snow_HW = uniform(400, 700, 500, 3000), np.zeros(SHAPE, bool)
    assert (scene_classification(bands, snow_HW, occlusion) == scl).all()
    assert (cloud_mask(occlusion) == ghana).all()


def test_outside_the_swath_scl_and_cld_are_no_data() -> None:
    occlusion = Occlusion(CLEAR, CLEAR, CLEAR, np.ones(SHAPE, bool))
    assert (scene_classification(uniform(1, 1, 1, 1), np.zeros(SHAPE, bool), occlusion) == SclClass.NO_DATA).all()
    assert (cloud_probability(occlusion, 1) == 255).all()


@pytest.mark.parametrize("product", [cloud_mask, lambda occlusion: cloud_probability(occlusion, 2)])
def test_products_are_uint8_of_the_size_of_the_scene(product: Callable[[Occlusion], np.ndarray]) -> None:
    values_HW = product(generate(cloud=300, haze=200))
    assert (values_HW.shape, values_HW.dtype) == (SHAPE, np.uint8)


def test_coarsening_repeats_pixels_and_crops_the_last_block() -> None:
    assert coarsen(np.arange(15).reshape(3, 5), 2).tolist() == [[0, 0, 2, 2, 4]] * 2 + [[10, 10, 12, 12, 14]]
