"""Entries of train.txt, val.txt, test.txt name chips or images, and never put one into two parts."""

import pytest

from pipeline.core.errors import PipelineError
from pipeline.formats.chips import OFFICIAL
from pipeline.orthophoto.part_lists import PartLists


def part(lists: PartLists, chip: str) -> object:
    return lists.assign({"id": chip, "scene": chip.rpartition("_")[0]})[OFFICIAL]


def test_a_list_names_chips_or_images_and_a_chip_counts_first() -> None:
    lists = PartLists.for_size({"a_1": "val", "a": "train", "b_0": "test"}, 64, is_own=True)
    assert [part(lists, chip) for chip in ("a_0", "a_1", "b_0", "b_1")] == ["train", "val", "test", None]


@pytest.mark.parametrize("entry", ["a", "a.tif", "images/a.PNG", "images\\a.jpeg", "/my/data/train/images/a.tiff"])
def test_an_entry_may_have_the_folder_and_suffix_of_an_image(entry: str) -> None:
    assert part(PartLists.for_size({entry: "test"}, 64, is_own=True), "a_3") == "test"


def test_other_dots_belong_to_the_name() -> None:
    assert part(PartLists.for_size({"a.2020": "test"}, 64, is_own=True), "a.2020_3") == "test"


def test_chips_of_landcoverai_count_only_at_512_px_in_a_local_copy_too() -> None:
    entries = {"M-33-20-D-c-4-2_11": "train", "N-34-106-A-c-1-3": "test"}
    assert PartLists.for_size(entries, 512, is_own=True).part_of == entries
    assert PartLists.for_size(entries, 256, is_own=True).part_of == {"N-34-106-A-c-1-3": "test"}


def test_one_name_in_two_folders_cannot_be_in_two_parts() -> None:
    with pytest.raises(PipelineError, match=r"test.txt lists south/a.png, but train.txt lists a too"):
        PartLists.for_size({"north/a.png": "train", "south/a.png": "test"}, 64, is_own=True)
    assert PartLists.for_size({"a": "train", "a.tif": "train"}, 64, is_own=True).part_of == {"a": "train"}
