from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.importing.listing import Listing, is_raster, is_vector

ROOT = Path("/mine")


def listing(*names: str, excluded: str | None = None) -> Listing:
    return Listing.of(ROOT, [Path(name) for name in names], None if excluded is None else Path(excluded))


def members(found: Listing) -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Part and path of the images, and of the labels."""
    images, labels = (
        [(part, member.path.as_posix()) for part, member in found.members(is_label)] for is_label in (False, True)
    )
    return images, labels


def test_suffixes_tell_rasters_and_vectors() -> None:
    assert is_raster(Path("a.JPG"))
    assert not is_raster(Path("a.jp2"))
    assert is_vector(Path("a.SHP"))
    assert not is_vector(Path("a.dbf"))


def test_folders_tell_images_labels_and_parts() -> None:
    found = listing(
        "images/Train/a.tif", "images/Train/a.tfw", "masks/Train/a.png", "valid/images/b.tif", "overview.png"
    )
    assert members(found) == (
        [("train", "images/Train/a.tif"), ("val", "valid/images/b.tif")],
        [("train", "masks/Train/a.png")],
    )


def test_without_folders_suffixes_tell_labels() -> None:
    assert members(listing("a.png", "a_mask.png")) == ([("", "a.png")], [("", "a_mask.png")])
    assert members(listing("images/a.png", "images/a_mask.png", "masks/a.png"))[1] == [("", "masks/a.png")]


def test_an_excluded_file_is_no_label() -> None:
    assert members(listing("labels/a.gpkg", "labels/areas.gpkg", excluded="labels/areas.gpkg"))[1] == [
        ("", "labels/a.gpkg")
    ]


def test_what_is_not_read_and_what_was_found_are_described() -> None:
    found = listing("images/a.jp2", "images/b.JP2", "masks/a.tif", "readme")
    assert [path.name for path in found.unread] == ["a.jp2", "b.JP2"]
    assert found.describe() == "found 2 .jp2 in /mine/images, 1 .tif in /mine/masks, 1 without a suffix in /mine"
    assert listing().describe() == "it is empty"


@pytest.mark.parametrize("name", ["images/x/a.tif", "images/masks/a.tif", "train/val/a.tif"])
def test_nested_folders_are_refused(name: str) -> None:
    with pytest.raises(PipelineError, match="nested folders are not searched; move it to /mine/"):
        listing(name)
