"""Messages of the data stages name the user's own files, never the copies that `download` overwrites."""

import csv
import hashlib
import shutil
import sys
import zipfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from pipeline.cloud_filter import cloud_filter
from pipeline.core import cli
from pipeline.download import download
from pipeline.raster.originals import Originals
from pipeline.tif_to_png import tif_to_png
from pipeline.tile import tile
from tests.importing.world import write_picture
from tests.sources.world import files_below, small_ghana, small_landcovernet
from tests.world import orthophoto, write_params

STAGES = {stage.__name__: stage for stage in (download, cloud_filter, tif_to_png, tile)}
RAW = Path("data/raw/landcoverai")
DOWNLOAD = ("download", "landcoverai", str(RAW), "download.csv")
TILE = ("tile", str(RAW), "chips", "tile.csv")
Run = Callable[..., str]


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run a stage as its command does, and return its stderr."""
    monkeypatch.chdir(tmp_path)

    def run_stage(*command: str, **changes: Any) -> str:
        write_params(tmp_path, **{"download.landcoverai.path": str(tmp_path / "mine")} | changes)
        monkeypatch.setattr(sys, "argv", list(command))
        with suppress(SystemExit):
            cli.run(STAGES[command[0]])
        return capsys.readouterr().err

    return run_stage


@pytest.fixture
def originals(tmp_path: Path) -> Path:
    for scene in "abc":
        orthophoto(tmp_path / "mine", scene)
    return tmp_path / "mine"


def test_a_converted_file_is_reported_under_its_own_name(tmp_path: Path, run: Run) -> None:
    write_picture(tmp_path / "mine/images/a_sat.jpg")
    write_picture(tmp_path / "mine/images/a_mask.png", np.full((64, 64), 7, np.uint8))
    assert run(*DOWNLOAD) == ""
    assert run(*TILE).startswith(
        f"tile: error: {tmp_path}/mine/images/a_mask.png contains label values outside the class"
    )


def test_originals_are_listed_but_the_table_is_machine_independent(originals: Path, run: Run, tmp_path: Path) -> None:
    for name in "ab":
        (originals / f"images/{name}.tif").write_bytes(b"not an image")
    run(*DOWNLOAD)
    stderr = run(*TILE)
    for name in "ab":
        assert f"images/{name}.tif  {originals}/images/{name}.tif is not a readable" in stderr
    assert "data/raw" not in stderr
    assert run(*TILE, on_error="skip") == ""
    with (tmp_path / "tile.csv").open(newline="") as reader:
        rows = list(csv.DictReader(reader))
    assert [row["file"] for row in rows] == ["images/a.tif", "images/b.tif"]
    assert all(row["reason"].startswith("images/") for row in rows)


def test_a_changed_copy_is_refused_with_the_path_of_the_original(originals: Path, run: Run, tmp_path: Path) -> None:
    run(*DOWNLOAD)
    (tmp_path / RAW / "masks/a.tif").write_bytes(b"changed")
    stderr = run(*TILE)
    assert stderr.startswith(f"tile: error: the copy of {originals}/masks/a.tif was changed after the download: ")
    assert "fix the original, not its copy, and run `dvc repro`" in stderr
    assert "data/raw" not in stderr


def test_missing_files_are_reported_in_the_users_folder(originals: Path, run: Run, tmp_path: Path) -> None:
    run(*DOWNLOAD)
    (tmp_path / RAW / "masks/a.tif").unlink()
    stderr = run(*TILE)
    assert stderr == f"tile: error: {originals}/images/a.tif has no mask; expected a.tif in images/ and in masks/\n"
    shutil.rmtree(tmp_path / RAW / "images")
    assert run(*TILE).startswith(f"tile: error: {originals}/images contains no .tif; expected orthophotos there")


@pytest.mark.parametrize(("dataset", "write"), [("landcovernet", small_landcovernet), ("ghana", small_ghana)])
def test_items_are_reported_in_the_users_folder(
    tmp_path: Path, run: Run, dataset: str, write: Callable[[Path], Path]
) -> None:
    mine, raw = write(tmp_path / "items"), f"data/raw/{dataset}"
    label, mask = next(mine.rglob("labels.tif")), next(mine.rglob("cloudmask.tif"), next(mine.rglob("SCL.tif"), None))
    assert mask is not None
    changes: dict[str, Any] = {f"download.{dataset}.path": str(mine), "on_error": "skip"}
    for broken in (label, mask):
        broken.write_bytes(b"not an image")
    assert run("download", dataset, raw, "download.csv", **changes) == ""
    assert run("cloud_filter", dataset, raw, "clear.csv", "failed.csv", **changes) == ""
    stop = changes | {"on_error": "stop"}
    stderr = run("cloud_filter", dataset, raw, "never.csv", "failed.csv", **stop)
    assert stderr.startswith(f"cloud_filter {dataset}: error: {mask} is not a readable GeoTIFF")
    stderr = run("tif_to_png", dataset, raw, "clear.csv", "chips", "failed.csv", **stop)
    assert f"{label} is not a readable GeoTIFF" in stderr
    assert "data/raw" not in stderr


def test_a_member_of_a_zip_is_reported_in_the_zip(originals: Path, run: Run, tmp_path: Path) -> None:
    (originals / "masks/b.tif").write_bytes(b"not an image")
    zipped = tmp_path / "mine.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for name, body in files_below(originals).items():
            archive.writestr(name, body)
    changes = {
        "download.landcoverai.source": "archive",
        "download.landcoverai.path": str(zipped),
        "download.landcoverai.archive.sha256": hashlib.sha256(zipped.read_bytes()).hexdigest(),
    }
    assert run(*DOWNLOAD, **changes) == ""
    stderr = run(*TILE, **changes)
    assert stderr.startswith(f"tile: error: {zipped}/masks/b.tif is not a readable GeoTIFF")
    assert stderr.endswith(
        "; data/raw/landcoverai is overwritten by download@landcoverai: to fix files, unpack the zip to a folder of "
        "your own, and set download.landcoverai.source to local and its path to that folder\n"
    )


def test_downloaded_files_keep_their_path_and_get_advice() -> None:
    originals = Originals("ghana", "mlhub", "data/local/ghana")
    raw = Path("data/raw/ghana")
    assert originals.restore_paths("data/raw/ghana/a.tif is empty", raw) == "data/raw/ghana/a.tif is empty"
    assert originals.advice(raw).startswith(
        "; data/raw/ghana is overwritten by download@ghana: to fix files, copy it to a "
    )


def test_paths_are_kept_after_a_change_of_source(originals: Path, run: Run) -> None:
    (originals / "images/b.tif").write_bytes(b"not an image")
    run(*DOWNLOAD)
    stderr = run(*TILE, **{"download.landcoverai.source": "sample"})
    assert stderr.startswith("tile: error: data/raw/landcoverai/images/b.tif is not a readable GeoTIFF")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("data/raw/g/a.tif and data/raw/g/b.tif differ", "/my/files/a.tif and /my/files/b.tif differ"),
        ("no date in data/raw/g: set", "no date in /my/files: set"),
        ("[Errno 13] Permission denied: 'data/raw/g/a b'", "[Errno 13] Permission denied: '/my/files/a b'"),
        ("data/raw/ghana/a.tif", "data/raw/ghana/a.tif"),
        ("/data/raw/g/a.tif", "/data/raw/g/a.tif"),
        ("data/raw/g/classes.json does not exist", "data/raw/g/classes.json does not exist"),
        ("data/raw/g/manifest.csv, data/raw/g/classes.yaml", "data/raw/g/manifest.csv, /my/files/classes.yaml"),
    ],
)
def test_only_paths_in_the_raw_folder_are_replaced(text: str, expected: str) -> None:
    assert Originals("ghana", "local", "/my/files").restore_paths(text, Path("data/raw/g")) == expected
