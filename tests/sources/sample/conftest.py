from collections.abc import Callable
from functools import cache
from pathlib import Path

import pandas as pd
import pytest

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.core.params import load_params
from pipeline.formats.datasets import DatasetName
from pipeline.sources.sample import fetch_sample
from tests.sources.world import request

Archive = tuple[Path, list[str]]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[DatasetName], Archive]:
    """Archive of seed 1, generated once: its folder and its files in the order of generation."""

    @cache
    def generate(dataset: DatasetName) -> Archive:
        folder = tmp_path_factory.mktemp(dataset)
        return folder, [fetched.path.as_posix() for fetched in fetch_sample(request(dataset), folder)]

    return generate


@pytest.fixture(scope="session")
def verdicts(
    archive: Callable[[DatasetName], Archive], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[DatasetName], pd.DataFrame]:
    """The dates of an archive, judged with the project's params."""

    @cache
    def judge(dataset: DatasetName) -> pd.DataFrame:
        clear = tmp_path_factory.mktemp("clear") / "clear.csv"
        params = load_params(CloudFilterParams, Path(__file__).parents[3] / "params.yaml")
        cloud_filter(dataset, archive(dataset)[0], clear, clear.with_name("failures.csv"), params)
        return pd.read_csv(clear, keep_default_na=False)

    return judge


@pytest.fixture
def landcoverai(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("landcoverai")[0]


@pytest.fixture
def landcovernet(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("landcovernet")[0]


@pytest.fixture
def ghana(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("ghana")[0]
