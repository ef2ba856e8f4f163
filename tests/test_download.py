"""`data/raw/D` appears whole or stays as it was, with a manifest, a class table, and no trace of where it came from."""

import csv
import hashlib
import shutil
from pathlib import Path
from typing import Any, get_args

import pytest
import yaml

from pipeline.cloud_filter import CloudFilterParams, cloud_filter
from pipeline.core.errors import PipelineError
from pipeline.core.files import write_text
from pipeline.download import SOURCES, DownloadParams, download
from pipeline.formats.classes import read_classes
from pipeline.formats.datasets import CLASSES
from pipeline.raster.geotiff import write_geotiff
from pipeline.raster.layout import RawFolder
from pipeline.sources.settings import CollectionSource, LandcoveraiSource
from tests.sources.faulty import Fault
from tests.sources.hub import configured_hub
from tests.sources.world import DAYS, small_ghana, small_landcovernet
from tests.world import TWO_CLASSES, halves, params

OWN = {
    "classes": [{"id": 1, "name": "field", "colour": "#00ff7f"}, {"id": 2, "name": "wood", "colour": "#0a141e"}],
    "remap": {3: 1, 4: "ignore"},
}


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    write_text(tmp_path / "mine/images/a.tif", "abc")
    write_geotiff(tmp_path / "mine/masks/a.tif", halves(8, 8)[None])
    return tmp_path / "mine"


def fetch(mine: Path, dataset: Any = "landcoverai") -> tuple[Path, str]:
    raw = mine.parent / "data/raw" / dataset
    return raw, download(
        dataset, raw, mine.parent / "failures.csv", params(DownloadParams, **{f"download.{dataset}.path": str(mine)})
    )


def test_every_source_is_known() -> None:
    assert SOURCES.keys() == {*get_args(LandcoveraiSource), *get_args(CollectionSource)}


def test_the_manifest_lists_every_file_without_absolute_paths(mine: Path) -> None:
    raw, summary = fetch(mine)
    with (raw / "manifest.csv").open(newline="") as reader:
        rows = list(csv.reader(reader))
    mask = (mine / "masks/a.tif").read_bytes()
    assert rows == [
        ["path", "size", "sha256", "origin"],
        ["images/a.tif", "3", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "images/a.tif"],
        ["masks/a.tif", str(len(mask)), hashlib.sha256(mask).hexdigest(), "masks/a.tif"],
    ]
    assert summary == f"2 files, 0.0 MB from local; {mine} has no classes.yaml: its classes are LandCover.ai's"
    assert sorted(path.name for path in raw.iterdir()) == [
        "classes.json",
        "images",
        "manifest.csv",
        "masks",
        "source.json",
    ]


def test_without_classes_yaml_the_classes_are_those_of_the_dataset(mine: Path) -> None:
    raw, _ = fetch(small_ghana(mine.parent / "items"), "ghana")
    assert read_classes(raw / "classes.json") == CLASSES["ghana"]
    assert not RawFolder("landcoverai", raw).synthetic


def test_classes_yaml_is_kept_with_its_remap(mine: Path) -> None:
    write_text(mine / "classes.yaml", yaml.safe_dump(OWN))
    table = read_classes(fetch(mine)[0] / "classes.json")
    assert table.without_remap() == TWO_CLASSES
    assert table.remap == {3: 1, 4: "ignore"}


def test_the_folder_of_an_earlier_download_gives_the_same_archive(mine: Path) -> None:
    write_text(mine / "classes.yaml", yaml.safe_dump(OWN))
    raw, summary = fetch(mine)
    tables = {path.name: path.read_bytes() for path in raw.iterdir() if path.is_file()}
    again, summary_again = fetch(raw.rename(mine.parent / "earlier"))
    assert {path.name: path.read_bytes() for path in again.iterdir() if path.is_file()} == tables
    assert summary_again == summary


def test_an_invalid_class_table_publishes_nothing(mine: Path) -> None:
    write_text(mine / "classes.yaml", yaml.safe_dump(OWN | {"remap": {3: 9}}))
    with pytest.raises(
        PipelineError, match=r"classes.yaml: remap maps 3 to 9, which is not a class; classes: \[1, 2\]"
    ):
        fetch(mine)
    assert list((mine.parent / "data/raw").iterdir()) == []


def test_a_removed_file_is_removed_but_an_empty_folder_leaves_the_last_good_archive(mine: Path) -> None:
    write_text(mine / "images/b.tif", "b")
    shutil.copy(mine / "masks/a.tif", mine / "masks/b.tif")
    fetch(mine)
    for name in ("images", "masks"):
        (mine / name / "b.tif").unlink()
    raw, _ = fetch(mine)
    assert [path.name for path in (raw / "images").iterdir()] == ["a.tif"]
    for name in ("images", "masks"):
        (mine / name / "a.tif").unlink()
    with pytest.raises(
        PipelineError, match=r"download.landcoverai.path is '.*mine', which contains no files; put images/"
    ):
        fetch(mine)
    assert (raw / "images/a.tif").read_text() == "abc"
    assert [path.name for path in raw.parent.iterdir()] == ["landcoverai"]


def test_a_missing_band_excludes_its_date_alone_and_more_dates_need_a_raised_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = {
        "on_error": "skip",
        "download.landcovernet.source": "mlhub",
        "download.landcovernet.clouds_first.dates": 1,
        "cloud_filter.landcovernet.dates": 1,
    }
    source = "ref_landcovernet_af_v1_source_sentinel_2"
    lost = f"{source}/{source}_31PGS_01_{DAYS[0]:%Y%m%d}"
    raw, failures, clear = (tmp_path / name for name in ("raw", "failures.csv", "clear.csv"))
    with configured_hub(small_landcovernet(tmp_path / "archive"), "ref_landcovernet_af_v1", monkeypatch) as server:
        server.blobs.faults[f"/{lost}/B03.tif"] = [Fault("status", 404)]
        summary = download("landcovernet", raw, failures, params(DownloadParams, **changes))
    assert "; 1 failed and skipped, see " in summary
    summary = cloud_filter("landcovernet", raw, clear, failures, params(CloudFilterParams, **changes))
    assert summary == "7 dates of 2 chips in, 2 kept, dropped: 1 clearer dates, 4 cloud"
    kept = [line.split(",")[0] for line in clear.read_text().splitlines() if ",keep," in line]
    assert kept == [f"31PGS_01_{DAYS[2]:%Y%m%d}", f"31PGS_02_{DAYS[0]:%Y%m%d}"]
    given = params(CloudFilterParams, on_error="skip")  # more dates than bands were fetched for
    summary = cloud_filter("landcovernet", raw, clear, failures, given)
    assert summary.startswith("6 dates of 2 chips in, 2 kept, dropped: 4 cloud; 1 failed and skipped")
    assert "none of B04, B03, B02; raise download.landcovernet.clouds_first.dates or " in failures.read_text()
