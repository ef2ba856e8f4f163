"""Stages run one after another as DVC runs them; what they say names the person's files, never their copies."""

import csv
import hashlib
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.files import write_text
from pipeline.raster.originals import Original
from tests.sources.world import files_below, small_ghana, small_landcovernet
from tests.world import orthophoto, write_params

ROOT = Path(__file__).parents[2]
RAW = Path("data/raw/landcoverai")
DOWNLOAD = ("download", "landcoverai", str(RAW), "download.csv")
TILE = ("tile", str(RAW), "chips", "tile.csv")
Say = Callable[..., str]


@pytest.fixture
def say(tmp_path: Path) -> Say:
    """Run a stage and return what it prints to stderr, which has no copy's name in it."""

    def said(*command: str, **changes: Any) -> str:
        write_params(tmp_path, **{"download.landcoverai.path": str(tmp_path / "mine")} | changes)
        stage, *arguments = command
        ended = subprocess.run(
            [sys.executable, "-m", f"pipeline.{stage}", *arguments],
            cwd=tmp_path,
            env={"PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"},
            capture_output=True,
            text=True,
        )
        assert ended.returncode == (1 if ended.stderr else 0)
        return ended.stderr

    return said


@pytest.fixture
def mine(tmp_path: Path) -> Path:
    for scene in "abc":
        orthophoto(tmp_path / "mine", scene)
    return tmp_path / "mine"


def test_a_file_that_cannot_be_read_is_mended_where_the_message_says(mine: Path, say: Say) -> None:
    good = (mine / "masks/b.tif").read_bytes()
    (mine / "masks/b.tif").write_bytes(b"not a picture")
    assert say(*DOWNLOAD) == ""
    said = say(*TILE)
    assert said.startswith(f"tile: error: {mine}/masks/b.tif is not a readable GeoTIFF")
    assert "data/raw" not in said
    (mine / "masks/b.tif").write_bytes(good)
    assert say(*DOWNLOAD) == ""
    assert say(*TILE) == ""


def test_several_are_named_in_the_list_and_in_a_table_that_is_the_same_on_all_machines(
    mine: Path, say: Say, tmp_path: Path
) -> None:
    for name in "ab":
        (mine / f"masks/{name}.tif").write_bytes(b"not a picture")
    say(*DOWNLOAD)
    said = say(*TILE)
    for name in "ab":
        assert f"images/{name}.tif  {mine}/masks/{name}.tif is not a readable" in said
    assert "data/raw" not in said
    assert say(*TILE, on_error="skip") == ""
    with (tmp_path / "tile.csv").open(newline="") as reader:
        rows = list(csv.DictReader(reader))
    assert [row["file"] for row in rows] == ["images/a.tif", "images/b.tif"]
    assert all(row["reason"].startswith("masks/") for row in rows)


def test_a_file_that_cannot_be_copied_is_in_the_table_without_its_folder(mine: Path, say: Say, tmp_path: Path) -> None:
    (mine / "notes.txt").symlink_to(tmp_path / "gone")
    assert say(*DOWNLOAD).startswith(f"download landcoverai: error: {mine}/notes.txt cannot be copied: ")
    assert say(*DOWNLOAD, on_error="skip") == ""
    assert "notes.txt,notes.txt cannot be copied: No such file" in (tmp_path / "download.csv").read_text()


def test_a_mended_copy_is_refused_and_the_original_named(mine: Path, say: Say, tmp_path: Path) -> None:
    say(*DOWNLOAD)
    orthophoto(tmp_path / RAW, "a", mask_HW=None)
    (tmp_path / RAW / "masks/a.tif").write_bytes(b"mended here")
    said = say(*TILE)
    assert said.startswith(f"tile: error: the copy of {mine}/masks/a.tif was changed since download made it: ")
    assert "mend the file itself, not its copy, and run `dvc repro`" in said
    assert "data/raw" not in said


def test_what_the_layout_lacks_is_looked_for_in_the_persons_folder(mine: Path, say: Say, tmp_path: Path) -> None:
    say(*DOWNLOAD)
    (tmp_path / RAW / "masks/a.tif").unlink()
    said = say(*TILE)
    assert said == f"tile: error: {mine}/images/a.tif has no mask; expected a.tif in images/ and in masks/\n"
    shutil.rmtree(tmp_path / RAW / "images")
    assert say(*TILE).startswith(f"tile: error: {mine}/images holds no .tif; expected orthophotos there")


def test_a_table_of_classes_is_named_where_it_lies(mine: Path, say: Say) -> None:
    write_text(mine / "classes.yaml", "classes: [{id: 1, name: field}]")
    assert say(*DOWNLOAD).startswith(f"download landcoverai: error: {mine}/classes.yaml: classes")


@pytest.mark.parametrize(("dataset", "write"), [("landcovernet", small_landcovernet), ("ghana", small_ghana)])
def test_items_are_named_where_they_lie(tmp_path: Path, say: Say, dataset: str, write: Callable[[Path], Path]) -> None:
    mine, raw = write(tmp_path / "items"), f"data/raw/{dataset}"
    label, mask = next(mine.rglob("labels.tif")), next(mine.rglob("cloudmask.tif"), next(mine.rglob("SCL.tif"), None))
    assert mask is not None
    changes: dict[str, Any] = {f"download.{dataset}.path": str(mine), "on_error": "skip"}
    for broken in (label, mask):
        broken.write_bytes(b"not a picture")
    assert say("download", dataset, raw, "download.csv", **changes) == ""
    assert say("cloud_filter", dataset, raw, "clear.csv", "failed.csv", **changes) == ""
    stop = changes | {"on_error": "stop"}
    said = say("cloud_filter", dataset, raw, "never.csv", "failed.csv", **stop)
    assert said.startswith(f"cloud_filter {dataset}: error: {mask} is not a readable GeoTIFF")
    said = say("tif_to_png", dataset, raw, "clear.csv", "chips", "failed.csv", **stop)
    assert f"{label} is not a readable GeoTIFF" in said
    assert "data/raw" not in said


def test_a_member_of_a_zip_is_named_in_the_zip(mine: Path, say: Say, tmp_path: Path) -> None:
    (mine / "masks/b.tif").write_bytes(b"not a picture")
    zipped = tmp_path / "mine.zip"
    with zipfile.ZipFile(zipped, "w") as archive:
        for name, body in files_below(mine).items():
            archive.writestr(name, body)
    changes = {
        "download.landcoverai.source": "archive",
        "download.landcoverai.path": str(zipped),
        "download.landcoverai.archive.sha256": hashlib.sha256(zipped.read_bytes()).hexdigest(),
    }
    assert say(*DOWNLOAD, **changes) == ""
    said = say(*TILE, **changes)
    assert said.startswith(f"tile: error: {zipped}/masks/b.tif is not a readable GeoTIFF")
    assert said.endswith(
        "; data/raw/landcoverai is made anew by download@landcoverai: to mend files, unpack the zip to a folder of "
        "your own, and set download.landcoverai.source to local and its path to that folder\n"
    )


def test_what_a_server_sent_is_named_as_it_is_with_a_way_to_mend_it() -> None:
    server = Original("ghana", "mlhub", "data/local/ghana")
    raw = Path("data/raw/ghana")
    assert server.told("data/raw/ghana/a.tif is empty", raw) == "data/raw/ghana/a.tif is empty"
    assert server.advice(raw).startswith(
        "; data/raw/ghana is made anew by download@ghana: to mend files, copy it to a "
    )


def test_nothing_is_renamed_when_another_source_is_named_by_now(mine: Path, say: Say) -> None:
    (mine / "masks/b.tif").write_bytes(b"not a picture")
    say(*DOWNLOAD)
    said = say(*TILE, **{"download.landcoverai.source": "sample"})
    assert said.startswith("tile: error: data/raw/landcoverai/masks/b.tif is not a readable GeoTIFF")


@pytest.mark.parametrize(
    ("text", "told"),
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
def test_only_files_of_the_raw_folder_are_renamed(text: str, told: str) -> None:
    assert Original("ghana", "local", "/my/files").told(text, Path("data/raw/g")) == told
