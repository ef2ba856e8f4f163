import numpy as np
import pytest

from pipeline.sources.sample.noise import Shape
from pipeline.sources.sample.scenery import Cover, Scenery, classify, hand_drawn, plan_scenery, tree_chance
from pipeline.sources.sample.setting import choose_setting
from tests.sources.sample.distance import farthest_from_own_class

SHAPE: Shape = (700, 640)


@pytest.fixture(scope="module", params=[(4, 1), (2, 2)], ids=["25 cm", "50 cm"])
def scenery(request: pytest.FixtureRequest) -> Scenery:
    per_metre, seed = request.param
    return plan_scenery(choose_setting(SHAPE, per_metre, seed))


def test_every_class_occurs(scenery: Scenery) -> None:
    assert set(np.unique(classify(scenery))) == set(Cover)


def test_borders_wander_by_three_pixels_at_most(scenery: Scenery) -> None:
    true_HW = classify(scenery)
    drawn_HW = hand_drawn(true_HW, scenery.setting)
    assert 1 <= farthest_from_own_class(drawn_HW, true_HW, limit=8) <= 3
    assert 0.001 < (drawn_HW != true_HW).mean() < 0.1


def test_borders_wander_by_whole_pixels_up_to_three(scenery: Scenery) -> None:
    rows = np.tile(np.arange(SHAPE[0])[:, None], (1, SHAPE[1]))
    off = hand_drawn(rows, scenery.setting) - rows
    assert set(np.unique(off)) == set(range(-3, 4))


def test_water_roads_and_houses_do_not_overlap(scenery: Scenery) -> None:
    assert not (scenery.water_HW & scenery.wood_HW).any()
    assert not (scenery.wood_HW & scenery.yard_HW).any()
    for house in scenery.houses:
        window = house.box.window(SHAPE)
        inside = house.box.inside(window)
        assert not scenery.water_HW[window][inside].any()
        for road in scenery.roads:
            assert not road.covered(scenery.setting)[window][inside].any()


def test_tracks_vanish_under_the_canopy() -> None:
    for seed in range(12):
        scenery = plan_scenery(choose_setting(SHAPE, 2, seed))
        for track in (road for road in scenery.roads if road.surface == "track"):
            hidden_HW = track.covered(scenery.setting) & scenery.wood_HW
            if hidden_HW.any():
                assert (classify(scenery)[hidden_HW] == Cover.WOODLAND).all()
                return
    raise AssertionError("no track leads through a wood in twelve scenes")


def test_trees_stand_in_woods_and_not_on_open_ground(scenery: Scenery) -> None:
    chance = tree_chance(scenery)
    assert (chance[scenery.wood_HW & ~scenery.open_HW] == 1000).all()
    assert (chance[scenery.open_HW] == 0).all()
    assert 0 < (chance[~scenery.wood_HW] > 0).mean() < 1


def test_a_seed_gives_one_scene() -> None:
    first, again, other = (classify(plan_scenery(choose_setting((300, 300), 2, seed))) for seed in (5, 5, 6))
    assert (first == again).all()
    assert (first != other).any()
