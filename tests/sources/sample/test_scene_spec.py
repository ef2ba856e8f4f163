from pipeline.sources.sample.scene_spec import SEASONS, random_scene_spec

SPEC = random_scene_spec((100, 120), 4, 7)


def test_lengths_are_converted_to_pixels() -> None:
    assert (SPEC.pixels(3), SPEC.pixels_dm(25), SPEC.pixels_dm(1)) == (12, 10, 1)
    assert SPEC.shadow_length(10) == 40 * SPEC.shadow_permille // 1000


def test_the_sun_is_in_the_south_and_shadows_point_away_from_it() -> None:
    for seed in range(20):
        spec = random_scene_spec((10, 10), 2, seed)
        sun, shadow = spec.sun_direction, spec.shadow_direction
        assert sun[0] > 0
        assert shadow == (-sun[0], -sun[1])


def test_season_and_light_differ_by_seed() -> None:
    specs = [random_scene_spec((10, 10), 2, seed) for seed in range(30)]
    assert {spec.season for spec in specs} == set(SEASONS)
    assert len({spec.sun for spec in specs}) > 8
    assert all(600 <= spec.shadow_permille <= 1100 for spec in specs)
