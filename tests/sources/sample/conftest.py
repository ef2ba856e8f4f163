from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.formats.datasets import DatasetName
from pipeline.sources.sample import fetch_sample
from tests.sources.world import request

Archive = tuple[Path, list[str]]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[DatasetName], Archive]:
    """Archive of seed 1, generated once: its folder and its files in the order of generation."""
    archives: dict[DatasetName, Archive] = {}

    def generate(dataset: DatasetName) -> Archive:
        if dataset not in archives:
            folder = tmp_path_factory.mktemp(dataset)
            files = [fetched.path.as_posix() for fetched in fetch_sample(request(dataset), folder)]
            archives[dataset] = folder, files
        return archives[dataset]

    return generate


@pytest.fixture
def landcoverai(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("landcoverai")[0]


@pytest.fixture
def landcovernet(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("landcovernet")[0]


@pytest.fixture
def ghana(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("ghana")[0]
