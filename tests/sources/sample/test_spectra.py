import numpy as np
import pytest

from pipeline.formats.datasets import CLASSES
from pipeline.sources.sample.spectra import BANDS, COVERS, CROPS, DRY, GREEN, LAND_COVER, Kind, all_bands


def test_every_kind_has_a_cover_and_ten_bands() -> None:
    assert set(COVERS) == set(Kind)
    assert DRY.shape == GREEN.shape == (len(Kind), len(BANDS))


def test_all_classes_of_landcovernet_are_covered() -> None:
    assert set(LAND_COVER.tolist()) == set(CLASSES["landcovernet"].ids)


def test_crops_are_in_the_order_of_ghanas_classes() -> None:
    names = [kind.name.lower().replace("_", " ") for kind in CROPS]
    assert names == list(CLASSES["ghana"].names[: len(CROPS)])
    assert {LAND_COVER[kind] for kind in CROPS} == {6}


def test_the_red_edge_climbs_from_red_to_near_infrared() -> None:
    bands = all_bands((100, 200, 300, 3000, 2000, 1000))
    assert bands[:3] == (100, 200, 300)
    assert list(bands[2:7]) == sorted(bands[2:7])
    assert bands[6:] == (3000, 3093, 2000, 1000)


@pytest.mark.parametrize("kind", [Kind.FOREST, Kind.GRASS, *CROPS])
def test_plants_are_greener_in_the_rains(kind: Kind) -> None:
    def index(spectrum: np.ndarray) -> float:
        return float((spectrum[6] - spectrum[2]) / (spectrum[6] + spectrum[2]))

    assert index(GREEN[kind]) > index(DRY[kind]) + 0.08


def test_snow_is_bright_where_it_is_seen_and_dark_in_short_waves_and_water_darkest() -> None:
    assert (GREEN[Kind.SNOW, :3] > 6000).all()
    assert (GREEN[Kind.SNOW, 8:] < 1000).all()
    assert GREEN[:, 6].argmin() == Kind.LAKE
