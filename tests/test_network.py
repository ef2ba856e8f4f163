"""Each network source end to end under DVC, from download to scores; takes minutes."""

import hashlib
import io
import re
import zipfile
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.files import read_json
from pipeline.formats.chips import OFFICIAL, read_chips
from pipeline.formats.datasets import DatasetName
from pipeline.sources.sample import fetch_sample
from tests.sources.bucket import as_ghana, as_landcovernet, bucket_server, proxied, put
from tests.sources.faulty import Fault, Server, served
from tests.sources.hub import configured_hub
from tests.sources.world import files_below, request
from tests.test_readme import commit, copy_project, ran, run

pytestmark = [pytest.mark.soak, pytest.mark.filterwarnings("ignore:.*utcnow.*:DeprecationWarning")]

KEY = "-".join(("a", "key", "that", "is", "nowhere"))  # not in any file, including this one


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Callable[[DatasetName], Path]:
    def fetch(dataset: DatasetName) -> Path:
        folder = tmp_path_factory.mktemp(dataset)
        assert list(fetch_sample(request(dataset), folder))
        return folder

    return fetch


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    monkeypatch.delenv("PIPELINE_CACHE")
    root = tmp_path / "project"
    copy_project(root)
    (root / "dvc.lock").unlink()
    run(root, "git init -q")
    run(root, "dvc config --local core.check_update false")
    commit(root)
    return root


def experiment(root: Path, dataset: DatasetName, source: str, **more: Any) -> str:
    """Run the pipeline of one dataset with a network source; return the output."""
    changes = {"dataset": dataset, f"download.{dataset}.source": source, "train.epochs": 1, "train.batch_size": 8}
    given = " ".join(f"-S '{key}={value}'" for key, value in (changes | more).items())
    output = run(root, f"dvc exp run {given} evaluate")
    assert f"download@{dataset}" in ran(output)
    assert ran(output)[-2:] == ["train", "evaluate"]
    assert 0 < read_json(root / "metrics/evaluate.json")["mean_iou"] < 1
    print(next(line for line in output.splitlines() if line.startswith(f"download {dataset}:")))
    return output


def same_chips(root: Path, dataset: DatasetName, archive: Path) -> None:
    """Check that a local copy of the archive gives the same chips."""
    of_network = chips_below(root / "data/chips" / dataset)
    run(root, f"dvc exp run -S download.{dataset}.source=local -S download.{dataset}.path={archive} split@{dataset}")
    assert of_network == chips_below(root / "data/chips" / dataset)


def chips_below(folder: Path) -> dict[str, bytes]:
    """PNG files and chips.csv, without the column from the archive's own lists, which network sources do not have."""
    files = {name: body for name, body in files_below(folder).items() if name.endswith(".png")}
    return files | {"chips.csv": read_chips(folder).drop(columns=OFFICIAL).to_csv().encode()}


@pytest.mark.parametrize(
    ("dataset", "name"), [("landcovernet", "ref_landcovernet_af_v1"), ("ghana", "su_african_crops_ghana")]
)
def test_mlhub(
    dataset: DatasetName,
    name: str,
    project: Path,
    sample: Callable[[DatasetName], Path],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    archive = sample(dataset)
    with configured_hub(archive, name, monkeypatch, KEY) as server:
        server.blobs.every = (50, Fault("drop", 5000))
        output = experiment(project, dataset, "mlhub")
        before = server.blobs.sent
        run(project, f"dvc repro --force --single-item download@{dataset}")
        assert server.blobs.sent == before
        assert KEY not in output
        assert KEY not in repr(server.blobs.received)
    for path in (path for path in project.rglob("*") if path.is_file()):
        assert KEY.encode() not in path.read_bytes(), path
    same_chips(project, dataset, archive)


WITHOUT_MASKS = {"download.ghana.clouds_first.clouds": "none", "cloud_filter.ghana.clouds": "none"}


@pytest.mark.parametrize(
    ("dataset", "bucket", "stored", "changes"),
    [
        ("landcovernet", "radiantearth", as_landcovernet, {}),
        ("ghana", "stanford", as_ghana, {}),
        ("ghana", "stanford", partial(as_ghana, clouds=""), WITHOUT_MASKS),
    ],
    ids=["landcovernet", "ghana", "ghana-without-clouds"],
)
def test_source_coop(
    dataset: DatasetName,
    bucket: str,
    stored: Callable[[Path, Path], Path],
    changes: dict[str, str],
    project: Path,
    sample: Callable[[DatasetName], Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "theirs")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "theirs")
    archive = sample(dataset)
    with bucket_server() as endpoint, proxied(endpoint) as proxy:
        put(endpoint, bucket, "", stored(archive, tmp_path / "stored"))
        given = changes | {f"download.{dataset}.source_coop.endpoint": proxy.url}
        experiment(project, dataset, "source_coop", **given)
        assert not [key for key in proxy.keys if re.search("/(L8|S1|s1|planet)/", key)]
    card = (project / f"plots/data/{dataset}.md").read_text()
    assert f"| licence | {'CC BY 4.0' if dataset == 'landcovernet' else 'CC BY-SA 4.0'} |" in card
    same_chips(project, dataset, archive)


def test_archive(project: Path, sample: Callable[[DatasetName], Path]) -> None:
    archive = sample("landcoverai")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, body in files_below(archive).items():
            zipped.writestr(name, body)
    body = packed.getvalue()
    with served(Server()) as server:
        server.bodies["/landcover.ai.v1.zip"] = body
        server.faults["/landcover.ai.v1.zip"] = [Fault("drop", 10_000_000), Fault("status", 503), Fault("drop", 999)]
        place = "download.landcoverai.archive"
        wanted = {
            f"{place}.url": f"{server.url}/landcover.ai.v1.zip",
            f"{place}.sha256": hashlib.sha256(body).hexdigest(),
        }
        experiment(project, "landcoverai", "archive", **wanted)
        assert len(server.gets()) == 4
        run(project, "dvc repro --force --single-item download@landcoverai")
        assert len(server.gets()) == 4
    same_chips(project, "landcoverai", archive)
