"""Classes, names of items and licences are those of the three datasets."""

from typing import Any, get_args

import pytest

from pipeline.formats.datasets import CLASSES, DATASETS, LAYOUTS, Band, BandsSection, licence


def test_the_classes_are_those_of_the_study() -> None:
    assert {name: (len(table.classes), table.ids[0], table.ids[-1]) for name, table in CLASSES.items()} == {
        "landcoverai": (5, 0, 4),
        "landcovernet": (7, 1, 7),
        "ghana": (24, 1, 24),
    }
    assert list(CLASSES) == list(DATASETS)


def test_0_is_unlabelled_in_the_sentinel_datasets_and_a_class_in_landcoverai() -> None:
    assert [CLASSES[name].remap for name in DATASETS] == [{}, {0: "ignore"}, {0: "ignore"}]


@pytest.mark.parametrize(
    ("dataset", "folder", "named"),
    [
        ("landcovernet", "ref_landcovernet_af_v1_source_sentinel_2_31PGS_25_20180101", ("31PGS_25", "20180101")),
        ("landcovernet", "ref_landcovernet_af_v1_source_landsat_8_31PGS_25_20180101", None),
        ("landcovernet", "ref_landcovernet_af_v1_labels_31PGS_25", ("31PGS_25",)),
        ("ghana", "su_african_crops_ghana_source_s2_000000_2016_01_13", ("000000", "2016_01_13")),
        ("ghana", "su_african_crops_ghana_source_s1_000000_2016_01_13", None),
        ("ghana", "su_african_crops_ghana_labels_000042", ("000042",)),
    ],
)
def test_items_are_recognised_by_their_names(dataset: Any, folder: str, named: tuple[str, ...] | None) -> None:
    layout = LAYOUTS[dataset]
    matches = filter(None, (pattern.fullmatch(folder) for pattern in (layout.source_item, layout.label_item)))
    assert [match.groups() for match in matches] == ([named] if named else [])


def test_descriptive_names_of_assets_are_complete_and_unique() -> None:
    assets = LAYOUTS["landcovernet"].assets
    assert set(get_args(Band)) | {"CLD", "SCL", "labels"} == set(assets)
    assert len({name.lower() for name in assets.values()}) == len(assets)


@pytest.mark.parametrize(
    ("dataset", "source", "expected"),
    [
        ("landcoverai", "archive", "CC BY-NC-SA 4.0"),
        ("landcovernet", "mlhub", "CC BY 4.0"),
        ("ghana", "sample", "MIT, with this project: made from a seed"),
        ("landcoverai", "local", "as their owner says"),
        ("ghana", "local", "as their owner says; a copy of the archive: CC BY-SA 4.0"),
    ],
)
def test_the_licence_depends_on_the_source(dataset: Any, source: str, expected: str) -> None:
    assert licence(dataset, source) == expected


def test_three_or_more_bands_are_used() -> None:
    section = BandsSection(landcovernet=("B04", "B03", "B02", "B08"), ghana=(3, 2, 1, 7, 10))
    assert (len(section.landcovernet), len(section.ghana)) == (4, 5)
    with pytest.raises(ValueError, match=r"\['B04', 'B08'\]: need three or more bands, red, green and blue first"):
        BandsSection(landcovernet=("B04", "B08"), ghana=(3, 2, 1))
    with pytest.raises(ValueError, match="ghana.0"):
        BandsSection(landcovernet=("B04", "B03", "B02"), ghana=(0, 2, 1))
