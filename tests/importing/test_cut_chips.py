"""Chips that LandCover.ai's own script cut are imported as images and masks; a bad one leaves no file."""

import re
from pathlib import Path

import pytest
from PIL import Image

from pipeline.core.failures import partition_results
from pipeline.core.files import write_text
from pipeline.importing.cut_chips import CutChips, find_top
from pipeline.importing.importer import Imported

CHIP = "output/N-33-60-D-c-4-2_12"


@pytest.mark.parametrize(
    ("names", "top"),
    [
        ([f"{CHIP}.jpg"], ""),
        ([f"top/{CHIP}_m.png", "top/train.txt"], "top/"),
        ([f"top/{CHIP}.jpg", "__MACOSX/output/._a_1.jpg"], "top/"),
        ([f"{CHIP}.jpg", f"other/{CHIP}.jpg"], None),
        ([f"{CHIP}.jpg", "images/N-33-60-D-c-4-2.tif"], None),
        ([f"a/b/{CHIP}.jpg", "output/a.jpg", "output/a_1.tif", "images/a_1.jpg"], None),
    ],
)
def test_the_cut_form_is_found_by_its_names(names: list[str], top: str | None) -> None:
    assert find_top(names) == top


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Chips 1 to 3."""
    (tmp_path / "root/output").mkdir(parents=True)
    for number in (1, 2, 3):
        Image.new("RGB", (4, 4), (10, 20, 30)).save(tmp_path / f"root/output/a_{number}.jpg")
        Image.new("L", (4, 4), number).save(tmp_path / f"root/output/a_{number}_m.png")
    write_text(tmp_path / "root/train.txt", "a_1\n")
    return tmp_path / "root"


def test_a_bad_chip_leaves_no_file_and_the_others_are_imported(root: Path) -> None:
    write_text(root / "output/a_2_m.png", "")
    (root / "output/a_1.jpg").unlink()
    names = [path.relative_to(root) for path in sorted(root.rglob("*")) if path.is_file()]
    files, failures = partition_results(CutChips(root, "", "the.zip").import_files(names, root.parent / "raw"))
    assert files == [
        Imported(Path("train.txt"), Path("train.txt")),
        Imported(Path("images/a_3.tif"), Path("output/a_3.jpg")),
        Imported(Path("masks/a_3.tif"), Path("output/a_3_m.png")),
    ]
    assert [failure.file for failure in failures] == ["output/a_1_m.png", "output/a_2.jpg"]
    assert failures[0].reason == "the.zip/output/a_1_m.png has no image; expected a_1.jpg beside it"
    assert re.fullmatch(r"the\.zip/output/a_2_m\.png is empty.*", failures[1].reason)
    assert [path.name for path in (root.parent / "raw/images").iterdir()] == ["a_3.tif"]
