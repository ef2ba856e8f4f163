"""Vegetation and burnt grass look as their season would have them."""

from datetime import date

import numpy as np
import pytest

from pipeline.sources.sample.acquisition import Acquisition, reflectance
from pipeline.sources.sample.ground import Landscape, Site, generate_ground
from pipeline.sources.sample.spectra import LAND_COVER, Cover

GROUND = generate_ground(Site((96, 96), 2, Landscape(wood=300, farmed=250, lake=120, bare=60)))
DRY, WET = Acquisition(date(2018, 2, 1), 60, 5), Acquisition(date(2018, 8, 1), 980, 6)
RGBN = (0, 1, 2, 6)


def median_spectrum(acquisition: Acquisition, cover: Cover) -> np.ndarray:
    class_HW = LAND_COVER[GROUND.cover_HW] == LAND_COVER[cover]
    return np.median(reflectance(GROUND, acquisition, RGBN)[:, class_HW], axis=1)


@pytest.mark.parametrize("cover", [Cover.GRASS, Cover.FOREST, Cover.MAIZE])
def test_vegetation_is_green_in_the_rains_and_brown_in_the_dry_season(cover: Cover) -> None:
    dry, wet = median_spectrum(DRY, cover), median_spectrum(WET, cover)
    assert wet[3] > dry[3]
    assert wet[1] / wet[2] > dry[1] / dry[2]


def test_grass_burns_on_some_dry_dates_and_never_in_the_rains() -> None:
    def burnt_share(greenness: int, seed: int) -> float:
        nir_HW = reflectance(GROUND, Acquisition(date(2018, 1, 9), greenness, seed), (6,))[0]
        return float((nir_HW[GROUND.cover_HW == Cover.GRASS] < 1150).mean())

    dry = [burnt_share(60, seed) for seed in range(8)]
    assert max(dry) > min(dry) + 0.02
    assert max(burnt_share(980, seed) for seed in range(8)) < 0.02
