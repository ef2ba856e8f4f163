"""Windows are numbered as by LandCover.ai's script, and those read at once lie side by side."""

from hypothesis import given
from hypothesis import strategies as st

from pipeline.orthophoto.windows import chip_windows, window_runs

sides = st.integers(1, 200)
sizes = st.sampled_from([7, 32, 64])


@given(sides, sides, sizes)
def test_numbers_match_the_archives_own_script(height: int, width: int, size: int) -> None:
    k, expected = 0, []
    for y in range(0, height, size):  # as in split.py of LandCover.ai
        for x in range(0, width, size):
            if y + size <= height and x + size <= width:
                expected.append((k, y, x))
            k += 1
    tiles = [tile for tile in chip_windows(height, width, size) if (tile.height, tile.width) == (size, size)]
    assert [(tile.number, tile.row, tile.column) for tile in tiles] == expected
    assert len(tiles) == (height // size) * (width // size)


@given(sides, sides, sizes, st.integers(0, 250))
def test_runs_are_all_windows_side_by_side(height: int, width: int, size: int, columns: int) -> None:
    windows = list(chip_windows(height, width, size))
    runs = list(window_runs(iter(windows), columns))
    assert [window for run in runs for window in run] == windows
    for run in runs:
        assert {window.row for window in run} == {run[0].row}
        assert len(run) == 1 or sum(window.width for window in run) <= columns
    if columns >= width:
        assert len(runs) == -(-height // size)
