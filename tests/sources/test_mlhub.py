"""From a hub come the files that are used, each once; a bad file or item fails alone; the key stays at the hub."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.failures import Failure, Failures, partition_results
from pipeline.sources.base import Fetched, Request
from pipeline.sources.mlhub import fetch_mlhub
from tests.sources.faulty import Fault
from tests.sources.hub import API, Hub, configured_hub
from tests.sources.world import DAYS, LANDCOVERNET_ID, files_below, request, small_ghana

SOURCE = f"{LANDCOVERNET_ID}_source_sentinel_2"
CLEAR = DAYS[0], DAYS[2]


def fetch(folder: Path, requested: Request | None = None) -> tuple[list[Fetched], Failures]:
    folder.mkdir()
    return partition_results(fetch_mlhub(requested or request("landcovernet"), folder))


def item(chip: str, day: Any) -> str:
    return f"{SOURCE}/{SOURCE}_{chip}_{day:%Y%m%d}"


FIRST = item("31PGS_01", DAYS[0])


def test_labels_all_cloud_masks_and_the_bands_of_clear_dates_are_fetched_once(
    server: Hub, landcovernet: Path, tmp_path: Path
) -> None:
    fetched, failures = fetch(tmp_path / "raw")
    assert failures == []
    files = files_below(tmp_path / "raw")
    assert sorted(files) == sorted(file.path.as_posix() for file in fetched)
    for chip in ("31PGS_01", "31PGS_02"):
        for day in DAYS:
            names = ["B02", "B03", "B04", "SCL"] if day in CLEAR else ["SCL"]
            folder = tmp_path / "raw" / item(chip, day)
            assert sorted(path.stem for path in folder.glob("*.tif")) == names
    originals = files_below(landcovernet)
    assert all(originals[name] == body for name, body in files.items() if name.endswith(".tif"))
    before = len(server.api.received), len(server.blobs.received)
    requested = request("landcovernet")
    fetch(tmp_path / "again", requested)
    assert (len(server.api.received), len(server.blobs.received)) == before
    assert requested.statistics.received == 0
    assert files_below(tmp_path / "again") == files


def test_no_file_contains_the_address_of_the_server(server: Hub, tmp_path: Path) -> None:
    fetched, _ = fetch(tmp_path / "raw")
    assert all(file.origin == file.path.as_posix() for file in fetched)
    texts = b"".join(body for name, body in files_below(tmp_path / "raw").items() if name.endswith(".json"))
    assert b"127.0.0.1" not in texts
    assert b"http" not in texts
    first = json.loads((tmp_path / "raw" / FIRST / "stac.json").read_text())
    assert {key: asset["href"] for key, asset in first["assets"].items()} == {
        key: f"{key}.tif" for key in ("B02", "B03", "B04", "SCL")
    }


def test_bands_fetched_under_other_thresholds_are_not_delivered(server: Hub, tmp_path: Path) -> None:
    clouds = "download.landcovernet.clouds_first"
    fetch(tmp_path / "all", request("landcovernet", **{f"{clouds}.max_cloud": 1.0, f"{clouds}.dates": 9}))
    fetch(tmp_path / "few")
    cloudy = f"{item('31PGS_01', DAYS[1])}/B04.tif"
    assert ((tmp_path / "all" / cloudy).exists(), (tmp_path / "few" / cloudy).exists()) == (True, False)


def test_only_the_selection_is_fetched(server: Hub, tmp_path: Path) -> None:
    fetch(tmp_path / "raw", request("landcovernet", **{"download.landcovernet.select.bbox": [2.5, 0.1, 2.6, 0.2]}))
    assert {received.path.split("_")[-2] for received in server.blobs.gets("_source_sentinel_2")} == {"02"}


def test_ghana(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with configured_hub(small_ghana(tmp_path / "archive"), "su_african_crops_ghana", monkeypatch) as running:
        monkeypatch.setenv("MLHUB_ROOT_URL", running.root.rstrip("/"))  # without the last slash
        fetched, failures = fetch(tmp_path / "raw", request("ghana"))
    assert failures == []
    names = sorted(file.path.name for file in fetched if file.path.suffix == ".tif")
    assert names == ["cloudmask.tif"] * 8 + ["labels.tif"] * 2 + ["source.tif"] * 4


def test_a_failed_asset_excludes_its_item_alone(server: Hub, tmp_path: Path) -> None:
    lost = f"/{FIRST}/B03.tif"
    server.blobs.faults[lost] = [Fault("status", 404)]
    _, failures = fetch(tmp_path / "raw")
    assert failures == [Failure(FIRST, f"{lost[1:]}: HTTP 404 Not Found")]
    files = files_below(tmp_path / "raw")
    assert not [name for name in files if name.startswith(FIRST)]
    assert f"{item('31PGS_02', DAYS[0])}/B03.tif" in files
    before = len(server.blobs.gets(".tif"))
    assert fetch(tmp_path / "again")[1] == []
    assert len(server.blobs.gets(".tif")) == before + 1


def test_an_invalid_image_fails_and_is_fetched_again_later(server: Hub, tmp_path: Path) -> None:
    broken = f"/{FIRST}/SCL.tif"
    server.blobs.bodies[broken] = b"not an image"
    _, failures = fetch(tmp_path / "raw")
    assert [failure.file for failure in failures] == [FIRST]
    assert f"{broken[1:]} is not a readable GeoTIFF" in failures[0].reason
    del server.blobs.bodies[broken]
    assert fetch(tmp_path / "again")[1] == []


def test_invalid_items_of_a_catalog_fail_and_the_others_are_fetched(server: Hub, tmp_path: Path) -> None:
    good = next(iter(server.items.values()))
    server.items["bad"] = good | {"id": f"{SOURCE}_31PGS_01_20181345"}
    server.items["bare"] = good | {"id": f"{SOURCE}_31PGS_01_20180909", "assets": {}}
    server.publish()
    fetched, failures = fetch(tmp_path / "raw")
    assert [failure.reason.partition(": D")[0] for failure in failures] == [
        "id ends in 20181345, which is not a date",
        "not a STAC item: assets",
    ]
    assert len(fetched) == 8 + 8 + 4 * 3 + 2 * 2
    assert [path.name for path in tmp_path.iterdir()] == ["raw"]


def test_the_key_is_in_no_log_and_sent_to_no_other_host(
    server: Hub, tmp_path: Path, own_cache: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    server.blobs.every = (4, Fault("drop", 100))
    fetched, _ = fetch(tmp_path / "raw")
    assert len(fetched) > 8
    assert server.key not in caplog.text
    assert server.key not in repr(server.blobs.received)
    assert server.key not in repr(fetched)
    assert all(
        server.key.encode() not in body for folder in (tmp_path, own_cache) for body in files_below(folder).values()
    )


def test_an_asset_below_the_root_gets_the_key(server: Hub, tmp_path: Path) -> None:
    path = f"collections/{FIRST}/B04.tif"
    server.items[FIRST.split("/")[1]]["assets"]["B04"]["href"] = f"{server.root}{path}"
    server.publish()
    server.api.faults[f"{API}{path}"] = [Fault("status", 410)]
    fetch(tmp_path / "raw")
    assert [received.path for received in server.api.gets("B04.tif")] == [f"{API}{path}?key={server.key}"]
