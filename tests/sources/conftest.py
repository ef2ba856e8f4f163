from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.sources.bucket import Proxy, proxied
from tests.sources.hub import Hub, configured_hub
from tests.sources.world import LANDCOVERNET_ID, small_landcovernet


@pytest.fixture(scope="session")
def landcovernet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An archive of two chips; read-only."""
    return small_landcovernet(tmp_path_factory.mktemp("archive"))


@pytest.fixture
def proxy(endpoint: str) -> Iterator[Proxy]:
    """A proxy before the buckets of the test file, with its own records."""
    with proxied(endpoint) as running:
        yield running


@pytest.fixture
def server(landcovernet: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    """A hub with this archive; the environment names it."""
    with configured_hub(landcovernet, LANDCOVERNET_ID, monkeypatch) as running:
        yield running
