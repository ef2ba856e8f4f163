import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.failures import Failure
from pipeline.core.files import read_json, write_json
from pipeline.sources.base import Fetched, Request
from pipeline.sources.settings import CollectionSettings
from pipeline.sources.source_coop import Sightings, fetch_source_coop, mapped
from tests.sources.bucket import GHANA, LANDCOVERNET, Front, as_ghana, as_landcovernet, bucket_server, fronted, put
from tests.sources.world import DAYS, files_below, request, small_ghana, small_landcovernet

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")

PARAMS = yaml.safe_load((Path(__file__).parents[2] / "params.yaml").read_text())["download"]
CLEAR = DAYS[0], DAYS[2]
SOURCE = "ref_landcovernet_v1_source_sentinel_2"


@pytest.fixture(autouse=True)
def confusing_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What people have set for their own buckets."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "their-own-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_PROFILE", "of-theirs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Buckets that hold what Source Cooperative holds, and one without cloud masks."""
    folder = tmp_path_factory.mktemp("archives")
    africa = small_landcovernet(folder / "landcovernet", ("28QDE_07", "31PGS_01", "31PGS_02"))
    ghana = small_ghana(folder / "ghana")
    with bucket_server() as running:
        put(running, "radiantearth", "", as_landcovernet(africa, folder / "radiantearth"))
        put(running, "stanford", "", as_ghana(ghana, folder / "stanford"))
        put(running, "maskless", "", as_ghana(ghana, folder / "maskless", clouds=""))
        put(running, "renamed", "", as_ghana(ghana, folder / "renamed", clouds="sky"))
        yield running


@pytest.fixture
def front(endpoint: str) -> Iterator[Front]:
    with fronted(endpoint) as running:
        yield running


def asked(endpoint: str, dataset: str = "landcovernet", more: dict[str, Any] | None = None, **changes: Any) -> Request:
    """A request by the patterns of params.yaml, some of them changed."""
    place = PARAMS[dataset]["source_coop"] | {"endpoint": endpoint} | changes
    return request(dataset, **{f"download.{dataset}.source_coop": place, **(more or {})})


def select(dataset: str = "landcovernet", **changes: Any) -> dict[str, Any]:
    return {f"download.{dataset}.select.{key}": value for key, value in changes.items()}


def fetch(folder: Path, wanted: Request) -> tuple[list[Fetched], list[Failure]]:
    folder.mkdir()
    found = list(fetch_source_coop(wanted, folder))
    return [each for each in found if isinstance(each, Fetched)], [each for each in found if isinstance(each, Failure)]


def test_labels_all_cloud_masks_and_the_bands_of_clear_dates_arrive(front: Front, tmp_path: Path) -> None:
    _, failures = fetch(tmp_path / "raw", asked(front.url, more=select(tiles=["31PGS"])))
    assert failures == []
    there = files_below(tmp_path / "raw")
    expected = {f"ref_landcovernet_v1_labels/ref_landcovernet_v1_labels_31PGS_0{n}/labels.tif" for n in (1, 2)}
    for chip in ("31PGS_01", "31PGS_02"):
        for day in DAYS:
            names = ("B02", "B03", "B04", "SCL") if day in CLEAR else ("SCL",)
            expected |= {f"{SOURCE}/{SOURCE}_{chip}_{day:%Y%m%d}/{name}.tif" for name in names}
    assert set(there) == expected


def test_only_keys_of_sentinel_2_and_of_labels_are_fetched_each_to_its_place(front: Front, tmp_path: Path) -> None:
    fetched, _ = fetch(tmp_path / "raw", asked(front.url, more=select(tiles=["31PGS"])))
    assert front.keys == sorted(f"{LANDCOVERNET}{each.origin}" for each in fetched)
    label = r"31PGS/0[12]/31PGS_0[12]_2018_LC_10m\.tif"
    image = r"31PGS/(0[12])/S2/31PGS_\1_(2018\d{4})/31PGS_\1_\2_(B0[234]|SCL)_10m\.tif"
    for each in fetched:
        if (match := re.fullmatch(image, each.origin)) is not None:
            assert each.path == Path(SOURCE, f"{SOURCE}_31PGS_{match[1]}_{match[2]}", f"{match[3]}.tif")
        else:
            assert re.fullmatch(label, each.origin)


@pytest.mark.parametrize(
    ("changes", "folders", "lists"),
    [
        ({"tiles": ["31PGS"]}, ["{tile}/"], ["31PGS/"]),
        ({"tiles": ["31PGS", "28QDE"]}, ["{tile}/"], ["28QDE/", "31PGS/"]),
        ({"chips": 1}, ["{tile}/"], ["…", "28QDE/"]),
        ({"chips": 2}, ["{tile}/"], ["…", "28QDE/", "31PGS/"]),
        ({"chips": 1, "tiles": ["31PGS"]}, ["{tile}/"], ["31PGS/"]),
        ({}, ["{tile}/"], ["…", "28QDE/", "31PGS/"]),
        ({"tiles": ["31PGS"]}, ["{tile}/02/", "{tile}/01/"], ["31PGS/02/", "31PGS/01/"]),
        ({"tiles": ["31PGS"]}, [""], [""]),
    ],
)
def test_no_more_is_listed_than_was_selected(
    front: Front, tmp_path: Path, changes: dict[str, Any], folders: list[str], lists: list[str]
) -> None:
    fetch(tmp_path / "raw", asked(front.url, more=select(**changes), folders=folders))
    assert front.lists == [f"{LANDCOVERNET}{each}" for each in lists]


def test_as_many_chips_come_as_were_asked_for_the_first_by_name(front: Front, tmp_path: Path) -> None:
    fetched, _ = fetch(tmp_path / "raw", asked(front.url, more=select(chips=2)))
    labels = [each.path.parent.name for each in fetched if each.path.name == "labels.tif"]
    assert [name.rpartition("labels_")[2] for name in labels] == ["28QDE_07", "31PGS_01"]


def test_a_second_run_asks_nobody_and_another_tile_is_listed_alone(front: Front, tmp_path: Path) -> None:
    fetch(tmp_path / "raw", asked(front.url, more=select(tiles=["31PGS"])))
    front.seen.clear()
    again = asked(front.url, more=select(tiles=["31PGS"]))
    fetch(tmp_path / "again", again)
    assert (front.seen, again.statistics.received) == ([], 0)
    assert files_below(tmp_path / "again") == files_below(tmp_path / "raw")
    fetch(tmp_path / "both", asked(front.url, more=select(tiles=["31PGS", "28QDE"])))
    assert front.lists == [f"{LANDCOVERNET}28QDE/"]
    assert all("/28QDE/" in key for key in front.keys)


def test_a_tile_that_is_not_there_is_named_beside_those_that_are(front: Front, tmp_path: Path) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", asked(front.url, more=select(tiles=["31PGS", "31PGT"])))
    where = f"{front.url}/radiantearth/{LANDCOVERNET}"
    assert str(error.value) == (
        f"{where}31PGT/ holds nothing, but download.landcovernet.select.tiles names 31PGT; {where} has 31PGS, 28QDE; "
        "name one of these, or set download.landcovernet.source_coop.prefix to where it lies"
    )


def test_another_continent_is_another_prefix(front: Front, tmp_path: Path) -> None:
    asia = LANDCOVERNET.replace("_af", "_as")
    _, failures = fetch(tmp_path / "raw", asked(front.url, prefix=asia))
    assert front.lists == [f"{asia}…", f"{asia}36SWF/"]
    assert failures  # what lies there is not an image
    assert all(key.startswith(f"{asia}36SWF/00/") for key in front.keys)


def test_of_ghana_only_truth_and_sentinel_2_are_listed_and_fetched(front: Front, tmp_path: Path) -> None:
    fetched, failures = fetch(tmp_path / "raw", asked(front.url, "ghana"))
    assert failures == []
    names = sorted(each.path.name for each in fetched)
    assert names == ["cloudmask.tif"] * 8 + ["labels.tif"] * 2 + ["source.tif"] * 4
    assert front.lists == [f"{GHANA}truth/", f"{GHANA}s2/"]
    assert all(key.startswith((f"{GHANA}truth/", f"{GHANA}s2/")) for key in front.keys)
    (data,) = [each for each in fetched if each.path.name == "source.tif" and "000002_2018_07" in str(each.path)]
    assert data.origin == "s2/s2_ghana_000002/s2_ghana_000002_2018_07_05/s2_ghana_000002_2018_07_05_data.tif"


SKY = "s2/s2_ghana_000001/s2_ghana_000001_2018_01_05/s2_ghana_000001_2018_01_05_sky.tif"


@pytest.mark.parametrize(
    ("bucket", "keys", "found"), [("maskless", 10, "nothing"), ("renamed", 18, f"beside the images {SKY}")]
)
def test_cloud_masks_that_the_pattern_does_not_find_are_one_line(
    front: Front, tmp_path: Path, bucket: str, keys: int, found: str
) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", asked(front.url, "ghana", bucket=bucket))
    assert str(error.value) == (
        f"none of {keys} keys in {bucket}/{GHANA} is one of the clouds: expected "
        f"{PARAMS['ghana']['source_coop']['clouds']}, found {found}; set "
        "download.ghana.source_coop.clouds to a pattern that fits; without cloud masks set "
        "download.ghana.clouds_first.clouds and cloud_filter.ghana.clouds to none, which takes every date as clear"
    )
    assert front.keys == []


def test_cloud_masks_of_another_name_are_a_pattern_away(front: Front, tmp_path: Path) -> None:
    pattern = PARAMS["ghana"]["source_coop"]["clouds"].replace("cloud_?mask", "sky")
    fetched, failures = fetch(tmp_path / "raw", asked(front.url, "ghana", bucket="renamed", clouds=pattern))
    assert failures == []
    assert sum(each.path.name == "cloudmask.tif" and each.origin.endswith("_sky.tif") for each in fetched) == 8


@pytest.mark.parametrize("bucket", ["maskless", "stanford"])
def test_without_clouds_no_mask_is_asked_for_and_the_first_dates_come(
    front: Front, tmp_path: Path, bucket: str
) -> None:
    wanted = asked(front.url, "ghana", {"download.ghana.clouds_first.clouds": "none"}, bucket=bucket)
    fetched, failures = fetch(tmp_path / "raw", wanted)
    assert failures == []
    found = [each.path for each in fetched if each.path.name != "labels.tif"]
    source = "su_african_crops_ghana_source_s2"
    assert found == [
        Path(source, f"{source}_{chip}_{day:%Y_%m_%d}", "source.tif")
        for chip in ("000001", "000002")
        for day in DAYS[:2]
    ]
    assert len(front.keys) == len(fetched)


def test_what_an_earlier_pattern_took_for_a_file_is_not_taken_for_it_again(front: Front, tmp_path: Path) -> None:
    one = select(tiles=["28QDE"])
    first, _ = fetch(tmp_path / "first", asked(front.url, more=one))
    front.seen.clear()
    narrower = PARAMS["landcovernet"]["source_coop"]["images"].replace(r"B\d[\dA]", "B0[234]")
    fetch(tmp_path / "again", asked(front.url, images=narrower, more=one))
    assert (len(front.keys), front.lists) == (len(first), [])


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        (
            {"images": r"(?P<chip>\d+)/(?P<date>\d{8})/(?P<asset>\w+)\.tif"},
            "none of 47 keys in radiantearth/landcovernet/landcovernet_af/data/v1.0/2018/ is one of the images: "
            r"expected (?P<chip>\d+)/(?P<date>\d{8})/(?P<asset>\w+)\.tif, found 28QDE/07/28QDE_07_labeling_dates.csv, ",
        ),
        ({"labels": r"(?P<chip>\d+)\.png"}, r" is one of the labels: expected (?P<chip>\d+)\.png, found 28QDE/07/"),
    ],
)
def test_a_layout_that_does_not_fit_is_shown_beside_what_was_expected(
    front: Front, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", asked(front.url, more=select(tiles=["28QDE"]), **changes))
    (kind,) = changes
    assert words in str(error.value)
    assert str(error.value).endswith(f"; set download.landcovernet.source_coop.{kind} to a pattern that fits")
    assert str(error.value).count(".tif") < 8  # one of each kind of name


@pytest.mark.parametrize("folders", [["{tile}/"], ["elsewhere/"]])
def test_a_place_without_anything_is_named(front: Front, tmp_path: Path, folders: list[str]) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", asked(front.url, prefix="elsewhere", folders=folders))
    assert str(error.value) == (
        f"{front.url}/radiantearth/elsewhere/ holds nothing in download.landcovernet.source_coop.folders "
        f"({folders[0]}); see download.landcovernet.source_coop.prefix"
    )


def test_etags_that_are_no_md5s_refuse_every_file_until_they_are_said_to_be_none(
    front: Front, tmp_path: Path, own_cache: Path
) -> None:
    one = select(tiles=["28QDE"])
    fetch(tmp_path / "first", asked(front.url, more=one))
    (listing,) = own_cache.rglob("keys-*.json")
    wrong = {key: facts | {"md5": "0" * 32} for key, facts in read_json(listing).items()}
    for file in files_below(listing.parent):
        (listing.parent / file).unlink()
    write_json(listing, wrong)
    _, failures = fetch(tmp_path / "refused", asked(front.url, more=one))
    assert len(failures) == 5
    assert failures[0].reason.endswith(
        f", expected {'0' * 32}; removed; if that is so for every file, its ETags are no MD5s: "
        "set download.landcovernet.source_coop.etag to none"
    )
    assert fetch(tmp_path / "raw", asked(front.url, more=one, etag="none"))[1] == []
    assert files_below(tmp_path / "raw") == files_below(tmp_path / "first")


def test_two_keys_for_one_file_are_refused_by_name() -> None:
    label = "31PGS/01/31PGS_01_2018_LC_10m.tif"
    keys = {key: {"size": 1, "md5": None} for key in (f"old/{label}", label)}
    settings = asked("https://host").settings
    assert isinstance(settings, CollectionSettings)
    with pytest.raises(PipelineError) as error:
        list(mapped(keys, settings.source_coop, "landcovernet", Sightings()))
    assert str(error.value) == (
        f"{label} and old/{label} in radiantearth/{LANDCOVERNET} are two files for labels of 31PGS_01; "
        "narrow download.landcovernet.source_coop.labels or prefix"
    )
