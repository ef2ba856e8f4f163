import numpy as np
import pytest

from pipeline.sources.sample.palette import (
    CROP_COLOURS,
    CROP_TEXTURES,
    CROP_WEIGHTS,
    CROPS,
    CROWN_SPECIES,
    CROWNS,
    ROOF_COLOURS,
    random_palette,
)
from pipeline.sources.sample.scene_spec import SEASONS, random_scene_spec

FIELDS = 60


@pytest.mark.parametrize("season", SEASONS)
def test_every_season_has_a_colour_and_weight_for_each_crop(season: str) -> None:
    assert len(CROP_COLOURS[season]) == len(CROP_WEIGHTS[season]) == len(CROP_TEXTURES) == len(CROPS)
    conifer, broad_leaved = CROWNS[season]
    assert sum(conifer) < sum(broad_leaved)


@pytest.mark.parametrize("seed", range(5))
def test_the_table_has_a_colour_for_every_index(seed: int) -> None:
    palette = random_palette(random_scene_spec((64, 64), 4, seed), FIELDS)
    surfaces = [palette.water, palette.verge, palette.yard, palette.reed, palette.asphalt, palette.gravel]
    assert surfaces == list(range(FIELDS, FIELDS + 6))
    assert palette.roofs == FIELDS + 6
    assert palette.crowns == palette.roofs + len(ROOF_COLOURS)
    assert len(palette.table) == palette.crowns + CROWN_SPECIES
    assert palette.table.min() >= 0
    assert palette.table.max() < 256
    assert 0 <= palette.crops.min() <= palette.crops.max() < len(CROPS)


@pytest.mark.parametrize("seed", range(8))
def test_gravel_is_coloured_like_bare_soil_and_water_like_a_dark_field(seed: int) -> None:
    spec = random_scene_spec((64, 64), 4, seed)
    palette = random_palette(spec, FIELDS)
    for number, crop in ((palette.gravel, "soil"), (palette.water, "dark")):
        colour = CROP_COLOURS[spec.season][CROPS.index(crop)]
        assert np.abs(palette.table[number] - colour).max() <= 8 + 3


def test_light_varies_by_scene() -> None:
    gains = {random_palette(random_scene_spec((64, 64), 4, seed), FIELDS).gain for seed in range(6)}
    assert len(gains) == 6
