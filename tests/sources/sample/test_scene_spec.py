"""Shadows fall away from a sun in the south."""

from pipeline.sources.sample.scene_spec import random_scene_spec


def test_the_sun_is_in_the_south_and_shadows_point_away_from_it() -> None:
    for seed in range(20):
        spec = random_scene_spec((10, 10), 2, seed)
        sun, shadow = spec.sun_direction, spec.shadow_direction
        assert sun[0] > 0
        assert shadow == (-sun[0], -sun[1])
