"""Shadows fall away from a sun in the south; gravel looks like bare soil, and water like a dark field."""

import numpy as np

from pipeline.sources.sample.scene_spec import CROP_COLOURS, CROPS, random_palette, random_scene_spec


def test_the_sun_is_in_the_south_and_shadows_point_away_from_it() -> None:
    for seed in range(20):
        spec = random_scene_spec((10, 10), 2, seed)
        sun, shadow = spec.sun_direction, spec.shadow_direction
        assert sun[0] > 0
        assert shadow == (-sun[0], -sun[1])


def test_gravel_is_coloured_like_bare_soil_and_water_like_a_dark_field() -> None:
    for seed in range(8):
        spec = random_scene_spec((64, 64), 4, seed)
        palette = random_palette(spec, 60)
        for surface, crop in (("gravel", "soil"), ("water", "dark")):
            colour = CROP_COLOURS[spec.season][CROPS.index(crop)]
            assert np.abs(palette.table[palette.surfaces[surface]] - colour).max() <= 8 + 3
