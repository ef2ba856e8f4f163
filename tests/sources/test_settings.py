"""The section `download` of params.yaml: what it accepts, its own patterns, and a clear line for each bad value."""

import re
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.core.errors import PipelineError
from pipeline.core.params import load_params, validate
from pipeline.download import DownloadParams
from pipeline.sources.settings import http_address
from pipeline.sources.source_coop import match_key
from tests.world import changed

PARAMS = Path("params.yaml")
ROOT = Path(__file__).parents[2]
DAY = date(2018, 1, 5)
GHANA, CLOUDS = ("images", "000123", DAY, "source"), ("clouds", "000123", DAY, "cloudmask")


def read(**changes: Any) -> DownloadParams:
    values = changed(**{f"download.{key}": value for key, value in changes.items()})
    return validate(DownloadParams, {key: values[key] for key in DownloadParams.model_fields}, PARAMS)


@pytest.mark.parametrize(
    "text", ["[2018-01-01, 2018-06-30]", '["2018-01-01", "2018-06-30"]', "[2018-01-01, '2018-06-30']"]
)
def test_dates_may_be_written_with_and_without_quotes(text: str) -> None:
    select = read(**{"ghana.select": {"bbox": "none", "tiles": "none", "dates": yaml.safe_load(text), "chips": "none"}})
    assert select.download.ghana.select.dates == (date(2018, 1, 1), date(2018, 6, 30))


def test_the_example_of_a_selection_in_params_yaml() -> None:
    (example,) = re.findall(r"^ *# (\{bbox: .*\})$", (ROOT / "params.yaml").read_text(), re.MULTILINE)
    values = yaml.safe_load(example)
    assert values["dates"] == ["2018-01-01", "2018-06-30"]  # strings: DVC accepts no dates
    assert read(**{"landcovernet.select": values}).download.landcovernet.select.chips == 100


@pytest.mark.parametrize(
    ("key", "value", "words"),
    [
        ("landcovernet.select.bbox", [1, 2, 0, 3], "[1.0, 2.0, 0.0, 3.0] is not [west, south, east, north] in degrees"),
        (
            "landcovernet.select.bbox",
            [-200, 2, 0, 3],
            "select.bbox.0 is -200; input should be greater than or equal to",
        ),
        ("landcovernet.select.chips", 0, "input should be greater than or equal to 1"),
        ("landcovernet.select.dates", ["2018-01-01", "June"], "input should be a valid date or datetime"),
        ("landcovernet.connections", 0, "download.landcovernet.connections is 0; input should be greater than"),
        ("landcovernet.mlhub.dataset", "../x", "download.landcovernet.mlhub.dataset is '../x'; string should match"),
        ("landcovernet.source_coop.endpoint", "data.source.coop", "'data.source.coop' is not a URL; expected https"),
        ("landcovernet.source_coop.endpoint", "https://data source.coop", "'https://data source.coop' is not a URL; "),
        ("landcovernet.source_coop.endpoint", "https:host", "'https:host' is not a URL; expected https"),
        ("landcovernet.source_coop.endpoint", "https://x:port", "'https://x:port' is not a URL; expected https"),
        ("landcoverai.archive.url", "http://[bad", "'http://[bad' is not a URL; expected https:// and a host"),
        ("landcoverai.archive.url", "http://[::1:2]:x/", "is not a URL; expected https:// and a host"),
        ("landcovernet.source_coop.images", "(", "'(' is not a regular expression: "),
        ("landcovernet.source_coop.images", "a", "'a' lacks the group (?P<chip>…), (?P<date>…), (?P<asset>…)"),
        ("landcovernet.source_coop.images", "(?P<chip>a)(?P<asset>b)", "lacks the group (?P<date>…)"),
        ("ghana.source_coop.clouds", "(?P<chip>a)", "'(?P<chip>a)' lacks the group (?P<date>…)"),
        ("landcovernet.source_coop.clouds", "a", "download.landcovernet.source_coop.clouds is not a known key"),
        ("landcovernet.source_coop.folders", [], "download.landcovernet.source_coop.folders is []; "),
        ("landcovernet.select.tiles", [], "download.landcovernet.select.tiles is []; "),
        ("landcoverai.archive.sha256", "abc", "download.landcoverai.archive.sha256 is 'abc'; string should match"),
        ("landcoverai.archive.url", "ftp://host/a.zip", "'ftp://host/a.zip' is not a URL"),
        ("ghana.path", "", "download.ghana.path is ''; string should have at least 1 character"),
        ("ghana.sample_seed", -1, "download.ghana.sample_seed is -1; input should be greater than"),
        ("landcoverai.source", "lokal", "did you mean 'local'? allowed: sample, local, archive"),
        ("ghana.source", "lokal", "did you mean 'local'? allowed: sample, local, mlhub, source_coop"),
    ],
)
def test_an_invalid_value_is_refused(key: str, value: Any, words: str) -> None:
    with pytest.raises(PipelineError) as error:
        read(**{key: value})
    assert words in str(error.value)


def test_folders_are_normalized_to_one_slash_at_the_end() -> None:
    for given, normalized in (("a/b", "a/b/"), ("/a/b//", "a/b/"), ("", ""), ("/", "")):
        place = read(**{"ghana.source_coop.prefix": given, "ghana.source_coop.folders": [given]}).download.ghana
        assert (place.source_coop.prefix, place.source_coop.folders) == (normalized, [normalized])


def test_a_bbox_is_refused_for_a_bucket() -> None:
    box = {"bbox": [0, 0, 1, 1], "tiles": "none", "dates": "none", "chips": "none"}
    assert read(**{"ghana.source": "mlhub", "ghana.select": box})
    with pytest.raises(PipelineError, match=r"select\.bbox: the source source_coop has no positions"):
        read(**{"ghana.source": "source_coop", "ghana.select": box})


KEYS = {
    "landcovernet": {
        "36SWF/00/S2/36SWF_00_20180105/36SWF_00_20180105_B04_10m.tif": ("images", "36SWF_00", DAY, "B04"),
        "36SWF/00/S2/36SWF_00_20180105/36SWF_00_20180105_B8A_10m.tif": ("images", "36SWF_00", DAY, "B8A"),
        "36SWF/00/S2/36SWF_00_20180105/36SWF_00_20180105_CLD_10m.tif": ("images", "36SWF_00", DAY, "CLD"),
        "36SWF/00/36SWF_00_2018_LC_10m.tif": ("labels", "36SWF_00", None, "labels"),
        "landcovernet_as/data/v1.0/2018/36SWF/00/36SWF_00_2018_LC_10m.tif": ("labels", "36SWF_00", None, "labels"),
        "36SWF/00/36SWF_00_labeling_dates.csv": None,
        "36SWF/00/L8/36SWF_00_20180105/36SWF_00_20180105_B04_10m.tif": None,
        "36SWF/00/S1/36SWF_00_20180105/36SWF_00_20180105_VV_10m.tif": None,
        "36SWF/00/L8/LC08_L1TP_36SWF_00_20180107/LC08_L1TP_36SWF_00_20180107_B04_10m.tif": None,
        "36SWF/00/S2/36SWF_00_20180105/36SWF_00_20180110_B04_10m.tif": None,
        "36SWF/00/S2/36SWF_00_20180105/36SWF_01_20180105_B04_10m.tif": None,
        "36SWF/00/S2/36SWF_00_20181305/36SWF_00_20181305_B04_10m.tif": None,
        "36SWF/00/S2/36SWF_00_20180105/36SWF_00_20180105_B04_10m.tif.aux.xml": None,
        "36SWF/00/36SWF_00_20180105_B04_10m.tif": None,
    },
    "ghana": {
        "truth/truth_ghana_000123/truth_ghana_000123_label.tif": ("labels", "000123", None, "labels"),
        "s2/s2_ghana_000123/s2_ghana_000123_2018_01_05/s2_ghana_000123_2018_01_05_data.tif": GHANA,
        "s2/s2_ghana_000123_2018_01_05/s2_ghana_000123_2018_01_05_data.tif": GHANA,
        "s2/ghana_000123_2018_01_05_data.tif": GHANA,
        "s2/s2_ghana_000123/s2_ghana_000123_2018_01_05/s2_ghana_000123_2018_01_05_cloudmask.tif": CLOUDS,
        "s2/s2_ghana_000123/s2_ghana_000123_2018_01_05/s2_ghana_000123_2018_01_05_source.tif": None,
        "s1/s1_ghana_000123/s1_ghana_000123_2018_01_05/s1_ghana_000123_2018_01_05_data.tif": None,
        "s1/s1_ghana_000123/s1_ghana_000123_2018_01_05/s1_ghana_000123_2018_01_05_source.tif": None,
        "planet/planet_ghana_000123/planet_ghana_000123_2018_01_05/planet_ghana_000123_2018_01_05_data.tif": None,
        "planet/planet_ghana_000123/planet_ghana_000123_2018_01_05/planet_ghana_000123_2018_01_05_cloudmask.tif": None,
        "truth/truth_ghana_000123/truth_ghana_000124_label.tif": None,
    },
}


@pytest.mark.parametrize(("dataset", "key"), [(dataset, key) for dataset, keys in KEYS.items() for key in keys])
def test_the_patterns_of_params_yaml_match_the_real_keys_only(dataset: Any, key: str) -> None:
    place = load_params(DownloadParams, ROOT / "params.yaml").download
    match = match_key(key, getattr(place, dataset).source_coop.patterns, dataset)
    assert (match and (match.kind, match.chip, match.date, match.asset)) == KEYS[dataset][key]


@pytest.mark.parametrize(
    "url",
    ["https://host", "http://127.0.0.1:9000/a b", "http://[::1]:80/x", "https://me@a_b.c.coop./", "HTTPS://straße.de"],
)
def test_valid_urls(url: str) -> None:
    assert http_address(url) == url
