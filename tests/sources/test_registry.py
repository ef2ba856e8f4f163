from pathlib import Path
from typing import Any, get_args

import pytest

from pipeline.core.errors import PipelineError
from pipeline.core.params import validate
from pipeline.download import DownloadParams
from pipeline.sources.registry import SOURCES
from pipeline.sources.settings import CollectionSource, LandcoveraiSource
from tests.world import changed

PARAMS = Path("params.yaml")


def refusal(dataset: str, **settings: Any) -> str:
    values = changed(**{f"download.{dataset}.{key}": value for key, value in settings.items()})
    with pytest.raises(PipelineError) as error:
        validate(DownloadParams, {key: values[key] for key in DownloadParams.model_fields}, PARAMS)
    return str(error.value)


@pytest.mark.parametrize(
    ("dataset", "allowed"),
    [
        ("landcoverai", "sample, local, archive"),
        ("landcovernet", "sample, local, mlhub, source_coop"),
        ("ghana", "sample, local, mlhub, source_coop"),
    ],
)
def test_an_unknown_source_is_refused_with_those_allowed(dataset: str, allowed: str) -> None:
    assert refusal(dataset, source="lokal") == (
        f"params.yaml: download.{dataset}.source is 'lokal'; did you mean 'local'? allowed: {allowed}"
    )


def test_every_source_is_registered() -> None:
    assert set(SOURCES) == {*get_args(LandcoveraiSource), *get_args(CollectionSource)}
    assert all(map(callable, SOURCES.values()))


def test_an_empty_path_and_a_negative_seed_are_refused() -> None:
    assert "download.ghana.path is ''; string should have at least 1 character" in refusal("ghana", path="")
    assert "download.ghana.sample_seed is -1; input should be greater than" in refusal("ghana", sample_seed=-1)
