"""From a bucket come the files that the patterns match, of the selected tiles, each once; else what does not match."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failures, partition_results
from pipeline.core.files import read_json, write_json
from pipeline.sources.base import Fetched, Request
from pipeline.sources.settings import CollectionSettings
from pipeline.sources.source_coop import KeyStatistics, fetch_source_coop, parse_listing
from tests.sources.bucket import (
    GHANA,
    LANDCOVERNET,
    USER,
    Proxy,
    as_ghana,
    as_landcovernet,
    bucket_server,
    put,
)
from tests.sources.world import DAYS, files_below, request, small_ghana, small_landcovernet

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["download"]
CLEAR = DAYS[0], DAYS[2]
SOURCE = "ref_landcovernet_v1_source_sentinel_2"


@pytest.fixture(autouse=True)
def confusing_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in USER.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Buckets in the layout of Source Cooperative, and two with other cloud masks or none."""
    folder = tmp_path_factory.mktemp("archives")
    africa = small_landcovernet(folder / "landcovernet", ("28QDE_07", "31PGS_01", "31PGS_02"))
    ghana = small_ghana(folder / "ghana")
    with bucket_server() as running:
        put(running, "radiantearth", "", as_landcovernet(africa, folder / "radiantearth"))
        put(running, "stanford", "", as_ghana(ghana, folder / "stanford"))
        put(running, "maskless", "", as_ghana(ghana, folder / "maskless", clouds=""))
        put(running, "renamed", "", as_ghana(ghana, folder / "renamed", clouds="sky"))
        yield running


def coop_request(
    endpoint: str, dataset: str = "landcovernet", more: dict[str, Any] | None = None, **changes: Any
) -> Request:
    """A request with the patterns of params.yaml, some changed."""
    place = PARAMS[dataset]["source_coop"] | {"endpoint": endpoint} | changes
    return request(dataset, **{f"download.{dataset}.source_coop": place, **(more or {})})


def select(**changes: Any) -> dict[str, Any]:
    return {f"download.landcovernet.select.{key}": value for key, value in changes.items()}


def fetch(folder: Path, requested: Request) -> tuple[list[Fetched], Failures]:
    folder.mkdir()
    return partition_results(fetch_source_coop(requested, folder))


def test_labels_all_cloud_masks_and_the_bands_of_clear_dates_are_fetched_once(proxy: Proxy, tmp_path: Path) -> None:
    fetched, failures = fetch(tmp_path / "raw", coop_request(proxy.url, more=select(tiles=["31PGS"])))
    assert failures == []
    files = files_below(tmp_path / "raw")
    expected = {}
    for chip in ("31PGS_01", "31PGS_02"):
        key, label = chip.replace("_", "/"), "ref_landcovernet_v1_labels"
        expected[f"{label}/{label}_{chip}/labels.tif"] = f"{key}/{chip}_2018_LC_10m.tif"
        for day in DAYS:
            item = f"{chip}_{day:%Y%m%d}"
            for name in ("B02", "B03", "B04", "SCL") if day in CLEAR else ("SCL",):
                expected[f"{SOURCE}/{SOURCE}_{item}/{name}.tif"] = f"{key}/S2/{item}/{item}_{name}_10m.tif"
    assert {file.path.as_posix(): file.origin for file in fetched} == expected
    assert files.keys() == expected.keys()
    assert proxy.keys == sorted(f"{LANDCOVERNET}{key}" for key in expected.values())
    assert not any("Authorization" in received.headers for received in proxy.received)
    proxy.received.clear()
    again = coop_request(proxy.url, more=select(tiles=["31PGS"]))
    fetch(tmp_path / "again", again)
    assert (proxy.received, again.statistics.received) == ([], 0)
    assert files_below(tmp_path / "again") == files
    fetch(tmp_path / "both", coop_request(proxy.url, more=select(tiles=["31PGS", "28QDE"])))
    assert proxy.lists == [f"{LANDCOVERNET}28QDE/"]
    assert all("/28QDE/" in key for key in proxy.keys)


@pytest.mark.parametrize(
    ("changes", "folders", "lists"),
    [
        ({"tiles": ["31PGS", "28QDE"]}, ["{tile}/"], ["28QDE/", "31PGS/"]),
        ({"chips": 1}, ["{tile}/"], ["…", "28QDE/"]),
        ({"chips": 1, "tiles": ["31PGS"]}, ["{tile}/"], ["31PGS/"]),
        ({}, ["{tile}/"], ["…", "28QDE/", "31PGS/"]),
        ({"tiles": ["31PGS"]}, ["{tile}/02/", "{tile}/01/"], ["31PGS/02/", "31PGS/01/"]),
        ({"tiles": ["31PGS"]}, [""], [""]),
    ],
)
def test_only_selected_tiles_are_listed(
    proxy: Proxy, tmp_path: Path, changes: dict[str, Any], folders: list[str], lists: list[str]
) -> None:
    fetch(tmp_path / "raw", coop_request(proxy.url, more=select(**changes), folders=folders))
    assert proxy.lists == [f"{LANDCOVERNET}{prefix}" for prefix in lists]


def test_a_missing_tile_is_refused_with_the_existing_ones(proxy: Proxy, tmp_path: Path) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", coop_request(proxy.url, more=select(tiles=["31PGS", "31PGT"])))
    where = f"{proxy.url}/radiantearth/{LANDCOVERNET}"
    assert str(error.value) == (
        f"{where}31PGT/ is empty, but download.landcovernet.select.tiles contains 31PGT; {where} has 31PGS, 28QDE; "
        "select one of these, or set download.landcovernet.source_coop.prefix to the prefix of 31PGT"
    )


def test_only_labels_and_sentinel_2_of_ghana_are_listed_and_fetched(proxy: Proxy, tmp_path: Path) -> None:
    fetched, failures = fetch(tmp_path / "raw", coop_request(proxy.url, "ghana"))
    assert failures == []
    names = sorted(file.path.name for file in fetched)
    assert names == ["cloudmask.tif"] * 8 + ["labels.tif"] * 2 + ["source.tif"] * 4
    assert proxy.lists == [f"{GHANA}truth/", f"{GHANA}s2/"]
    assert all(key.startswith((f"{GHANA}truth/", f"{GHANA}s2/")) for key in proxy.keys)
    (data,) = [file for file in fetched if file.path.name == "source.tif" and "000002_2018_07" in str(file.path)]
    assert data.origin == "s2/s2_ghana_000002/s2_ghana_000002_2018_07_05/s2_ghana_000002_2018_07_05_data.tif"


SKY = "s2/s2_ghana_000001/s2_ghana_000001_2018_01_05/s2_ghana_000001_2018_01_05_sky.tif"


@pytest.mark.parametrize(("bucket", "keys", "found"), [("maskless", 10, "nothing"), ("renamed", 18, SKY)])
def test_unmatched_cloud_masks_are_refused(proxy: Proxy, tmp_path: Path, bucket: str, keys: int, found: str) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", coop_request(proxy.url, "ghana", bucket=bucket))
    assert str(error.value) == (
        f"none of {keys} keys in {proxy.url}/{bucket}/{GHANA} matches download.ghana.source_coop.clouds: expected "
        f"{PARAMS['ghana']['source_coop']['clouds']}, found {found}; set "
        "download.ghana.source_coop.clouds to a pattern that matches; without cloud masks set "
        "download.ghana.clouds_first.clouds and cloud_filter.ghana.clouds to none, which takes every date as clear"
    )
    assert proxy.keys == []


def test_cloud_masks_of_another_name_are_fetched_by_another_pattern(proxy: Proxy, tmp_path: Path) -> None:
    pattern = PARAMS["ghana"]["source_coop"]["clouds"].replace("cloud_?mask", "sky")
    fetched, failures = fetch(tmp_path / "raw", coop_request(proxy.url, "ghana", bucket="renamed", clouds=pattern))
    assert failures == []
    assert sum(file.path.name == "cloudmask.tif" and file.origin.endswith("_sky.tif") for file in fetched) == 8


@pytest.mark.parametrize("bucket", ["maskless", "stanford"])
def test_without_clouds_the_first_dates_are_fetched_without_masks(proxy: Proxy, tmp_path: Path, bucket: str) -> None:
    requested = coop_request(proxy.url, "ghana", {"download.ghana.clouds_first.clouds": "none"}, bucket=bucket)
    fetched, failures = fetch(tmp_path / "raw", requested)
    assert failures == []
    paths = [file.path for file in fetched if file.path.name != "labels.tif"]
    source = "su_african_crops_ghana_source_s2"
    assert paths == [
        Path(source, f"{source}_{chip}_{day:%Y_%m_%d}", "source.tif")
        for chip in ("000001", "000002")
        for day in DAYS[:2]
    ]
    assert len(proxy.keys) == len(fetched)


def test_files_matched_by_an_earlier_pattern_are_fetched_again(proxy: Proxy, tmp_path: Path) -> None:
    selection = select(tiles=["28QDE"])
    first, _ = fetch(tmp_path / "first", coop_request(proxy.url, more=selection))
    proxy.received.clear()
    narrower = PARAMS["landcovernet"]["source_coop"]["images"].replace(r"B\d[\dA]", "B0[234]")
    fetch(tmp_path / "again", coop_request(proxy.url, images=narrower, more=selection))
    assert (len(proxy.keys), proxy.lists) == (len(first), [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"images": r"(?P<chip>\d+)/(?P<date>\d{8})/(?P<asset>\w+)\.tif"},
            "/radiantearth/landcovernet/landcovernet_af/data/v1.0/2018/ matches "
            "download.landcovernet.source_coop.images: "
            r"expected (?P<chip>\d+)/(?P<date>\d{8})/(?P<asset>\w+)\.tif, found 28QDE/07/28QDE_07_labeling_dates.csv, ",
        ),
        (
            {"labels": r"(?P<chip>\d+)\.png"},
            r" matches download.landcovernet.source_coop.labels: expected (?P<chip>\d+)\.png, found 28QDE/07/",
        ),
    ],
)
def test_unmatched_patterns_are_refused_with_the_keys_found(
    proxy: Proxy, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", coop_request(proxy.url, more=select(tiles=["28QDE"]), **changes))
    (kind,) = changes
    assert words in str(error.value)
    assert str(error.value).endswith(f"; set download.landcovernet.source_coop.{kind} to a pattern that matches")
    assert str(error.value).count(".tif") < 8  # one of each kind of name


@pytest.mark.parametrize("folders", [["{tile}/"], ["elsewhere/"]])
def test_an_empty_prefix_is_refused(proxy: Proxy, tmp_path: Path, folders: list[str]) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", coop_request(proxy.url, prefix="elsewhere", folders=folders))
    assert str(error.value) == (
        f"{proxy.url}/radiantearth/elsewhere/ has no files in download.landcovernet.source_coop.folders "
        f"({folders[0]}); check download.landcovernet.source_coop.prefix"
    )


def test_wrong_etags_fail_every_file_unless_etag_is_none(proxy: Proxy, tmp_path: Path, own_cache: Path) -> None:
    selection = select(tiles=["28QDE"])
    fetch(tmp_path / "first", coop_request(proxy.url, more=selection))
    (listing,) = own_cache.rglob("keys-*.json")
    wrong = {key: facts | {"md5": "0" * 32} for key, facts in read_json(listing).items()}
    for file in files_below(listing.parent):
        (listing.parent / file).unlink()
    write_json(listing, wrong)
    _, failures = fetch(tmp_path / "refused", coop_request(proxy.url, more=selection))
    assert len(failures) == 5
    assert failures[0].reason.endswith(
        f", expected {'0' * 32}; removed; if this happens for every file, the ETags are not MD5: "
        "set download.landcovernet.source_coop.etag to none"
    )
    assert fetch(tmp_path / "raw", coop_request(proxy.url, more=selection, etag="none"))[1] == []
    assert files_below(tmp_path / "raw") == files_below(tmp_path / "first")


def test_two_keys_for_one_file_are_refused() -> None:
    label = "31PGS/01/31PGS_01_2018_LC_10m.tif"
    keys = {key: {"size": 1, "md5": None} for key in (f"old/{label}", label)}
    settings = coop_request("https://host").settings
    assert isinstance(settings, CollectionSettings)
    with pytest.raises(PipelineError) as error:
        list(parse_listing(keys, settings.source_coop, "landcovernet", KeyStatistics()))
    assert str(error.value) == (
        f"{label} and old/{label} in radiantearth/{LANDCOVERNET} are two files for labels of 31PGS_01; "
        "narrow download.landcovernet.source_coop.labels or prefix"
    )
