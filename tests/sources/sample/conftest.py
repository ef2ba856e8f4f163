from collections.abc import Callable
from pathlib import Path

import pytest

from pipeline.formats.datasets import DatasetName
from pipeline.sources.sample import fetch_sample
from tests.sources.world import request

Archive = tuple[Path, list[str]]


@pytest.fixture(scope="session")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Callable[[DatasetName], Archive]:
    """The archive of seed 1, made once: its folder and the files in the order they came."""
    made: dict[DatasetName, Archive] = {}

    def of(dataset: DatasetName) -> Archive:
        if dataset not in made:
            folder = tmp_path_factory.mktemp(dataset)
            made[dataset] = folder, [each.path.as_posix() for each in fetch_sample(request(dataset), folder)]
        return made[dataset]

    return of


@pytest.fixture
def landcoverai(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("landcoverai")[0]


@pytest.fixture
def landcovernet(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("landcovernet")[0]


@pytest.fixture
def ghana(archive: Callable[[DatasetName], Archive]) -> Path:
    return archive("ghana")[0]
