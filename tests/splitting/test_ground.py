import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform

from pipeline.splitting.ground import GLOBE, Ground
from tests.world import CRS_NO_CODE, LOCAL_CRS

SIZE = 32


def chips(*places: tuple[float, float], crs: str = "EPSG:2180", pixel: float = 0.5, scene: str = "s") -> pd.DataFrame:
    """Chips of 32 px, 16 m, by their columns and rows in a grid of chips."""
    rows = [(f"{x}_{y}", scene, 32 * y, 32 * x, 16 * x, -16 * y, crs, pixel, SIZE, SIZE) for x, y in places]
    columns = ["id", "scene", "row", "column", "x", "y", "crs", "pixel_size", "width", "height"]
    return pd.DataFrame(rows, columns=columns)


def pairs(frame: pd.DataFrame, found: tuple[Ground, np.ndarray]) -> set[tuple[int, int]]:
    """Rows of chips whose places are a pair, with themselves too."""
    ground, pair_2M = found
    near = {(int(one), int(other)) for one, other in pair_2M.T}
    numbers = range(len(frame))
    return {
        (one, other) for one in numbers for other in numbers if (ground.place_N[one], ground.place_N[other]) in near
    }


def found(ours: pd.DataFrame, theirs: pd.DataFrame) -> list[bool]:
    """Which of ours touch one of theirs."""
    frame = pd.concat([ours, theirs.assign(scene="other")], ignore_index=True)
    ground = Ground.of(frame)
    touch = pairs(frame, (ground, ground.touching()))
    return [any((one, other) in touch for other in range(len(ours), len(frame))) for one in range(len(ours))]


def worlds(frame: pd.DataFrame) -> list[int]:
    ground = Ground.of(frame)
    return [int(world) for world in ground.world_P[ground.place_N]]


@pytest.mark.parametrize(
    ("place", "touches"),
    [((1, 0), True), ((1, 1), True), ((0.5, 0.2), True), ((2, 0), False), ((0, -2), False), ((0, 0), True)],
)
def test_neighbours_corners_and_overlaps_touch(place: tuple[float, float], touches: bool) -> None:
    assert found(chips((0, 0)), chips(place)) == [touches]


@pytest.mark.parametrize(("gap", "touches"), [(0.45, True), (0.55, False)])
def test_half_a_pixel_is_tolerated(gap: float, touches: bool) -> None:
    assert found(chips((0, 0)), chips((1 + gap / SIZE, 0))) == [touches]


def test_one_crs_in_two_spellings_is_one_frame() -> None:
    assert CRS.from_wkt(CRS_NO_CODE) != CRS.from_epsg(2180)
    at = chips((0, 0), (1, 0)).assign(x=[500000.0, 500016.0], y=300000.0)
    ground = Ground.of(pd.concat([at, at.assign(crs=CRS_NO_CODE, scene="other", x=at["x"] + 32)], ignore_index=True))
    assert (set(ground.frame_P), ground.crs) == ({0}, ("EPSG:2180",))
    assert Ground.of(pd.concat([at, at.assign(crs="EPSG:3857", scene="other")])).crs == ("EPSG:2180", "EPSG:3857")


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
    ours = chips((0, 0), (5, 5), crs=LOCAL_CRS)
    assert found(ours, chips((1, 0), crs=LOCAL_CRS)) == [True, False]
    for other in ("EPSG:2180", "no CRS"):
        frame = pd.concat([ours, chips((0, 0), crs=other, scene="b")])
        assert len(set(worlds(frame))) == 2
        assert found(ours, chips((0, 0), crs=other)) == [False, False]


def test_all_crs_of_the_globe_are_one_world() -> None:
    frame = pd.concat([chips((0, 0), crs=crs, scene=crs) for crs in ("EPSG:2180", "EPSG:32634", "EPSG:32633")])
    assert worlds(frame) == [GLOBE] * 3


@pytest.mark.parametrize("column", ["x", "pixel_size"])
def test_a_scene_without_a_place_is_known_by_its_rows_and_columns(column: str) -> None:
    frame = pd.concat([chips((0, 0), (1, 0), (3, 0)), chips((0, 0), scene="b")], ignore_index=True)
    frame.loc[1, column] = np.nan  # one chip is enough: its scene is in one frame
    ground = Ground.of(frame)
    assert pairs(frame, (ground, ground.touching())) == {(0, 0), (1, 1), (2, 2), (3, 3), (0, 1), (1, 0)}
    assert worlds(frame)[0] == worlds(frame)[2] != worlds(frame)[3]


@pytest.mark.parametrize(("overlap", "overlaps"), [(0, False), (0.4, False), (0.6, True), (5, True), (32, True)])
def test_more_than_half_a_pixel_is_an_overlap(overlap: float, overlaps: bool) -> None:
    frame = pd.concat([chips((0, 0)), chips((1 - overlap / SIZE, 0.5), scene="b")], ignore_index=True)
    ground = Ground.of(frame)
    assert ((0, 1) in pairs(frame, (ground, ground.overlapping()))) == overlaps


@pytest.mark.parametrize(
    ("gap", "columns", "near"),
    [
        (0, 0.9, True),
        (0, 1, False),
        (1, 1, True),
        (1, 1.3, True),
        (1, 1.6, False),
        (1, 2, False),
        (2, 2, True),
        (2, 3, False),
    ],
)
def test_chips_between_two_are_counted_to_the_nearest_one(gap: int, columns: float, near: bool) -> None:
    frame = pd.concat([chips((0, 0)), chips((columns, columns), scene="b")], ignore_index=True)
    ground = Ground.of(frame)
    assert ((0, 1) in pairs(frame, (ground, ground.within(gap)))) == near


def test_dates_of_one_place_share_it() -> None:
    ground = Ground.of(pd.concat([chips((0, 0), (1, 0)), chips((0, 0), (1, 0))]))
    assert ground.place_N.tolist() == [0, 1, 0, 1]


def test_a_chip_on_the_180th_meridian_meets_those_on_both_sides() -> None:
    degrees = {"crs": "OGC:CRS84", "pixel": 0.01}
    middle = chips((0, 0), **degrees).assign(x=179.9, y=10.0)  # type: ignore[arg-type]
    for lon, touches in ((179.895, True), (-179.9, True), (-179.785, True), (-179.77, False), (178.0, False)):
        west = at_degrees("EPSG:3832", lon, 9.95).assign(pixel_size=30.0, scene="b")
        assert found(middle, west) == [touches], lon


places = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 2)), min_size=1, max_size=25)


@given(places, st.sampled_from(["overlapping", "touching"]))
def test_pairs_are_those_that_comparing_each_with_each_finds(layout: list[tuple[int, int, int]], which: str) -> None:
    """Chips of pixels of 0.5 and 1 m at any whole metre."""
    frame = pd.concat(
        [
            chips((0, 0), pixel=0.5 * size, scene=f"s{number}").assign(x=float(x), y=-float(y))
            for number, (x, y, size) in enumerate(layout)
        ],
        ignore_index=True,
    )
    ground = Ground.of(frame)
    expected = set()
    for one, (x, y, size) in enumerate(layout):
        for other, (a, b, theirs) in enumerate(layout):
            across = min(x + 16 * size, a + 16 * theirs) - max(x, a)
            down = min(y + 16 * size, b + 16 * theirs) - max(y, b)
            if min(across, down) > 0 or (which == "touching" and min(across, down) == 0):
                expected.add((one, other))
    assert pairs(frame, (ground, getattr(ground, which)())) == expected


@given(st.sets(st.tuples(st.integers(0, 6), st.integers(0, 6)), min_size=2, max_size=20), st.integers(1, 19))
def test_on_a_grid_it_is_the_eight_neighbours(places: set[tuple[int, int]], cut: int) -> None:
    ordered = sorted(places)
    cut = min(cut, len(ordered) - 1)
    test, train = ordered[:cut], ordered[cut:]
    expected = [any(max(abs(x - a), abs(y - b)) <= 1 for a, b in train) for x, y in test]
    assert found(chips(*test), chips(*train)) == expected
