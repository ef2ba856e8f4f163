import numpy as np
import pytest

from pipeline.sources.sample.palette import (
    CROP_COLOURS,
    CROP_TEXTURES,
    CROP_WEIGHTS,
    CROPS,
    CROWN_KINDS,
    CROWNS,
    ROOF_COLOURS,
    choose_palette,
)
from pipeline.sources.sample.setting import SEASONS, choose_setting

FIELDS = 60


@pytest.mark.parametrize("season", SEASONS)
def test_every_season_has_all_colours(season: str) -> None:
    assert len(CROP_COLOURS[season]) == len(CROP_WEIGHTS[season]) == len(CROP_TEXTURES) == len(CROPS)
    assert all(sum(dark) < sum(bright) for dark, bright in [CROWNS[season]])


@pytest.mark.parametrize("seed", range(5))
def test_the_table_holds_a_colour_for_every_number(seed: int) -> None:
    palette = choose_palette(choose_setting((64, 64), 4, seed), FIELDS)
    surfaces = [palette.verge, palette.yard, palette.reed, palette.water, palette.asphalt, palette.gravel]
    assert surfaces == list(range(FIELDS, FIELDS + 6))
    assert palette.roofs == FIELDS + 6
    assert palette.crowns == palette.roofs + len(ROOF_COLOURS)
    assert len(palette.table) == palette.crowns + CROWN_KINDS
    assert palette.table.min() >= 0
    assert palette.table.max() < 256
    assert 0 <= palette.crops.min() <= palette.crops.max() < len(CROPS)


@pytest.mark.parametrize("seed", range(8))
def test_gravel_is_like_bare_soil_and_water_like_a_dark_field(seed: int) -> None:
    setting = choose_setting((64, 64), 4, seed)
    palette = choose_palette(setting, FIELDS)
    for number, crop in ((palette.gravel, "soil"), (palette.water, "dark")):
        colour = CROP_COLOURS[setting.season][CROPS.index(crop)]
        assert np.abs(palette.table[number] - colour).max() <= 8 + 3


def test_light_differs_by_scene() -> None:
    gains = {choose_palette(choose_setting((64, 64), 4, seed), FIELDS).gain for seed in range(6)}
    assert len(gains) == 6
