"""Outlines of chips are where PROJ says, collections cover their items, and every chip is in one official list."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.warp import transform

from pipeline.core.files import read_json
from pipeline.raster.layout import RawFolder
from pipeline.sources.sample.catalogue import Collection, UtmGrid, to_degrees, write_split_lists

RING = [[1.0, 2.0], [3.0, 2.0], [3.0, 5.0], [1.0, 5.0], [1.0, 2.0]]
IDS = st.lists(st.integers(1, 999).map(str), min_size=7, max_size=60, unique=True)


@given(
    easting=st.floats(170_000, 830_000), northing=st.floats(0, 4_000_000), zone=st.integers(28, 38), south=st.booleans()
)
def test_degrees_are_those_of_proj(easting: float, northing: float, zone: int, south: bool) -> None:
    northing = 10_000_000 - northing if south else northing
    crs = UtmGrid((1, 1), zone, south, 0, 0).georeference.crs
    (longitude,), (latitude,) = transform(crs, "OGC:CRS84", [easting], [northing])
    assert to_degrees(easting, northing, zone, south) == pytest.approx([longitude, latitude], abs=2e-6)


def test_the_extent_of_a_collection_covers_its_items(tmp_path: Path) -> None:
    shifted = [[x + 10, y - 10] for x, y in RING]
    path = Collection("fields", "Fields", tmp_path).write(
        ["fields_1", "fields_2"], [RING, shifted], ("2018-01-01", "2018-12-31"), "CC-BY-4.0"
    )
    assert path == Path("fields/collection.json")
    collection = read_json(tmp_path / path)
    assert (collection["type"], collection["license"]) == ("Collection", "CC-BY-4.0")
    assert collection["extent"]["spatial"]["bbox"] == [[1.0, -8.0, 13.0, 5.0]]
    assert collection["extent"]["temporal"]["interval"] == [["2018-01-01T00:00:00Z", "2018-12-31T00:00:00Z"]]
    items = [link["href"] for link in collection["links"] if link["rel"] == "item"]
    assert items == ["fields_1/stac.json", "fields_2/stac.json"]
    assert "Synthetic sample, not real data" in collection["description"]


@settings(max_examples=25)  # each writes three files
@given(IDS, st.integers(0, 99))
def test_every_chip_is_in_one_list_and_15_percent_each_validate_and_test(
    tmp_path_factory: pytest.TempPathFactory, chip_ids: list[str], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    assert list(write_split_lists(chip_ids, seed, folder)) == [Path("train.txt"), Path("val.txt"), Path("test.txt")]
    parts = RawFolder("landcoverai", folder).official_parts
    assert sorted(parts) == sorted(chip_ids)
    sizes = [list(parts.values()).count(part) for part in ("val", "test")]
    assert sizes == [len(chip_ids) * 15 // 100] * 2
