"""A seed gives the same synthetic archives on every CPU, and they are complete, consistent and marked as synthetic."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from pipeline.core.files import read_json, sha256, visible_files
from pipeline.formats.datasets import DATASETS, DatasetName
from pipeline.raster.layout import RawFolder
from pipeline.sources.sample import fetch_sample
from tests.sources.sample.pixels import pixels
from tests.sources.world import request

FIRST = {"landcoverai": 4, "landcovernet": 31, "ghana": 11}
"""The first two scenes, or all dates and the label of the first chip."""
HASH_FIRST_FILES = f"""
import sys
from itertools import islice
from pathlib import Path
from pipeline.core.files import sha256
from pipeline.formats.datasets import DATASETS
from pipeline.sources.sample import fetch_sample
from tests.sources.world import request
for dataset in DATASETS:
    for fetched in islice(fetch_sample(request(dataset), Path(sys.argv[1])), {FIRST}[dataset]):
        print(sha256(Path(sys.argv[1], fetched.path)))
"""

Archives = Callable[[DatasetName], tuple[Path, list[str]]]


def dispatched_cpu_features() -> list[str]:
    """CPU features that numpy uses here beyond its build baseline."""
    core: Any = np._core._multiarray_umath
    return [name for name in core.__cpu_dispatch__ if core.__cpu_features__[name]]


@pytest.mark.parametrize("dataset", DATASETS)
def test_every_file_is_yielded_once_and_another_seed_gives_other_pixels_and_origins(
    dataset: DatasetName, tmp_path: Path, archive: Archives
) -> None:
    folder, yielded = archive(dataset)
    assert sorted(yielded) == sorted(path.relative_to(folder).as_posix() for path in visible_files(folder))
    first = next(fetch_sample(request(dataset, **{f"download.{dataset}.sample_seed": 2}), tmp_path))
    assert first.origin == f"synthetic/sample/seed-2/{first.path.as_posix()}"
    assert sha256(tmp_path / first.path) not in {sha256(folder / name) for name in yielded}


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("landcoverai", "f9756d910179917d"),
        ("landcovernet", "2beeeed6688e2810"),
        ("ghana", "d91089da7d013d87"),
    ],
)
def test_seed_1_gives_the_pixels_behind_the_scores_in_the_docs(
    dataset: DatasetName, expected: str, archive: Archives
) -> None:
    folder, yielded = archive(dataset)
    digest = hashlib.sha256()
    for name in yielded:  # pixels, as the bytes of a GeoTIFF may change with GDAL
        digest.update(pixels(folder / name).tobytes() if name.endswith(".tif") else (folder / name).read_bytes())
    assert digest.hexdigest()[:16] == expected


def test_an_older_cpu_gives_the_same_bytes_and_a_file_is_complete_when_it_is_yielded(
    tmp_path: Path, archive: Archives
) -> None:
    features = dispatched_cpu_features()
    if not features:
        pytest.skip("numpy uses no optional CPU features here")
    run = subprocess.run(
        [sys.executable, "-c", HASH_FIRST_FILES, str(tmp_path)],
        cwd=Path(__file__).parents[3],
        env=os.environ | {"NPY_DISABLE_CPU_FEATURES": " ".join(features)},
        capture_output=True,
        check=True,
        text=True,
    )
    assert "NPY_DISABLE_CPU_FEATURES" not in run.stderr  # numpy warns of a feature that it cannot disable
    assert run.stdout.split() == [
        sha256(folder / name)
        for dataset in DATASETS
        for folder, yielded in [archive(dataset)]
        for name in yielded[: FIRST[dataset]]
    ]


@pytest.mark.parametrize(
    ("dataset", "chips", "dates", "source", "label"),
    [
        ("landcovernet", 24, 4, "B02.tif B03.tif B04.tif B08.tif CLD.tif SCL.tif", "labels.tif source_dates.csv"),
        ("ghana", 40, 3, "cloudmask.tif source.tif", "labels.tif"),
    ],
)
def test_every_chip_has_a_label_and_dates_with_the_files_of_the_archive(
    dataset: DatasetName, chips: int, dates: int, source: str, label: str, archive: Archives
) -> None:
    raw = RawFolder(dataset, archive(dataset)[0])
    assert pd.Series([item.chip for item in raw.items]).value_counts().to_dict() == dict.fromkeys(raw.labels, dates)
    assert len(raw.labels) == chips
    for folders, files in (([item.folder for item in raw.items], source), (raw.labels.values(), label)):
        found = {" ".join(sorted(path.name for path in folder.iterdir())) for folder in folders}
        assert found == {f"{files} stac.json"}


@pytest.mark.parametrize(("dataset", "fewest", "most"), [("landcovernet", 35, 45), ("ghana", 45, 75)])
def test_each_chip_has_a_clear_date_and_others_are_dropped_for_every_reason(
    dataset: DatasetName, fewest: int, most: int, verdicts: Callable[[DatasetName], pd.DataFrame]
) -> None:
    table = verdicts(dataset)
    kept = table[table["verdict"] == "keep"]
    assert set(kept["chip"]) == set(table["chip"])
    assert fewest <= len(kept) <= most
    assert {"cloud", "haze", "no_data"} <= set(table.loc[table["verdict"] == "drop", "reason"])


@pytest.mark.parametrize("dataset", ["landcovernet", "ghana"])
def test_all_stac_files_are_marked_as_synthetic_and_every_link_and_asset_is_a_file(
    dataset: DatasetName, archive: Archives
) -> None:
    folder, yielded = archive(dataset)
    names = [name for name in yielded if name.endswith(".json")]
    assert len(names) > 60
    for name in names:
        file = read_json(folder / name)
        about = file if file["type"] == "Collection" else file["properties"]
        assert "synthetic" in about["title"].lower()
        assert "synthetic" in about.get("description", "synthetic").lower()
        assert about.get("synthetic", file["type"] == "Collection")
        links = [*file["links"], *file.get("assets", {}).values()]
        missing = [link["href"] for link in links if not ((folder / name).parent / link["href"]).is_file()]
        assert not missing
        assert {"self", "root"} <= {link["rel"] for link in file["links"]}
