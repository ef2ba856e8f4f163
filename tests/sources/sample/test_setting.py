import pytest

from pipeline.sources.sample.setting import SEASONS, choose_setting

SETTING = choose_setting((100, 120), 4, 7)


def test_lengths_are_in_pixels() -> None:
    assert (SETTING.pixels(3), SETTING.pixels_of(25), SETTING.pixels_of(1)) == (12, 10, 1)
    assert SETTING.shadow(10) == 40 * SETTING.shadow_permille // 1000


def test_shadows_point_away_from_the_sun_in_the_south() -> None:
    for seed in range(20):
        setting = choose_setting((10, 10), 2, seed)
        sun, shadow = setting.towards_sun, setting.from_sun
        assert sun[0] > 0
        assert shadow == (-sun[0], -sun[1])


def test_season_and_light_differ_by_seed() -> None:
    settings = [choose_setting((10, 10), 2, seed) for seed in range(30)]
    assert {setting.season for setting in settings} == set(SEASONS)
    assert len({setting.sun for setting in settings}) > 8
    assert all(600 <= setting.shadow_permille <= 1100 for setting in settings)


@pytest.mark.parametrize("purpose", ["roads", "lakes"])
def test_each_purpose_has_its_own_chance(purpose: str) -> None:
    assert SETTING.dice(purpose).below(10**6) == SETTING.dice(purpose).below(10**6)
    assert SETTING.dice(purpose).below(10**6) != SETTING.dice("other").below(10**6)
    assert SETTING.noise_seed(purpose) != SETTING.noise_seed("other")
