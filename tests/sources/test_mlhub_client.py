"""The real client `radiant_mlhub` works with the test server, and downloads the same files."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.sources.hub import configured_hub
from tests.sources.test_mlhub import SOURCE, fetch
from tests.sources.world import LANDCOVERNET_ID, files_below, small_landcovernet

DOWNLOAD = """
import sys
import radiant_mlhub
assert radiant_mlhub.__version__ == "0.5.5"
name, folder, *collections = sys.argv[1:]
radiant_mlhub.Dataset.fetch(name).download(folder, collection_filter={collection: [] for collection in collections})
"""


def test_the_client_downloads_the_same_files_as_the_source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    archive = small_landcovernet(tmp_path / "archive", ("31PGS_01",))
    theirs, collections = tmp_path / "theirs", (SOURCE, f"{LANDCOVERNET_ID}_labels")
    theirs.mkdir()
    with configured_hub(archive, LANDCOVERNET_ID, monkeypatch):
        # with this and MLHUB_CI set, the client silently downloads nothing
        environment = {name: value for name, value in os.environ.items() if name != "PYTEST_CURRENT_TEST"}
        command = [sys.executable, "-W", "ignore", "-c", DOWNLOAD, LANDCOVERNET_ID, str(theirs), *collections]
        subprocess.run(command, cwd=tmp_path, env=environment, check=True, capture_output=True, timeout=120)
        fetch(tmp_path / "ours")
    rasters = {name: body for name, body in files_below(tmp_path / "ours").items() if name.endswith(".tif")}
    assert len(rasters) == 1 + 4 + 2 * 3  # a label, a cloud mask per date, the bands of two clear dates
    for name, body in rasters.items():
        assert (theirs / LANDCOVERNET_ID / name).read_bytes() == body
