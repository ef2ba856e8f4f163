import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.download import DownloadParams
from pipeline.errors import PipelineError
from pipeline.params import validated
from pipeline.sources.settings import http_address
from tests.world import changed

PARAMS = Path("params.yaml")
ROOT = Path(__file__).parents[2]


def read(**changes: Any) -> DownloadParams:
    values = changed(**{f"download.{key}": value for key, value in changes.items()})
    return validated(DownloadParams, {key: values[key] for key in DownloadParams.model_fields}, PARAMS)


def test_a_selection_is_none_or_what_it_says() -> None:
    chosen = {"bbox": [-20, 10, -19, "11.5"], "tiles": ["31PGS"], "dates": ["2018-01-01", date(2018, 6, 1)], "chips": 5}
    select = read(**{"landcovernet.select": chosen}).download.landcovernet.select
    assert select.bbox == (-20.0, 10.0, -19.0, 11.5)
    assert select.dates == (date(2018, 1, 1), date(2018, 6, 1))
    assert (select.tiles, select.chips) == (["31PGS"], 5)
    assert read().download.ghana.select.bbox == "none"


@pytest.mark.parametrize(
    "text", ["[2018-01-01, 2018-06-30]", '["2018-01-01", "2018-06-30"]', "[2018-01-01, '2018-06-30']"]
)
def test_dates_may_be_written_with_and_without_quotes(text: str) -> None:
    select = read(**{"ghana.select": {"bbox": "none", "tiles": "none", "dates": yaml.safe_load(text), "chips": "none"}})
    assert select.download.ghana.select.dates == (date(2018, 1, 1), date(2018, 6, 30))


def test_the_selection_that_params_yaml_shows_is_one_that_dvc_takes() -> None:
    (shown,) = re.findall(r"^ *# (\{bbox: .*\})$", (ROOT / "params.yaml").read_text(), re.MULTILINE)
    values = yaml.safe_load(shown)
    assert values["dates"] == ["2018-01-01", "2018-06-30"]  # texts: DVC has no word for a date
    assert read(**{"landcovernet.select": values}).download.landcovernet.select.chips == 100


def test_a_single_zip_has_no_connections() -> None:
    with pytest.raises(PipelineError, match="download.landcoverai.connections is not a known key"):
        read(**{"landcoverai.connections": 2})


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("landcovernet.select.bbox", [1, 2, 0, 3], "[1.0, 2.0, 0.0, 3.0] is no [west, south, east, north] in degrees"),
        ("landcovernet.select.bbox", [-200, 2, 0, 3], "is no [west, south, east, north] in degrees"),
        ("landcovernet.select.chips", 0, "input should be greater than or equal to 1"),
        ("landcovernet.select.dates", ["2018-01-01", "June"], "input should be a valid date or datetime"),
        ("landcovernet.connections", 0, "download.landcovernet.connections is 0; input should be greater than"),
        ("landcovernet.mlhub.dataset", "../x", "download.landcovernet.mlhub.dataset is '../x'; string should match"),
        (
            "landcovernet.source_coop.endpoint",
            "data.source.coop",
            "'data.source.coop' is no address; expected one that",
        ),
        ("landcovernet.source_coop.endpoint", "https://data source.coop", "'https://data source.coop' is no address; "),
        ("landcovernet.source_coop.endpoint", "https://x..y", "'https://x..y' is no address; expected one that"),
        ("landcovernet.source_coop.endpoint", "https://x:port", "'https://x:port' is no address; expected one that"),
        ("landcoverai.archive.url", "http://[bad", "'http://[bad' is no address; expected one that begins with https"),
        ("landcoverai.archive.url", "http://[::1:2]:x/", "is no address; expected one that begins with https"),
        ("landcovernet.source_coop.images", "(", "'(' is no regular expression: "),
        ("landcovernet.source_coop.images", "a", "'a' lacks the groups (?P<chip>…) and (?P<asset>…)"),
        ("landcovernet.source_coop.images", "(?P<chip>a)(?P<asset>b)", "which lacks the group (?P<date>…)"),
        ("landcoverai.archive.sha256", "abc", "download.landcoverai.archive.sha256 is 'abc'; string should match"),
        ("landcoverai.archive.url", "ftp://host/a.zip", "'ftp://host/a.zip' is no address"),
    ],
)
def test_what_cannot_be_is_refused(key: str, value: Any, words: str) -> None:
    with pytest.raises(PipelineError) as error:
        read(**{key: value})
    assert words in str(error.value)


LAYOUTS = {
    "landcovernet": [
        "ref_landcovernet_af_v1_source_sentinel_2/ref_landcovernet_af_v1_source_sentinel_2_31PGS_01_20180105/B04.tif",
        "31PGS_01/S2/31PGS_01_20180105/31PGS_01_20180105_B04_10m.tif",
        "2018/31PGS/31PGS_01_20180105_B04_10m.tif",
    ],
    "ghana": [
        "su_african_crops_ghana_source_s2/su_african_crops_ghana_source_s2_000123_2016_01_05/source.tif",
        "s2/s2_ghana_000123/s2_ghana_000123_2016_01_05_source.tif",
        "s2_ghana_000123_20160105/s2_ghana_000123_20160105_source.tif",
    ],
}
LABELS = {
    "landcovernet": [
        "ref_landcovernet_af_v1_labels/ref_landcovernet_af_v1_labels_31PGS_01/labels.tif",
        "31PGS/31PGS_01/31PGS_01_2018_LC_10m.tif",
    ],
    "ghana": [
        "su_african_crops_ghana_labels/su_african_crops_ghana_labels_000123/labels.tif",
        "truth/truth_ghana_000123/truth_ghana_000123_label.tif",
    ],
}


@pytest.mark.parametrize("dataset", list(LAYOUTS))
def test_the_patterns_of_params_yaml_fit_the_layouts_that_are_known_or_likely(dataset: str) -> None:
    place = yaml.safe_load((ROOT / "params.yaml").read_text())["download"][dataset]["source_coop"]
    chip, day = {"landcovernet": ("31PGS_01", "20180105"), "ghana": ("000123", "20160105")}[dataset]
    for key in LAYOUTS[dataset]:
        match = re.fullmatch(place["images"], key)
        assert match, key
        assert (match["chip"], match["date"].replace("_", "")) == (chip, day)
        assert match["asset"] == {"landcovernet": "B04", "ghana": "source"}[dataset]
    for key in LABELS[dataset]:
        match = re.fullmatch(place["labels"], key)
        assert match, key
        assert match["chip"] == chip


@pytest.mark.parametrize(
    "url",
    [
        "https://host",
        "http://127.0.0.1:9000/a b",
        "http://[::1]:80/x",
        "https://me@a_b.c-d.coop./",
        "HTTPS://straße.de",
    ],
)
def test_addresses_are_addresses(url: str) -> None:
    assert http_address(url) == url
