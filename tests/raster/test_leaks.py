from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.raster.leaks import leaks, touching

SIZE = 32


def chips(*places: tuple[float, float], crs: str = "EPSG:2180", pixel: float = 0.5) -> pd.DataFrame:
    """Chips of 32 px, 16 m, by their columns and rows in a grid of chips."""
    rows = [(f"{x}_{y}", "s", 16 * x, -16 * y, crs, pixel, SIZE, SIZE) for x, y in places]
    return pd.DataFrame(rows, columns=["id", "scene", "x", "y", "crs", "pixel_size", "width", "height"])


@pytest.mark.parametrize(
    ("place", "touches"),
    [((1, 0), True), ((1, 1), True), ((0.5, 0.2), True), ((2, 0), False), ((0, -2), False), ((0, 0), True)],
)
def test_neighbours_corners_and_overlaps_touch(place: tuple[float, float], touches: bool) -> None:
    assert touching(chips((0, 0)), chips(place)).tolist() == [touches]


@pytest.mark.parametrize(("gap", "touches"), [(0.45, True), (0.55, False)])
def test_half_a_pixel_is_tolerated(gap: float, touches: bool) -> None:
    assert touching(chips((0, 0)), chips((1 + gap / SIZE, 0))).tolist() == [touches]


def test_another_crs_never_touches() -> None:
    assert touching(chips((0, 0), (5, 5)), chips((0, 0), crs="EPSG:32634")).tolist() == [False, False]


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=20), st.integers(1, 19))
def test_on_a_grid_it_is_the_eight_neighbours(places: set[tuple[int, int]], cut: int) -> None:
    ordered = sorted(places)
    cut = min(cut, len(ordered) - 1)
    test, train = ordered[:cut], ordered[cut:]
    expected = [any(max(abs(x - a), abs(y - b)) <= 1 for a, b in train) for x, y in test]
    assert touching(chips(*test), chips(*train)).tolist() == expected


def test_the_share_of_leaking_test_chips_and_the_scenes_in_both_parts() -> None:
    frame = chips((0, 0), (1, 0), (9, 9), (5, 5)).assign(part=["train", "test", "test", ""], scene=list("aabc"))
    assert leaks(frame) == {"leak_share": 0.5, "scenes_shared": 1}


def test_without_a_georeference_the_share_is_not_known() -> None:
    frame = chips((0, 0), (1, 0), crs="").assign(part=["train", "test"], x=np.nan, y=np.nan, pixel_size=np.nan)
    assert leaks(frame) == {"leak_share": None, "scenes_shared": 1}


COLUMNS = {306: 18, 324: 19, 288: 17, 72: 9}
"""Of LandCover.ai's scenes: tiles listed, and windows in a row, the partial one at its end included."""


def test_the_official_lists_leak_almost_wholly(shared: Path) -> None:
    folder = shared / "data/landcoverai-official"
    lists = {part: (folder / f"{part}.txt").read_text().split() for part in ("train", "val", "test")}
    listed = Counter(chip.rpartition("_")[0] for ids in lists.values() for chip in ids)
    frames = []
    for part, ids in lists.items():
        for scene, places in groupby(ids, key=lambda chip: chip.rpartition("_")[0]):
            numbers = [int(chip.rpartition("_")[2]) for chip in places]
            grid = [divmod(number, COLUMNS[listed[scene]])[::-1] for number in numbers]
            frames.append(chips(*grid, crs=scene).assign(part=part, scene=scene))
    frame = pd.concat(frames, ignore_index=True)
    assert frame["part"].value_counts().to_dict() == {"train": 7470, "val": 1602, "test": 1602}
    assert leaks(frame)["leak_share"] == round(1600 / 1602, 6)
