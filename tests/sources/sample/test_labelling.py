import numpy as np
import pytest

from pipeline.sources.sample.ground import Landscape, Site, generate_ground
from pipeline.sources.sample.labelling import annotate
from tests.sources.sample.distance import max_distance_to_class

GROUND = generate_ground(Site((256, 256), 2, Landscape(wood=300, farmed=250, lake=120, villages=2)))


@pytest.mark.parametrize("with_unlabelled", [False, True])
def test_labels_are_class_and_consensus_in_16_bits(with_unlabelled: bool) -> None:
    bands = annotate(GROUND, with_unlabelled)
    assert (bands.shape, bands.dtype) == ((2, 256, 256), np.uint16)
    assert (bands[0] == 0).any() == with_unlabelled
    assert bands[1].max() == 100
    assert ((bands[1] < 60) == (bands[0] == 0)).all()


def test_borders_are_off_by_at_most_a_pixel() -> None:
    class_HW = annotate(GROUND, with_unlabelled=False)[0]
    assert 0 < (class_HW != GROUND.class_HW).mean() < 0.1
    assert max_distance_to_class(class_HW, GROUND.class_HW, limit=6) == 1


def test_consensus_is_lower_at_borders() -> None:
    class_HW, consensus_HW = annotate(GROUND, with_unlabelled=False)
    border_HW = class_HW[:, 1:] != class_HW[:, :-1]
    assert consensus_HW[:, 1:][border_HW].max() < 75
    assert 0.5 < (consensus_HW == 100).mean() < 0.95
