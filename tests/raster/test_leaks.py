from collections import Counter
from itertools import groupby
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform

from pipeline.raster.leaks import leaks, touching
from tests.world import SITE_GRID

SIZE = 32


def chips(*places: tuple[float, float], crs: str = "EPSG:2180", pixel: float = 0.5) -> pd.DataFrame:
    """Chips of 32 px, 16 m, by their columns and rows in a grid of chips."""
    rows = [(f"{x}_{y}", "s", 16 * x, -16 * y, crs, pixel, SIZE, SIZE) for x, y in places]
    return pd.DataFrame(rows, columns=["id", "scene", "x", "y", "crs", "pixel_size", "width", "height"])


def found(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[bool]:
    which = touching(ours, theirs)
    assert which is not None
    return [bool(each) for each in which]


@pytest.mark.parametrize(
    ("place", "touches"),
    [((1, 0), True), ((1, 1), True), ((0.5, 0.2), True), ((2, 0), False), ((0, -2), False), ((0, 0), True)],
)
def test_neighbours_corners_and_overlaps_touch(place: tuple[float, float], touches: bool) -> None:
    assert found(chips((0, 0)), chips(place)) == [touches]


@pytest.mark.parametrize(("gap", "touches"), [(0.45, True), (0.55, False)])
def test_half_a_pixel_is_tolerated(gap: float, touches: bool) -> None:
    assert found(chips((0, 0)), chips((1 + gap / SIZE, 0))) == [touches]


def test_another_ground_never_touches() -> None:
    assert found(chips((0, 0), (5, 5)), chips((0, 0), crs="EPSG:32634")) == [False, False]


@pytest.mark.parametrize("version", ["WKT1_GDAL", "WKT1_ESRI", "WKT2_2019"])
def test_a_crs_is_the_same_however_it_is_written(version: str) -> None:
    written = CRS.from_epsg(2180).to_wkt(version=version)
    frame = chips((0, 0), (5, 5), (1, 1)).assign(crs=["EPSG:2180", "EPSG:2180", written])
    assert found(frame, chips((1, 0), crs=written)) == [True, False, True]


def at_degrees(crs: str, lon: float, lat: float) -> pd.DataFrame:
    """A chip of 16 m whose top left corner lies there."""
    ((x,), (y,)) = transform("OGC:CRS84", crs, [lon], [lat])
    return chips((0, 0), crs=crs).assign(x=x, y=y)


@pytest.mark.parametrize(
    ("ours", "theirs", "lon"),
    [("EPSG:32630", "EPSG:32631", 0.0), ("EPSG:32660", "EPSG:32601", 180.0), ("EPSG:2180", "EPSG:4326", 19.0)],
)
@pytest.mark.parametrize(("metres", "touches"), [(0, True), (15.9, True), (18, False), (500, False)])
def test_chips_of_two_crs_touch_where_they_do_on_the_globe(
    ours: str, theirs: str, lon: float, metres: float, touches: bool
) -> None:
    one, other = at_degrees(ours, lon, 50.0), at_degrees(theirs, lon + metres / 71700, 50.0)
    if theirs == "EPSG:4326":
        other = other.assign(pixel_size=0.5 / 111_200)
    assert found(one, other) == [touches]


def test_what_lies_nowhere_on_the_globe_is_judged_among_its_like_alone() -> None:
    ours = chips((0, 0), (5, 5), crs=SITE_GRID)
    assert found(ours, chips((1, 0), crs=SITE_GRID)) == [True, False]
    for other in ("EPSG:2180", "no CRS"):
        assert touching(ours, chips((1, 0), crs=other)) is None
        assert touching(chips((1, 0), crs=other), ours) is None


@pytest.mark.parametrize("column", ["x", "pixel_size"])
def test_what_has_no_outline_cannot_be_judged(column: str) -> None:
    assert touching(chips((0, 0)), chips((0, 0), (1, 0)).assign(**{column: [1.0, np.nan]})) is None
    assert touching(chips((0, 0), (1, 0)).assign(**{column: [1.0, np.nan]}), chips((0, 0))) is None


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=20), st.integers(1, 19))
def test_on_a_grid_it_is_the_eight_neighbours(places: set[tuple[int, int]], cut: int) -> None:
    ordered = sorted(places)
    cut = min(cut, len(ordered) - 1)
    test, train = ordered[:cut], ordered[cut:]
    expected = [any(max(abs(x - a), abs(y - b)) <= 1 for a, b in train) for x, y in test]
    assert found(chips(*test), chips(*train)) == expected


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
            apart = 1000 * sorted(listed).index(scene)  # scenes do not touch
            frames.append(chips(*((x + apart, y) for x, y in grid)).assign(part=part, scene=scene))
    frame = pd.concat(frames, ignore_index=True)
    assert frame["part"].value_counts().to_dict() == {"train": 7470, "val": 1602, "test": 1602}
    assert leaks(frame)["leak_share"] == round(1600 / 1602, 6)
