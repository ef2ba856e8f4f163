import numpy as np
import pytest

from pipeline.sources.sample.ground import Country, Site, plan_ground
from pipeline.sources.sample.labelling import label
from tests.sources.sample.distance import farthest_from_own_class

GROUND = plan_ground(Site((256, 256), 2, Country(wood=300, farmed=250, lake=120, villages=2)))


@pytest.mark.parametrize("unnamed", [False, True])
def test_labels_are_two_bands_of_16_bits(unnamed: bool) -> None:
    bands = label(GROUND, unnamed)
    assert (bands.shape, bands.dtype) == ((2, 256, 256), np.uint16)
    assert (bands[0] == 0).any() == unnamed
    assert bands[1].max() == 100
    assert ((bands[1] < 60) == (bands[0] == 0)).all()


def test_borders_are_at_most_a_pixel_off() -> None:
    drawn_HW = label(GROUND, unnamed=False)[0]
    assert 0 < (drawn_HW != GROUND.class_HW).mean() < 0.1
    assert farthest_from_own_class(drawn_HW, GROUND.class_HW, limit=6) == 1


def test_labellers_agree_less_at_borders() -> None:
    class_HW, consensus_HW = label(GROUND, unnamed=False)
    border_HW = class_HW[:, 1:] != class_HW[:, :-1]
    assert consensus_HW[:, 1:][border_HW].max() < 75
    assert 0.5 < (consensus_HW == 100).mean() < 0.95
