from dataclasses import replace

import numpy as np
import pytest

from pipeline.sources.sample.ground import ARTIFICIAL, Country, Ground, Site, plan_ground
from pipeline.sources.sample.spectra import CROPS, LAND_COVER, Kind
from pipeline.sources.sample.tiles import TILES

SHAPE = (128, 128)
PLAIN = Country(wood=200, farmed=300, bare=100, lake=100)


def plan(country: Country, seed: int = 3) -> Ground:
    return plan_ground(Site(SHAPE, seed, country))


def share(ground: Ground, *classes: int) -> float:
    return float(np.isin(ground.class_HW, classes).mean())


def test_without_anything_there_is_grass_with_single_trees() -> None:
    ground = plan(Country())
    assert (ground.class_HW == LAND_COVER[Kind.GRASS]).all()
    assert set(np.unique(ground.kind_HW)) == {Kind.GRASS, Kind.FOREST}
    assert 0.01 < (ground.kind_HW == Kind.FOREST).mean() < 0.3


@pytest.mark.parametrize(
    ("what", "kind"), [("lake", Kind.LAKE), ("wood", Kind.FOREST), ("farmed", Kind.MAIZE), ("bare", Kind.SAND)]
)
def test_shares_are_those_of_the_country(what: str, kind: Kind) -> None:
    ground = plan(Country(**{what: 250}))
    assert share(ground, LAND_COVER[kind]) == pytest.approx(0.25, abs=0.05)


def test_fields_are_farmed_whole_and_with_one_crop_each() -> None:
    ground = plan(Country(farmed=400))
    farmed_HW = ground.class_HW == LAND_COVER[Kind.MAIZE]
    for field in np.unique(ground.field_HW):
        here_HW = ground.field_HW == field
        assert farmed_HW[here_HW].all() or not farmed_HW[here_HW].any()
        assert len(set(ground.kind_HW[here_HW & farmed_HW]) & set(CROPS)) <= 1


def test_a_river_crosses_the_site_and_has_a_gallery_forest() -> None:
    ground = plan(Country(river=4))
    water_HW = ground.kind_HW == Kind.RIVER
    assert water_HW.any(axis=1).all() or water_HW.any(axis=0).all()
    assert (ground.class_HW == LAND_COVER[Kind.FOREST]).sum() > 200


def test_villages_lie_at_the_road_and_count_as_a_whole() -> None:
    ground = plan(Country(villages=3, wood=300))
    assert 0.01 < share(ground, ARTIFICIAL) < 0.2
    in_village = set(ground.kind_HW[ground.class_HW == ARTIFICIAL].tolist())
    assert {Kind.ROOF, Kind.EARTH, Kind.FOREST} <= in_village
    assert not (ground.kind_HW[ground.class_HW != ARTIFICIAL] == Kind.ROOF).any()


def test_snow_lies_above_rock_and_rock_above_grass() -> None:
    ground = plan(Country(snow=200, wood=300))
    heights = [np.median(ground.height_HW[ground.kind_HW == kind]) for kind in (Kind.SNOW, Kind.ROCK, Kind.GRASS)]
    assert heights == sorted(heights, reverse=True)
    assert share(ground, 4) == pytest.approx(0.2, abs=0.04)


def test_a_seed_gives_one_site_and_another_seed_another() -> None:
    first, again, other = plan(PLAIN), plan(PLAIN), plan(PLAIN, seed=4)
    assert (first.kind_HW == again.kind_HW).all()
    assert (first.kind_HW != other.kind_HW).any()


def test_a_small_site_can_be_planned_too() -> None:
    site = Site((64, 64), 1, replace(PLAIN, villages=2, river=3))
    assert plan_ground(site).class_HW.shape == (64, 64)


@pytest.mark.parametrize("tile", TILES, ids=lambda tile: tile.name)
def test_the_countries_of_every_tile_can_be_planned(tile: object) -> None:
    for country in set(tile.countries):  # type: ignore[attr-defined]
        ground = plan(country)
        assert set(np.unique(ground.class_HW)) <= set(range(1, 8))
        assert ground.field_HW.max() < ground.fields
