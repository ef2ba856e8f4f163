"""Ground covers have the classes of both Sentinel-2 datasets."""

from pipeline.formats.datasets import CLASSES
from pipeline.sources.sample.spectra import CROPS, LAND_COVER


def test_covers_span_all_classes_of_landcovernet() -> None:
    assert set(LAND_COVER.tolist()) == set(CLASSES["landcovernet"].ids)


def test_crops_are_in_the_order_of_ghanas_classes() -> None:
    names = [cover.name.lower().replace("_", " ") for cover in CROPS]
    assert names == list(CLASSES["ghana"].names[: len(CROPS)])
    assert {LAND_COVER[cover] for cover in CROPS} == {6}
