"""Ground covers have the classes of both Sentinel-2 datasets, and spectra that rise to the near infrared."""

from pipeline.formats.datasets import CLASSES
from pipeline.sources.sample.spectra import CROPS, LAND_COVER, all_bands


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
