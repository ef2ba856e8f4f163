"""Fields, houses, water and woods of an aerial scene do not overlap; trees grow where they may."""

import numpy as np
import pytest

from pipeline.sources.sample.noise import Shape
from pipeline.sources.sample.scene_layout import ClassId, SceneLayout, class_map, lay_out_scene, tree_probability
from pipeline.sources.sample.scene_spec import random_scene_spec

SHAPE: Shape = (700, 640)


@pytest.fixture(scope="module", params=[(4, 1), (2, 2)], ids=["25 cm", "50 cm"])
def layout(request: pytest.FixtureRequest) -> SceneLayout:
    pixels_per_metre, seed = request.param
    return lay_out_scene(random_scene_spec(SHAPE, pixels_per_metre, seed))


def test_every_class_occurs(layout: SceneLayout) -> None:
    assert set(np.unique(class_map(layout))) == set(ClassId)


def test_water_woods_and_houses_do_not_overlap(layout: SceneLayout) -> None:
    assert not (layout.water_HW & layout.wood_HW).any()
    assert not (layout.wood_HW & layout.yard_HW).any()
    for house in layout.houses:
        window = house.box.window(SHAPE)
        inside = house.box.inside(window)
        assert not layout.water_HW[window][inside].any()


def test_trees_grow_in_woods_and_not_on_treeless_ground(layout: SceneLayout) -> None:
    probability_HW = tree_probability(layout)
    assert (probability_HW[layout.wood_HW & ~layout.treeless_HW] == 1000).all()
    assert (probability_HW[layout.treeless_HW] == 0).all()
    assert 0 < (probability_HW[~layout.wood_HW] > 0).mean() < 1
