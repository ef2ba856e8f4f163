"""Every chip of a sample is in one of the official lists, 15 % each to validate and to test."""

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.raster.layout import RawFolder
from pipeline.sources.sample.split_lists import write_split_lists

IDS = st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=7, max_size=60, unique=True)


@settings(max_examples=25)  # each writes three files
@given(IDS, st.integers(0, 99))
def test_every_chip_is_in_one_list_and_15_percent_each_validate_and_test(
    tmp_path_factory: pytest.TempPathFactory, chip_ids: list[str], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    assert list(write_split_lists(chip_ids, seed, folder)) == [Path("train.txt"), Path("val.txt"), Path("test.txt")]
    parts = RawFolder("landcoverai", folder).official_parts
    assert sorted(parts) == sorted(chip_ids)
    sizes = [list(parts.values()).count(part) for part in ("val", "test")]
    assert sizes == [len(chip_ids) * 15 // 100] * 2
