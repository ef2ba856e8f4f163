from datetime import date

import numpy as np
import pytest

from pipeline.sources.sample.acquisition import Overpass, reflectance
from pipeline.sources.sample.ground import Country, Site, plan_ground
from pipeline.sources.sample.spectra import LAND_COVER, Kind

GROUND = plan_ground(Site((96, 96), 2, Country(wood=300, farmed=250, lake=120, bare=60)))
DRY, WET = Overpass(date(2018, 2, 1), 60, 5), Overpass(date(2018, 8, 1), 980, 6)
RGBN = (0, 1, 2, 6)


def over(overpass: Overpass, kind: Kind) -> np.ndarray:
    return np.median(reflectance(GROUND, overpass, RGBN)[:, LAND_COVER[GROUND.kind_HW] == LAND_COVER[kind]], axis=1)


def test_bands_are_whole_numbers_above_0() -> None:
    bands = reflectance(GROUND, DRY, RGBN)
    assert (bands.shape, bands.dtype) == ((4, 96, 96), np.int32)
    assert bands.min() >= 1
    assert bands.max() < 10_000


@pytest.mark.parametrize("kind", [Kind.GRASS, Kind.FOREST, Kind.MAIZE])
def test_plants_are_green_in_the_rains_and_brown_before(kind: Kind) -> None:
    dry, wet = over(DRY, kind), over(WET, kind)
    assert wet[3] > dry[3]
    assert wet[1] / wet[2] > dry[1] / dry[2]


def test_woods_are_darker_than_grass_and_water_darker_in_the_infrared() -> None:
    for overpass in (DRY, WET):
        assert over(overpass, Kind.FOREST)[:3].sum() < over(overpass, Kind.GRASS)[:3].sum()
        assert over(overpass, Kind.LAKE)[3] < 500


def test_shadows_fall_to_the_west_and_to_the_other_side_in_the_northern_summer() -> None:
    assert DRY.from_sun[1] < 0
    assert WET.from_sun[1] < 0
    assert DRY.from_sun[0] < 0 < WET.from_sun[0]


def test_light_and_growth_are_the_dates_own_and_the_date_gives_them_again() -> None:
    again, other = Overpass(DRY.day, DRY.greenness, DRY.seed), Overpass(DRY.day, DRY.greenness, 99)
    assert (reflectance(GROUND, DRY, RGBN) == reflectance(GROUND, again, RGBN)).all()
    assert (reflectance(GROUND, DRY, RGBN) != reflectance(GROUND, other, RGBN)).any()


def test_a_band_is_the_same_whichever_others_are_asked_for() -> None:
    assert (reflectance(GROUND, WET, (6,))[0] == reflectance(GROUND, WET, RGBN)[3]).all()


def test_grass_burns_on_some_dry_dates_and_never_in_the_rains() -> None:
    def dark(greenness: int, seed: int) -> float:
        near_HW = reflectance(GROUND, Overpass(date(2018, 1, 9), greenness, seed), (6,))[0]
        return float((near_HW[GROUND.kind_HW == Kind.GRASS] < 1150).mean())

    dry = [dark(60, seed) for seed in range(8)]
    assert max(dry) > min(dry) + 0.02
    assert max(dark(980, seed) for seed in range(8)) < 0.02


def test_a_slope_to_the_sun_is_lighter() -> None:
    mountain = plan_ground(Site((96, 96), 4, Country(snow=150)))
    red_HW = reflectance(mountain, WET, (2,))[0].astype(float)
    rise = mountain.height_HW[2:, 2:] - mountain.height_HW[:-2, :-2]
    lit = -(rise * 1.0) * (WET.from_sun[0] + WET.from_sun[1])
    grass_HW = (mountain.kind_HW == Kind.GRASS)[1:-1, 1:-1]
    across = np.gradient(mountain.height_HW.astype(float))
    towards = across[0] * WET.from_sun[0] + across[1] * WET.from_sun[1]
    assert lit.shape == grass_HW.shape
    assert np.corrcoef(towards[1:-1, 1:-1][grass_HW], red_HW[1:-1, 1:-1][grass_HW])[0, 1] > 0.2
