"""The extent of a collection covers its items, in space and time."""

from pathlib import Path

from pipeline.core.files import read_json
from pipeline.sources.sample.stac import Collection

RING = [[1.0, 2.0], [3.0, 2.0], [3.0, 5.0], [1.0, 5.0], [1.0, 2.0]]


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
