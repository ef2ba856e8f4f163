"""Clouds, shadows, haze and the swath's edge cover their shares, and have sen2cor's and Ghana's codes."""

import numpy as np
import pytest

from pipeline.sources.sample.clouds import (
    DETECTABLE,
    Occlusion,
    Weather,
    cloud_mask,
    generate_occlusion,
    scene_classification,
)
from pipeline.sources.sample.shapes import direction

SHAPE = (128, 128)
SHADOW_DIRECTION = direction(42)
CLEAR = np.zeros(SHAPE, np.int32)


def generate(**shares: int) -> Occlusion:
    return generate_occlusion(SHAPE, Weather(**shares), SHADOW_DIRECTION, seed=5)


def uniform(*values: int) -> np.ndarray:
    return np.array(values, np.int32)[:, None, None] * np.ones((1, *SHAPE), np.int32)


@pytest.mark.parametrize("share", [20, 120, 400, 700])
def test_clouds_and_haze_cover_their_share_and_haze_is_not_opaque(share: int) -> None:
    assert (generate(cloud=share).cloud_HW >= DETECTABLE).mean() == pytest.approx(share / 1000, abs=0.01)
    haze_HW = generate(haze=share).haze_HW
    assert (haze_HW >= DETECTABLE).mean() == pytest.approx(share / 1000, abs=0.01)
    assert haze_HW.max() < 1024


@pytest.mark.parametrize("share", [50, 300])
def test_the_swath_ends_in_a_straight_line(share: int) -> None:
    missing_HW = generate(missing=share).missing_HW
    assert missing_HW.mean() == pytest.approx(share / 1000, abs=0.015)
    assert (np.abs(np.diff(missing_HW, axis=1)).sum(axis=1) <= 1).all()
    assert (np.abs(np.diff(missing_HW.sum(axis=1))) <= 1).all()


@pytest.mark.parametrize(
    ("reflectance", "expected"),
    [
        ((400, 700, 500, 3000), 4),
        ((900, 1300, 1900, 2500), 5),
        ((400, 420, 250, 150), 6),
        ((420, 470, 520, 800), 2),
    ],
)
def test_clear_ground_has_the_classes_of_sen2cor(reflectance: tuple[int, ...], expected: int) -> None:
    snow_HW = np.zeros(SHAPE, bool)
    assert (scene_classification(uniform(*reflectance), snow_HW, generate()) == expected).all()
    assert (scene_classification(uniform(*reflectance), ~snow_HW, generate()) == 11).all()


@pytest.mark.parametrize(
    ("name", "thickness", "scl", "ghana"),
    [
        ("cloud_HW", 300, 8, 1),
        ("cloud_HW", 900, 9, 1),
        ("shadow_HW", 300, 3, 2),
        ("haze_HW", 300, 10, 3),
        ("cloud_HW", 200, 4, 0),
    ],
)
def test_clouds_shadows_and_haze_have_their_codes(name: str, thickness: int, scl: int, ghana: int) -> None:
    layers = dict.fromkeys(("cloud_HW", "shadow_HW", "haze_HW"), CLEAR) | {name: CLEAR + thickness}
    occlusion = Occlusion(**layers, missing_HW=np.zeros(SHAPE, bool))
    bands, snow_HW = uniform(400, 700, 500, 3000), np.zeros(SHAPE, bool)
    assert (scene_classification(bands, snow_HW, occlusion) == scl).all()
    assert (cloud_mask(occlusion) == ghana).all()
