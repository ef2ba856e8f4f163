"""Gravel looks like bare soil and water like a dark field, so that colour alone does not decide the class."""

import numpy as np
import pytest

from pipeline.sources.sample.palette import (
    CROP_COLOURS,
    CROPS,
    random_palette,
)
from pipeline.sources.sample.scene_spec import random_scene_spec

FIELDS = 60


@pytest.mark.parametrize("seed", range(8))
def test_gravel_is_coloured_like_bare_soil_and_water_like_a_dark_field(seed: int) -> None:
    spec = random_scene_spec((64, 64), 4, seed)
    palette = random_palette(spec, FIELDS)
    for surface, crop in (("gravel", "soil"), ("water", "dark")):
        colour = CROP_COLOURS[spec.season][CROPS.index(crop)]
        assert np.abs(palette.table[palette.surfaces[surface]] - colour).max() <= 8 + 3
