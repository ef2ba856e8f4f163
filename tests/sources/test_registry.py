from pathlib import Path
from typing import Any

import pytest

from pipeline.download import DownloadParams
from pipeline.errors import PipelineError
from pipeline.params import validated
from pipeline.sources.registry import SOURCES
from tests.world import changed

PARAMS = Path("params.yaml")


def refusal(dataset: str, **settings: Any) -> str:
    values = changed(**{f"download.{dataset}.{key}": value for key, value in settings.items()})
    with pytest.raises(PipelineError) as error:
        validated(DownloadParams, {"download": values["download"]}, PARAMS)
    return str(error.value)


@pytest.mark.parametrize(
    ("dataset", "allowed"),
    [
        ("landcoverai", "'sample', 'local' or 'archive'"),
        ("landcovernet", "'sample', 'local', 'mlhub' or 'source_coop'"),
        ("ghana", "'sample', 'local', 'mlhub' or 'source_coop'"),
    ],
)
def test_an_unknown_source_is_refused_with_those_allowed(dataset: str, allowed: str) -> None:
    assert refusal(dataset, source="lokal") == (
        f"params.yaml: download.{dataset}.source is 'lokal'; allowed: {allowed}"
    )


@pytest.mark.parametrize(
    ("dataset", "source"), [("landcoverai", "archive"), ("landcovernet", "mlhub"), ("ghana", "source_coop")]
)
def test_a_source_that_comes_next_says_so(dataset: str, source: str) -> None:
    if source in SOURCES:
        pytest.fail(f"{source} is built: test it, and take it out here")
    assert refusal(dataset, source=source) == (
        f"params.yaml: download.{dataset}.source: the source '{source}' comes next and is not built yet; "
        "until then: sample, local"
    )


@pytest.mark.parametrize("source", ["sample", "local"])
def test_what_is_built_is_allowed_for_every_dataset(source: str) -> None:
    values = changed(**{f"download.{name}.source": source for name in ("landcoverai", "landcovernet", "ghana")})
    read = validated(DownloadParams, {"download": values["download"]}, PARAMS)
    assert (read.download.landcoverai.source, read.download.ghana.source) == (source, source)
    assert callable(SOURCES[source])


def test_an_empty_path_and_a_negative_seed_are_refused() -> None:
    assert "download.ghana.path is ''; string should have at least 1 character" in refusal("ghana", path="")
    assert "download.ghana.sample_seed is -1; input should be greater than" in refusal("ghana", sample_seed=-1)


def test_another_dataset_is_no_key() -> None:
    values = changed()["download"] | {"gana": {}}
    with pytest.raises(
        PipelineError, match=r"download.gana is not a known key; known here: landcoverai, landcovernet, "
    ):
        validated(DownloadParams, {"download": values}, PARAMS)
