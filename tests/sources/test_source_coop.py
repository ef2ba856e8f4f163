from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from pipeline.batch import Failure
from pipeline.errors import PipelineError
from pipeline.files import read_json, write_json
from pipeline.sources.base import Fetched, Request
from pipeline.sources.settings import CollectionSettings
from pipeline.sources.source_coop import fetch_source_coop, mapped
from tests.sources.bucket import bucket_server, put
from tests.sources.world import DAYS, files_below, request, small_ghana, small_landcovernet

pytestmark = pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")

BUCKET, PREFIX = "radiantearth", "landcovernet/"


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    with bucket_server() as running:
        yield running


@pytest.fixture(autouse=True)
def confusing_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    """What people have set for their own buckets."""
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAXXXXXXXXXXXXXXXX")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "their-own-secret")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
    monkeypatch.setenv("AWS_PROFILE", "of-theirs")
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def bucket(endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = small_landcovernet(tmp_path_factory.mktemp("archive"))
    put(endpoint, BUCKET, PREFIX, folder)
    return folder


def asked(endpoint: str, dataset: str = "landcovernet", **changes: Any) -> Request:
    place = {"endpoint": endpoint, "bucket": BUCKET, "prefix": PREFIX} | changes
    return request(dataset, **{f"download.{dataset}.source_coop.{key}": value for key, value in place.items()})


def fetch(folder: Path, wanted: Request) -> tuple[list[Fetched], list[Failure]]:
    folder.mkdir()
    found = list(fetch_source_coop(wanted, folder))
    return [each for each in found if isinstance(each, Fetched)], [each for each in found if isinstance(each, Failure)]


def test_labels_all_cloud_masks_and_the_bands_of_clear_dates_arrive(
    endpoint: str, bucket: Path, tmp_path: Path
) -> None:
    _, failures = fetch(tmp_path / "raw", asked(endpoint))
    assert failures == []
    there = files_below(tmp_path / "raw")
    prefix = "ref_landcovernet_v1_source_sentinel_2"
    for day in DAYS:
        item = f"{prefix}/{prefix}_31PGS_01_{day:%Y%m%d}/"
        names = ["B02", "B03", "B04", "SCL"] if day in (DAYS[0], DAYS[2]) else ["SCL"]
        assert [Path(name).stem for name in there if name.startswith(item)] == names
    assert "ref_landcovernet_v1_labels/ref_landcovernet_v1_labels_31PGS_02/labels.tif" in there
    originals = {name.rsplit("_sentinel_2_", 1)[-1]: body for name, body in files_below(bucket).items()}
    for name, body in there.items():
        if "_sentinel_2_" in name:
            assert originals[name.rsplit("_sentinel_2_", 1)[-1]] == body


def test_origins_are_keys_below_the_prefix(endpoint: str, bucket: Path, tmp_path: Path) -> None:
    fetched, _ = fetch(tmp_path / "raw", asked(endpoint))
    assert {each.origin for each in fetched} <= set(files_below(bucket))


def test_a_second_run_transfers_nothing(endpoint: str, bucket: Path, tmp_path: Path) -> None:
    first, second = asked(endpoint), asked(endpoint)
    fetch(tmp_path / "raw", first)
    fetch(tmp_path / "again", second)
    assert first.traffic.received > 0
    assert (second.traffic.received, files_below(tmp_path / "again")) == (0, files_below(tmp_path / "raw"))


def test_tiles_choose(endpoint: str, bucket: Path, tmp_path: Path) -> None:
    wanted = request(
        "landcovernet",
        **{
            "download.landcovernet.source_coop.endpoint": endpoint,
            "download.landcovernet.source_coop.bucket": BUCKET,
            "download.landcovernet.source_coop.prefix": PREFIX,
            "download.landcovernet.select.tiles": ["99XXX"],
        },
    )
    with pytest.raises(PipelineError, match="select leaves none of 2 labelled chips"):
        fetch(tmp_path / "raw", wanted)


def test_ghana_too(endpoint: str, tmp_path: Path) -> None:
    put(endpoint, "stanford", "africa/", small_ghana(tmp_path / "archive"))
    fetched, failures = fetch(tmp_path / "raw", asked(endpoint, "ghana", bucket="stanford", prefix="africa/"))
    assert failures == []
    names = sorted(each.path.name for each in fetched)
    assert names == ["cloudmask.tif"] * 8 + ["labels.tif"] * 2 + ["source.tif"] * 4


def test_a_layout_that_does_not_fit_is_shown_beside_what_was_expected(
    endpoint: str, bucket: Path, tmp_path: Path
) -> None:
    pattern = r"(?P<chip>\d+)/(?P<date>\d{8})/(?P<asset>\w+)\.tif"
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", asked(endpoint, images=pattern))
    said = str(error.value)
    assert said.startswith(
        f"none of {len(files_below(bucket))} keys in radiantearth/landcovernet/ is one of the images: "
    )
    assert f"expected {pattern}, found ref_landcovernet_af_v1_labels/collection.json, " in said
    assert said.endswith(", …; set download.landcovernet.source_coop.images to a pattern that fits")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"bucket": "gone"}, "/gone/landcovernet/ cannot be listed: "),
        ({"prefix": "elsewhere/"}, "/radiantearth/elsewhere/ holds nothing; see download.*.source_coop in params.yaml"),
        ({"endpoint": "http://a_b:9"}, "a_b:9/radiantearth/landcovernet/ cannot be listed: Invalid endpoint"),
        ({"endpoint": "http://127.0.0.1:9"}, "127.0.0.1:9/radiantearth/landcovernet/ cannot be listed: "),
    ],
)
def test_what_cannot_be_listed_is_one_line(
    endpoint: str, bucket: Path, tmp_path: Path, changes: dict[str, Any], words: str
) -> None:
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "raw", asked(**({"endpoint": endpoint} | changes)))
    assert words in str(error.value)


LABEL = "ref_landcovernet_af_v1_labels/ref_landcovernet_af_v1_labels_31PGS_01/labels.tif"


def test_etags_that_are_no_md5s_refuse_every_file_until_they_are_said_to_be_none(
    endpoint: str, bucket: Path, tmp_path: Path, own_cache: Path
) -> None:
    fetch(tmp_path / "first", asked(endpoint))
    (listing,) = own_cache.rglob("listing.json")
    wrong = {key: facts | {"md5": "0" * 32} for key, facts in read_json(listing).items()}
    for file in files_below(listing.parent):
        (listing.parent / file).unlink()
    write_json(listing, wrong)
    _, failures = fetch(tmp_path / "refused", asked(endpoint))
    assert len(failures) == 10
    assert failures[0].reason.endswith(
        f"; expected {'0' * 32}; it was removed; if that is so for every file, its ETags are no MD5s: "
        "set download.landcovernet.source_coop.etag to none"
    )
    assert fetch(tmp_path / "raw", asked(endpoint, etag="none"))[1] == []
    assert files_below(tmp_path / "raw") == files_below(tmp_path / "first")


def test_two_keys_for_one_file_are_refused_by_name() -> None:
    keys = {key: {"size": 1, "md5": None} for key in (f"old/{LABEL}", LABEL)}
    settings = asked("https://host").settings
    assert isinstance(settings, CollectionSettings)
    with pytest.raises(PipelineError) as error:
        list(mapped(keys, settings.source_coop, "landcovernet"))
    assert str(error.value) == (
        f"old/{LABEL} and {LABEL} in radiantearth/landcovernet/ are two files for labels of 31PGS_01; "
        "narrow download.landcovernet.source_coop.labels or prefix"
    )
