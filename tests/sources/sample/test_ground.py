"""The classes of a Sentinel-2 site: their shares, whole fields, rivers with forest, villages, and snow above rock."""

import numpy as np
import pytest

from pipeline.sources.sample.ground import ARTIFICIAL, Ground, Landscape, Site, generate_ground
from pipeline.sources.sample.spectra import CROPS, LAND_COVER, Cover

SHAPE = (128, 128)


def generate(**landscape: int) -> Ground:
    return generate_ground(Site(SHAPE, 3, Landscape(**landscape)))


def share(ground: Ground, *classes: int) -> float:
    return float(np.isin(ground.class_HW, classes).mean())


@pytest.mark.parametrize(
    ("name", "cover"), [("lake", Cover.LAKE), ("wood", Cover.FOREST), ("farmed", Cover.MAIZE), ("bare", Cover.SAND)]
)
def test_shares_are_those_of_the_landscape(name: str, cover: Cover) -> None:
    ground = generate(**{name: 250})
    assert share(ground, LAND_COVER[cover]) == pytest.approx(0.25, abs=0.05)


def test_a_field_is_farmed_as_a_whole_with_one_crop() -> None:
    ground = generate(farmed=400)
    farmed_HW = ground.class_HW == LAND_COVER[Cover.MAIZE]
    for index in np.unique(ground.field_HW):
        field_HW = ground.field_HW == index
        assert farmed_HW[field_HW].all() or not farmed_HW[field_HW].any()
        assert len(set(ground.cover_HW[field_HW & farmed_HW]) & set(CROPS)) <= 1


def test_a_river_crosses_the_site_and_has_a_gallery_forest() -> None:
    ground = generate(river=4)
    water_HW = ground.cover_HW == Cover.RIVER
    assert water_HW.any(axis=1).all() or water_HW.any(axis=0).all()
    assert (ground.class_HW == LAND_COVER[Cover.FOREST]).sum() > 200


def test_all_of_a_village_is_of_the_artificial_class() -> None:
    ground = generate(villages=3, wood=300)
    assert 0.01 < share(ground, ARTIFICIAL) < 0.2
    in_village = set(ground.cover_HW[ground.class_HW == ARTIFICIAL].tolist())
    assert {Cover.ROOF, Cover.EARTH, Cover.FOREST} <= in_village
    assert not (ground.cover_HW[ground.class_HW != ARTIFICIAL] == Cover.ROOF).any()


def test_snow_is_above_rock_and_rock_above_grass() -> None:
    ground = generate(snow=200, wood=300)
    heights = [np.median(ground.height_HW[ground.cover_HW == cover]) for cover in (Cover.SNOW, Cover.ROCK, Cover.GRASS)]
    assert heights == sorted(heights, reverse=True)
    assert share(ground, 4) == pytest.approx(0.2, abs=0.04)
