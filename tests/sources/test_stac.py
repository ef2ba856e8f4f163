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


def parsed(**changes: Any) -> RemoteItem | None:
    return parse_item(json.dumps(item(**changes)).encode(), "landcovernet", BASE)


def refusal(**changes: Any) -> str:
    with pytest.raises(PipelineError) as error:
        parsed(**changes)
    return str(error.value)


def test_an_item_is_its_chip_its_date_and_the_assets_that_are_known() -> None:
    found = parsed()
    assert found is not None
    assert (found.chip, found.date, found.folder) == ("31PGS_01", date(2018, 1, 5), Path(COLLECTION, ID))
    assert found.assets == {"B04": Remote("https://blobs/x/B04.tif", f"{COLLECTION}/{ID}/B04.tif")}
    assert found.bbox == (1.0, 2.0, 1.1, 2.1)


def test_a_label_has_no_date() -> None:
    found = parsed(id="ref_landcovernet_af_v1_labels_31PGS_01", assets={"labels": {"href": "https://blobs/l.tif"}})
    assert found is not None
    assert (found.chip, found.date, list(found.assets)) == ("31PGS_01", None, ["labels"])


def test_size_and_checksum_are_taken_from_the_file_extension() -> None:
    asset = {"href": "https://b/B04.tif", "file:size": 7, "file:checksum": "1220" + "ab" * 32}
    found = parsed(assets={"B04": asset})
    assert found is not None
    assert (found.assets["B04"].size, found.assets["B04"].checksum) == (7, ("sha256", "ab" * 32))


@pytest.mark.parametrize("values", [{"type": "Collection"}, {"type": "Catalog"}, [1], "text", None])
def test_what_is_no_item_is_passed_over(values: Any) -> None:
    assert parse_item(json.dumps(values).encode(), "landcovernet", BASE) is None


def test_items_of_other_collections_are_passed_over() -> None:
    assert parsed(id="ref_landcovernet_af_v1_source_landsat_8_31PGS_01_20180105") is None


def test_a_relative_href_counts_from_the_root_and_stays_below_it() -> None:
    found = parsed(assets={"B04": {"href": "a/../B04.tif"}})
    assert found is not None
    assert found.assets["B04"].url == f"{BASE}B04.tif"


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"assets": {}}, "it is no STAC item: assets: Dictionary should have at least 1 item"),
        ({"assets": None}, "it is no STAC item: assets: "),
        ({"assets": {"B04": {}}}, "it is no STAC item: assets.B04.href: Field required"),
        ({"bbox": [1, 2]}, "it is no STAC item: bbox"),
        ({"bbox": [1, 3, 2, 2]}, "its bbox [1.0, 3.0, 2.0, 2.0] is no [west, south, east, north] in degrees"),
        ({"bbox": [1e9, 2, 2, 3]}, "its bbox [1000000000.0, "),
        ({"id": "../../evil"}, "its id '../../evil' leaves the archive's folder"),
        ({"id": f"{COLLECTION}_31PGS_01_20181345"}, "its id ends in 20181345, which is no date"),
        ({"collection": "../out"}, "its collection '../out' leaves the archive's folder"),
        (
            {"assets": {"B04": {"href": "file:///etc/passwd"}}},
            "its href 'file:///etc/passwd' is not fetched; only http",
        ),
        ({"assets": {"B04": {"href": "../../../x.tif"}}}, "its href '../../../x.tif' leaves the archive"),
        ({"assets": {"B04": {"href": "http://[bad"}}}, "its href 'http://[bad' is no address"),
        ({"assets": {"B04": {"href": "/etc/passwd"}}}, "its href '/etc/passwd' leaves the archive"),
        ({"assets": {"B04": {"href": "s3://b/k"}}}, "its href 's3://b/k' is not fetched; only http and https are"),
    ],
)
def test_what_is_wrong_or_climbs_out_is_named(changes: dict[str, Any], words: str) -> None:
    assert words in refusal(**changes)


@pytest.mark.parametrize("text", [b"", b"{", b"\xff\xfe", b"[" * 100_000])
def test_what_is_no_json_is_said(text: bytes) -> None:
    with pytest.raises(PipelineError, match="it is no JSON: "):
        parse_item(text, "landcovernet", BASE)


def test_in_the_raw_folder_an_item_names_the_files_beside_it_and_no_server() -> None:
    found = parsed()
    assert found is not None
    values = local_stac(found, ["B04"])
    assert values["assets"] == {"B04": {"href": "B04.tif", "title": "red"}}
    assert values["links"] == [{"rel": "root", "href": "../_common/documentation.pdf"}]
    assert "http" not in json.dumps(values)


@pytest.mark.parametrize("href", ["http://[bad", "https://host/a", "//host/a", " s3://bucket/a", "mailto:me"])
def test_a_link_that_names_a_server_is_left_out(href: str) -> None:
    found = parsed(links=[{"rel": "self", "href": href}, {"rel": "root", "href": "../catalog.json"}])
    assert found is not None
    assert local_stac(found, ["B04"])["links"] == [{"rel": "root", "href": "../catalog.json"}]
