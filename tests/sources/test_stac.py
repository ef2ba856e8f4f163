"""Items of unknown origin: what is used of them is valid, and none leads outside the archive's folder."""

import json
from datetime import date
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError
from pipeline.sources.remote import RemoteItem
from pipeline.sources.stac import local_stac, parse_item
from pipeline.sources.transfer import Remote

BASE = "https://host/mlhub/v1/collections/"
COLLECTION = "ref_landcovernet_af_v1_source_sentinel_2"
ID = f"{COLLECTION}_31PGS_01_20180105"


def item(**changes: Any) -> dict[str, Any]:
    values: dict[str, Any] = {
        "type": "Feature",
        "id": ID,
        "collection": COLLECTION,
        "bbox": [1.0, 2.0, 1.1, 2.1],
        "properties": {"datetime": "2018-01-05T00:00:00Z"},
        "assets": {
            "B04": {"href": "https://blobs/x/B04.tif", "title": "red"},
            "readme": {"href": "https://blobs/x.pdf"},
        },
        "links": [{"rel": "root", "href": "../_common/documentation.pdf"}, {"rel": "self", "href": "https://host/a"}],
    }
    return values | changes


def parse(values: Any) -> RemoteItem | None:
    return parse_item(json.dumps(values).encode(), "landcovernet", BASE)


def parsed(**changes: Any) -> RemoteItem:
    found = parse(item(**changes))
    assert found is not None
    return found


def refusal(**changes: Any) -> str:
    with pytest.raises(PipelineError) as error:
        parsed(**changes)
    return str(error.value)


def test_an_item_has_a_chip_a_date_and_its_known_assets() -> None:
    parsed_item = parsed()
    assert (parsed_item.chip, parsed_item.date, parsed_item.folder) == (
        "31PGS_01",
        date(2018, 1, 5),
        Path(COLLECTION, ID),
    )
    assert parsed_item.assets == {"B04": Remote("https://blobs/x/B04.tif", f"{COLLECTION}/{ID}/B04.tif")}
    assert parsed_item.bbox == (1.0, 2.0, 1.1, 2.1)


def test_a_label_has_no_date() -> None:
    parsed_item = parsed(
        id="ref_landcovernet_af_v1_labels_31PGS_01", assets={"labels": {"href": "https://blobs/l.tif"}}
    )
    assert (parsed_item.chip, parsed_item.date, list(parsed_item.assets)) == ("31PGS_01", None, ["labels"])


def test_size_and_checksum_are_taken_from_the_file_extension() -> None:
    asset = {"href": "https://b/B04.tif", "file:size": 7, "file:checksum": "1220" + "ab" * 32}
    found = parsed(assets={"B04": asset}).assets["B04"]
    assert (found.size, found.checksum) == (7, ("sha256", "ab" * 32))


@pytest.mark.parametrize("values", [{"type": "Collection"}, {"type": "Catalog"}, [1], "text", None])
def test_other_json_is_skipped(values: Any) -> None:
    assert parse(values) is None


@pytest.mark.parametrize(
    "name", ["ref_landcovernet_af_v1_source_landsat_8_31PGS_01_20180105", "../../evil", f"../{ID}"]
)
def test_items_of_other_collections_are_skipped(name: str) -> None:
    assert parse(item(id=name)) is None


def test_a_relative_href_is_relative_to_the_base() -> None:
    assert parsed(assets={"B04": {"href": "a/../B04.tif"}}).assets["B04"].url == f"{BASE}B04.tif"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"assets": {}}, "not a STAC item: assets: Dictionary should have at least 1 item"),
        ({"assets": None}, "not a STAC item: assets: "),
        ({"assets": {"B04": {}}}, "not a STAC item: assets.B04.href: Field required"),
        ({"bbox": [1, 2]}, "not a STAC item: bbox"),
        ({"bbox": [1e9, 2, 2, 3]}, "not a STAC item: bbox.0: Input should be less than or equal to 180"),
        ({"id": f"{COLLECTION}_31PGS_01_20181345"}, "id ends in 20181345, which is not a date"),
        ({"collection": "../out"}, "not a STAC item: collection: String should match pattern"),
        *(
            ({"assets": {"B04": {"href": href}}}, f"/B04.tif: href {href!r} is not an http or https URL")
            for href in ("file:///etc/passwd", "http://[bad", "s3://b/k")
        ),
    ],
)
def test_an_invalid_or_unsafe_item_is_refused(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(**changes)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_invalid_json_is_refused(text: bytes) -> None:
    with pytest.raises(PipelineError, match="not valid JSON: "):
        parse_item(text, "landcovernet", BASE)


def test_in_the_raw_folder_assets_are_the_files_beside_the_item() -> None:
    values = local_stac(parsed(), ["B04"])
    assert values["assets"] == {"B04": {"href": "B04.tif", "title": "red"}}
    assert values["links"] == [{"rel": "root", "href": "../_common/documentation.pdf"}]
    assert "http" not in json.dumps(values)


@pytest.mark.parametrize("href", ["http://[bad", "https://host/a", "//host/a", " s3://bucket/a", "mailto:me"])
def test_a_link_to_a_server_is_removed(href: str) -> None:
    found = parsed(links=[{"rel": "self", "href": href}, {"rel": "root", "href": "../catalog.json"}])
    assert local_stac(found, ["B04"])["links"] == [{"rel": "root", "href": "../catalog.json"}]
