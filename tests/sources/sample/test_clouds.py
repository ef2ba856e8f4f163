from collections.abc import Callable

import numpy as np
import pytest

from pipeline.sources.sample.clouds import (
    SEEN,
    Code,
    Veil,
    Weather,
    cloud_mask,
    cloud_probability,
    coarse,
    draw_veil,
    scene_classification,
    seen_through,
)
from pipeline.sources.sample.shapes import direction

SHAPE = (128, 128)
AWAY = direction(42)
NOTHING = np.zeros(SHAPE, np.int32)
RGBN = (0, 1, 2, 6)


def veil(**shares: int) -> Veil:
    return draw_veil(SHAPE, Weather(**shares), AWAY, seed=5)


def ground(*values: int) -> np.ndarray:
    return np.array(values, np.int32)[:, None, None] * np.ones((1, *SHAPE), np.int32)


def test_a_clear_sky_hides_nothing() -> None:
    clear = veil()
    assert not any(hidden.any() for hidden in vars(clear).values())
    bands = ground(500, 700, 600, 2500)
    assert (seen_through(bands, clear, RGBN) == bands).all()
    assert not cloud_mask(clear).any()
    assert not cloud_probability(clear, 1).any()


@pytest.mark.parametrize("share", [20, 120, 400, 700])
def test_clouds_cover_what_was_asked(share: int) -> None:
    assert (veil(cloud=share).cloud_HW >= SEEN).mean() == pytest.approx(share / 1000, abs=0.03)


@pytest.mark.parametrize("share", [30, 300, 600])
def test_haze_covers_what_was_asked_and_lets_the_ground_through(share: int) -> None:
    haze_HW = veil(haze=share).haze_HW
    assert (haze_HW >= SEEN).mean() == pytest.approx(share / 1000, abs=0.03)
    assert haze_HW.max() < 1024


@pytest.mark.parametrize("share", [50, 300])
def test_the_swath_ends_in_a_straight_line(share: int) -> None:
    missing_HW = veil(missing=share).missing_HW
    assert missing_HW.mean() == pytest.approx(share / 1000, abs=0.03)
    assert (np.abs(np.diff(missing_HW, axis=1)).sum(axis=1) <= 1).all()
    assert (np.abs(np.diff(missing_HW.sum(axis=1))) <= 1).all()


def test_shadows_are_the_clouds_moved_away_from_the_sun() -> None:
    hidden = veil(cloud=100)
    shadow_HW = hidden.shadow_HW >= SEEN
    assert 0.02 < shadow_HW.mean() < 0.3

    def overlap(away: tuple[int, int]) -> float:
        found = 0.0
        for distance in range(14, 41):
            rows, columns = (part * distance >> 10 for part in away)
            at = np.argwhere(shadow_HW) - (rows, columns)
            at = at[((at >= 0) & (at < 128)).all(axis=1)]
            found = max(found, float((hidden.cloud_HW >= SEEN // 2)[tuple(at.T)].mean()))
        return found

    assert overlap(AWAY) > 0.95 > 0.5 > overlap((-AWAY[0], -AWAY[1]))


def test_a_thick_cloud_is_white_and_a_shadow_dark_and_bluish() -> None:
    thick = np.full(SHAPE, 1024, np.int32)
    bands = ground(600, 900, 1200, 2500)
    missing = np.zeros(SHAPE, bool)
    white = seen_through(bands, Veil(thick, NOTHING, NOTHING, missing), RGBN)[:, 0, 0].astype(int)
    dark = seen_through(bands, Veil(NOTHING, thick, NOTHING, missing), RGBN)[:, 0, 0].astype(int)
    assert white.min() > 5000
    assert (dark < [400, 500, 600, 1200]).all()
    assert dark[0] / 600 > dark[2] / 1200


def test_0_is_what_no_satellite_saw_and_nothing_else() -> None:
    hidden = veil(missing=200, cloud=100)
    assert ((seen_through(ground(0, 0, 0, 0), hidden, RGBN) == 0) == hidden.missing_HW).all()


@pytest.mark.parametrize(
    ("reflectance", "code"),
    [
        ((400, 700, 500, 3000), Code.VEGETATION),
        ((900, 1300, 1900, 2500), Code.BARE),
        ((400, 420, 250, 150), Code.WATER),
        ((420, 470, 520, 800), Code.DARK),
    ],
)
def test_the_ground_has_sen2cors_classes(reflectance: tuple[int, ...], code: Code) -> None:
    snow_HW = np.zeros(SHAPE, bool)
    assert (scene_classification(ground(*reflectance), snow_HW, veil()) == code).all()
    assert (scene_classification(ground(*reflectance), ~snow_HW, veil()) == Code.SNOW).all()


@pytest.mark.parametrize(
    ("name", "thickness", "scl", "ghana"),
    [
        ("cloud_HW", 300, Code.CLOUD_MEDIUM, 1),
        ("cloud_HW", 900, Code.CLOUD_HIGH, 1),
        ("shadow_HW", 300, Code.SHADOW, 2),
        ("haze_HW", 300, Code.CIRRUS, 3),
        ("cloud_HW", 200, Code.VEGETATION, 0),
    ],
)
def test_what_hides_the_ground_has_its_codes(name: str, thickness: int, scl: Code, ghana: int) -> None:
    layers = dict.fromkeys(("cloud_HW", "shadow_HW", "haze_HW"), NOTHING) | {name: NOTHING + thickness}
    hidden = Veil(**layers, missing_HW=np.zeros(SHAPE, bool))
    bands, snow_HW = ground(400, 700, 500, 3000), np.zeros(SHAPE, bool)
    assert (scene_classification(bands, snow_HW, hidden) == scl).all()
    assert (cloud_mask(hidden) == ghana).all()


def test_outside_the_swath_both_maps_have_their_no_data() -> None:
    hidden = Veil(NOTHING, NOTHING, NOTHING, np.ones(SHAPE, bool))
    assert (scene_classification(ground(1, 1, 1, 1), np.zeros(SHAPE, bool), hidden) == Code.NO_DATA).all()
    assert (cloud_probability(hidden, 1) == 255).all()


@pytest.mark.parametrize("make", [cloud_mask, lambda hidden: cloud_probability(hidden, 2)])
def test_maps_are_bytes_of_the_scenes_size(make: Callable[[Veil], np.ndarray]) -> None:
    made = make(veil(cloud=300, haze=200))
    assert (made.shape, made.dtype) == (SHAPE, np.uint8)


def test_a_coarse_grid_repeats_its_pixels_and_may_be_cut_at_the_edge() -> None:
    assert coarse(np.arange(15).reshape(3, 5), 2).tolist() == [[0, 0, 2, 2, 4]] * 2 + [[10, 10, 12, 12, 14]]
