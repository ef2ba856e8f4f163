import numpy as np
import pytest

from pipeline.formats.datasets import CLASSES
from pipeline.sources.sample.spectra import BANDS, CROPS, DRY, GREEN, LAND_COVER, SURFACES, Cover, all_bands


def test_every_cover_has_a_surface_with_ten_bands() -> None:
    assert set(SURFACES) == set(Cover)
    assert DRY.shape == GREEN.shape == (len(Cover), len(BANDS))


def test_covers_span_all_classes_of_landcovernet() -> None:
    assert set(LAND_COVER.tolist()) == set(CLASSES["landcovernet"].ids)


def test_crops_are_in_the_order_of_ghanas_classes() -> None:
    names = [cover.name.lower().replace("_", " ") for cover in CROPS]
    assert names == list(CLASSES["ghana"].names[: len(CROPS)])
    assert {LAND_COVER[cover] for cover in CROPS} == {6}


def test_the_red_edge_rises_from_red_to_near_infrared() -> None:
    bands = all_bands((100, 200, 300, 3000, 2000, 1000))
    assert bands[:3] == (100, 200, 300)
    assert list(bands[2:7]) == sorted(bands[2:7])
    assert bands[6:] == (3000, 3093, 2000, 1000)


@pytest.mark.parametrize("cover", [Cover.FOREST, Cover.GRASS, *CROPS])
def test_vegetation_is_greener_in_the_rains(cover: Cover) -> None:
    def ndvi(spectrum: np.ndarray) -> float:
        return float((spectrum[6] - spectrum[2]) / (spectrum[6] + spectrum[2]))

    assert ndvi(GREEN[cover]) > ndvi(DRY[cover]) + 0.08


def test_snow_is_bright_in_the_visible_and_dark_in_the_short_wave_infrared() -> None:
    assert (GREEN[Cover.SNOW, :3] > 6000).all()
    assert (GREEN[Cover.SNOW, 8:] < 1000).all()


def test_water_is_darkest_in_the_near_infrared() -> None:
    assert GREEN[:, 6].argmin() == Cover.LAKE
