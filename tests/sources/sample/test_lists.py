from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.raster.layout import RawFolder
from pipeline.sources.sample.lists import write_lists

names = st.lists(st.from_regex(r"[a-z]{1,8}", fullmatch=True), min_size=7, max_size=60, unique=True)


@given(names, st.integers(0, 99))
def test_every_name_is_in_one_list_and_fifteen_of_a_hundred_are_held_out_twice(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("lists")
    assert list(write_lists(names, seed, folder)) == [Path("train.txt"), Path("val.txt"), Path("test.txt")]
    parts = RawFolder("landcoverai", folder).official_parts
    assert sorted(parts) == sorted(names)
    sizes = [list(parts.values()).count(part) for part in ("val", "test")]
    assert sizes == [len(names) * 15 // 100] * 2


def test_the_seed_decides(tmp_path: Path) -> None:
    found = []
    for seed in (1, 1, 2):
        list(write_lists([f"c{number}" for number in range(40)], seed, tmp_path))
        found.append((tmp_path / "test.txt").read_text())
    assert found[0] == found[1] != found[2]
