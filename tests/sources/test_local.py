"""Files of a folder on disk are copied whole or left out by scene or item; wrong folders are refused at once."""

import errno
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from pipeline.core.errors import PipelineError, StageError
from pipeline.core.failures import Failure, partition_results
from pipeline.core.files import write_text
from pipeline.sources.base import Fetched
from pipeline.sources.local import fetch_local
from tests.sources.world import files_below, request, small_ghana
from tests.world import orthophoto


def fetch(path: Path | str, folder: Path, dataset: Any = "landcoverai") -> list[Fetched | Failure]:
    folder.mkdir()
    return list(fetch_local(request(dataset, **{f"download.{dataset}.path": str(path)}), folder))


def test_images_labels_and_tables_are_copied_byte_by_byte(tmp_path: Path) -> None:
    mine, raw = tmp_path / "mine", tmp_path / "raw"
    orthophoto(mine, "b")
    write_text(mine / "classes.yaml", "[field, wood, water]")
    for name in (".gitkeep", "images/.DS_Store", "notes.txt"):
        write_text(mine / name, "")
    names = ("classes.yaml", "images/b.tif", "masks/b.tif")
    assert fetch(mine, raw) == [Fetched(Path(name), name) for name in names]
    assert [(raw / name).read_bytes() for name in names] == [(mine / name).read_bytes() for name in names]
    assert sorted(path.name for path in raw.iterdir()) == ["classes.yaml", "images", "masks"]


@pytest.mark.parametrize(
    ("dataset", "expected"),
    [
        ("landcoverai", r"images/\*.tif, .png or .jpg, and masks/ of the same names or labels.gpkg"),
        ("landcovernet", r"ref_landcovernet_\*_labels/ and ref_landcovernet_\*_source_sentinel_2/"),
        ("ghana", r"su_african_crops_ghana_labels/ and su_african_crops_ghana_source_s2/"),
    ],
)
def test_an_empty_or_missing_folder_is_refused_with_the_expected_layout(
    tmp_path: Path, dataset: str, expected: str
) -> None:
    write_text(tmp_path / "empty/.gitkeep", "")
    with pytest.raises(
        PipelineError, match=rf"download.{dataset}.path is '.*empty', which contains no files; put {expected}"
    ):
        fetch(tmp_path / "empty", tmp_path / "raw", dataset)
    with pytest.raises(
        PipelineError, match=rf"download.{dataset}.path is '.*gone', which is not a folder; .* {expected}"
    ):
        fetch(tmp_path / "gone", tmp_path / "other", dataset)


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda path: path.symlink_to("/nowhere/at/all"), "No such file or directory"),
        (os.mkfifo, "it is a folder, a pipe, a socket or a device, not a file"),
    ],
)
def test_an_item_that_cannot_be_copied_fails_alone(tmp_path: Path, make: Callable[[Path], None], problem: str) -> None:
    mine = small_ghana(tmp_path / "mine")
    item = next(path.parent for path in sorted(mine.rglob("source.tif")))
    make(item / "a.txt")
    fetched, failures = partition_results(fetch(mine, tmp_path / "raw", "ghana"))
    assert failures == [Failure(str((item / "a.txt").relative_to(mine)), f"{item}/a.txt: {problem}")]
    kept = sorted(str(path.relative_to(mine)) for path in mine.rglob("*") if path.is_file() and path.parent != item)
    assert sorted(str(file.path) for file in fetched) == kept == sorted(files_below(tmp_path / "raw"))


@pytest.mark.parametrize(
    ("dataset", "name", "message"),
    [
        ("landcoverai", "images/a.tif", "{mine} has images, but no labels: expected masks of the same names in"),
        ("ghana", "images/a.tif", "{mine} contains no folder named like su_african_crops_ghana_source_s2_CHIP_DATE; "),
        (
            "landcovernet",
            "c/ref_landcovernet_af_v1_source_sentinel_2_31PGS_01_20200101/a",
            "{mine} contains no folder ",
        ),
    ],
)
def test_another_layout_is_refused_before_anything_is_copied(
    tmp_path: Path, dataset: str, name: str, message: str
) -> None:
    write_text(tmp_path / "mine" / name, "")
    with pytest.raises(PipelineError) as error:
        fetch(tmp_path / "mine", tmp_path / "raw", dataset)
    assert str(error.value).startswith(message.format(mine=tmp_path / "mine"))
    assert list((tmp_path / "raw").iterdir()) == []


@pytest.mark.parametrize(
    ("dataset", "module"), [("landcoverai", "pipeline.importing.importer"), ("ghana", "pipeline.sources.local")]
)
def test_a_full_disk_ends_the_stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, dataset: str, module: str) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    small_ghana(tmp_path / "mine") if dataset == "ghana" else orthophoto(tmp_path / "mine", "a")
    monkeypatch.setattr(f"{module}.copy", full)
    with pytest.raises(StageError, match="^No space left on device; free disk space"):
        fetch(tmp_path / "mine", tmp_path / "raw", dataset)


def unreadable(path: Path) -> None:
    """Make a broken link: root can read any file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to("/nowhere/at/all")


@pytest.mark.parametrize("name", ["images/a.tif.aux.xml", "images/a.tfw", "masks/a.TIF.aux.xml", "masks/a.prj"])
def test_a_file_that_cannot_be_copied_excludes_its_scene_alone(tmp_path: Path, name: str) -> None:
    for stem in ("a", "a.b", "ab"):
        orthophoto(tmp_path / "mine", stem)
    (tmp_path / "mine/masks/a.tif").rename(tmp_path / "mine/masks/a.TIF")
    unreadable(tmp_path / "mine" / name)
    fetched, (failure,) = partition_results(fetch(tmp_path / "mine", tmp_path / "raw"))
    assert failure.file == "images/a.tif"
    assert f"{tmp_path}/mine/{name}" in failure.reason
    assert failure.reason.endswith(": No such file or directory")
    kept = [f"{kind}/{stem}.tif" for kind in ("images", "masks") for stem in ("a.b", "ab")]
    assert sorted(str(file.path) for file in fetched) == kept
    assert sorted(files_below(tmp_path / "raw")) == kept


@pytest.mark.parametrize("name", ["train.txt", "test.txt"])
def test_a_list_that_cannot_be_copied_ends_the_stage(tmp_path: Path, name: str) -> None:
    orthophoto(tmp_path / "mine", "a")
    unreadable(tmp_path / "mine" / name)
    with pytest.raises(StageError, match=rf"{name} cannot be copied: .*; all files depend on it: make it readable"):
        fetch(tmp_path / "mine", tmp_path / "raw")


def test_an_unreadable_folder_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    orthophoto(tmp_path / "mine", "a")

    def refused(_: Path) -> list[Path]:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "mine/sub"))

    monkeypatch.setattr("pipeline.sources.local.visible_files", refused)  # root can read any folder
    with pytest.raises(PipelineError, match=r"mine/sub in it cannot be read \(Permission denied\); make it readable"):
        fetch(tmp_path / "mine", tmp_path / "raw")


def test_git_ignores_local_data() -> None:
    names = ["data/local/ghana/.gitkeep", "data/local/landcoverai/a.tif", "data/local/mine/classes.yaml"]
    root = Path(__file__).parents[2]
    ignored = subprocess.run(["git", "check-ignore", *names], cwd=root, capture_output=True, text=True).stdout
    assert ignored.split() == names[1:]
