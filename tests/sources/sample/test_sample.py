import json
import os
import subprocess
import sys
from collections.abc import Callable
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.core.files import read_json, sha256, visible_files
from pipeline.formats.datasets import DATASETS, DatasetName
from pipeline.sources.sample import fetch_sample
from tests.sources.world import request

ROOT = Path(__file__).parents[3]
GENERATE_AND_HASH = """
import json, sys
from pathlib import Path
from pipeline.formats.datasets import DATASETS
from pipeline.core.files import sha256
from pipeline.sources.sample import fetch_sample
from tests.sources.world import request
hashes = {}
for dataset in DATASETS:
    folder = Path(sys.argv[1], dataset)
    folder.mkdir()
    for fetched in fetch_sample(request(dataset), folder):
        hashes[f"{dataset}/{fetched.path.as_posix()}"] = sha256(folder / fetched.path)
print(json.dumps(hashes))
"""

Archives = Callable[[DatasetName], tuple[Path, list[str]]]


def dispatched_cpu_features() -> list[str]:
    """CPU features that numpy uses here beyond its build baseline."""
    core: Any = np._core._multiarray_umath
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_file_is_yielded_once_with_a_synthetic_origin(dataset: DatasetName, archive: Archives) -> None:
    folder, yielded = archive(dataset)
    assert sorted(yielded) == sorted(path.relative_to(folder).as_posix() for path in visible_files(folder))
    first = next(
        fetch_sample(request(dataset, **{f"download.{dataset}.sample_seed": 7}), folder.parent / f"{dataset}-origin")
    )
    assert first.origin == f"synthetic/sample/seed-7/{first.path.as_posix()}"


@pytest.mark.parametrize("dataset", DATASETS)
def test_a_file_is_complete_when_it_is_yielded(dataset: DatasetName, tmp_path: Path, archive: Archives) -> None:
    folder, _ = archive(dataset)
    for fetched in islice(fetch_sample(request(dataset), tmp_path), 3):
        assert sha256(tmp_path / fetched.path) == sha256(folder / fetched.path)


@pytest.mark.parametrize("dataset", DATASETS)
def test_another_seed_gives_other_pixels(dataset: DatasetName, tmp_path: Path, archive: Archives) -> None:
    folder, _ = archive(dataset)
    ours = {sha256(path) for path in visible_files(folder)}
    first = islice(fetch_sample(request(dataset, **{f"download.{dataset}.sample_seed": 2}), tmp_path), 2)
    images = [fetched.path for fetched in first if fetched.path.stem not in ("cloudmask", "CLD", "SCL")]
    assert images
    assert not {sha256(tmp_path / image) for image in images} & ours


def test_the_same_seed_gives_the_same_bytes_on_an_older_cpu(tmp_path: Path, archive: Archives) -> None:
    features = dispatched_cpu_features()
    if not features:
        pytest.skip("numpy uses no optional CPU features here")
    generated = subprocess.run(
        [sys.executable, "-c", GENERATE_AND_HASH, str(tmp_path)],
        cwd=ROOT,
        env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(features)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert "NPY_DISABLE_CPU_FEATURES" not in generated.stderr  # numpy warns of a feature that it cannot disable
    ours = {
        f"{dataset}/{path.relative_to(folder).as_posix()}": sha256(path)
        for dataset in DATASETS
        for folder, _ in [archive(dataset)]
        for path in visible_files(folder)
    }
    assert json.loads(generated.stdout) == ours


@pytest.mark.parametrize("dataset", ["landcovernet", "ghana"])
def test_all_stac_files_are_marked_as_synthetic(dataset: DatasetName, archive: Archives) -> None:
    folder, yielded = archive(dataset)
    files = [read_json(folder / name) for name in yielded if name.endswith(".json")]
    assert len(files) > 60
    for file in files:
        if file["type"] == "Collection":
            assert "synthetic" in file["title"].lower()
            assert "synthetic" in file["description"].lower()
        else:
            assert file["properties"]["synthetic"] is True
            assert "synthetic" in file["properties"]["title"].lower()


@pytest.mark.parametrize("dataset", ["landcovernet", "ghana"])
def test_every_link_and_asset_is_a_file(dataset: DatasetName, archive: Archives) -> None:
    folder, yielded = archive(dataset)
    for name in yielded:
        if name.endswith(".json"):
            file = read_json(folder / name)
            targets = [link["href"] for link in file["links"]]
            targets += [asset["href"] for asset in file.get("assets", {}).values()]
            missing = [target for target in targets if not ((folder / name).parent / target).is_file()]
            assert not missing
            assert {"self", "root"} <= {link["rel"] for link in file["links"]}
