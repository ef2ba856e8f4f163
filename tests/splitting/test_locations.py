"""Which chips overlap or touch, in any CRS, across zones and the antimeridian."""

from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.warp import transform

from pipeline.splitting.locations import GLOBE, Adjacency, Locations
from tests.splitting.world import SIDE, at_cells, together
from tests.world import CRS_NO_CODE, LOCAL_CRS


def pairs(adjacency: Adjacency) -> set[tuple[int, int]]:
    """Pairs of chips whose locations are adjacent, each with itself too."""
    near = set(map(tuple, adjacency.pairs_2M.T.tolist()))
    location_N = adjacency.location_N.tolist()
    return {(i, j) for i, a in enumerate(location_N) for j, b in enumerate(location_N) if (a, b) in near}


def touching(chips: pd.DataFrame, others: pd.DataFrame) -> list[bool]:
    """Which of the chips touch one of the others."""
    rows = together(chips, others.assign(scene="other"))
    touch = pairs(Locations.from_chips(rows).touching())
    return [any((i, j) in touch for j in range(len(chips), len(rows))) for i in range(len(chips))]


def references(chips: pd.DataFrame) -> list[int]:
    locations = Locations.from_chips(chips)
    return [int(reference) for reference in locations.reference_L[locations.location_N]]


@pytest.mark.parametrize(("distance", "expected"), [(0.45, True), (0.55, False)])
def test_half_a_pixel_is_tolerated(distance: float, expected: bool) -> None:
    assert touching(at_cells((0, 0)), at_cells((1 + distance / SIDE, 0))) == [expected]


def test_a_crs_that_agrees_with_another_on_the_chips_is_the_same_frame() -> None:
    assert CRS.from_wkt(CRS_NO_CODE) != CRS.from_epsg(2180)
    chips = at_cells((0, 0), (1, 0)).assign(x=[500000.0, 500016.0], y=300000.0)
    locations = Locations.from_chips(together(chips, chips.assign(crs=CRS_NO_CODE, scene="b", x=chips["x"] + 32)))
    assert (set(locations.frame_L), locations.crs) == ({0}, ("EPSG:2180",))
    mercator = together(chips, chips.assign(crs="EPSG:3857", scene="b"))
    assert Locations.from_chips(mercator).crs == ("EPSG:2180", "EPSG:3857")


@pytest.mark.parametrize("version", ["WKT1_GDAL", "WKT1_ESRI", "WKT2_2019"])
def test_a_crs_is_recognised_in_every_wkt_version(version: str) -> None:
    wkt = CRS.from_epsg(2180).to_wkt(version=version)
    chips = at_cells((0, 0), (5, 5), (1, 1)).assign(crs=["EPSG:2180", "EPSG:2180", wkt])
    assert touching(chips, at_cells((1, 0), crs=wkt)) == [True, False, True]


def test_equal_coordinates_in_different_crs_do_not_touch() -> None:
    assert touching(at_cells((0, 0), (5, 5)), at_cells((0, 0), crs="EPSG:32634")) == [False, False]


def at_degrees(crs: str, lon: float, lat: float) -> pd.DataFrame:
    """A chip of 16 m with its top left corner at a longitude and latitude."""
    ((x,), (y,)) = transform("OGC:CRS84", crs, [lon], [lat])
    return at_cells((0, 0), crs=crs).assign(x=x, y=y)


@pytest.mark.parametrize(
    ("crs", "other_crs", "lon"),
    [("EPSG:32630", "EPSG:32631", 0.0), ("EPSG:32660", "EPSG:32601", 180.0), ("EPSG:2180", "EPSG:4326", 19.0)],
)
@pytest.mark.parametrize(("metres", "expected"), [(0, True), (15.9, True), (18, False), (500, False)])
def test_chips_of_two_crs_are_compared_on_the_globe(
    crs: str, other_crs: str, lon: float, metres: float, expected: bool
) -> None:
    chip, other = at_degrees(crs, lon, 50.0), at_degrees(other_crs, lon + metres / 71700, 50.0)
    if other_crs == "EPSG:4326":
        other = other.assign(pixel_size=0.5 / 111_200)
    assert touching(chip, other) == [expected]


def test_a_crs_without_a_position_on_the_globe_is_compared_with_itself_only() -> None:
    chips = at_cells((0, 0), (5, 5), crs=LOCAL_CRS)
    assert touching(chips, at_cells((1, 0), crs=LOCAL_CRS)) == [True, False]
    for crs in ("EPSG:2180", "no CRS"):
        assert len(set(references(together(chips, at_cells((0, 0), crs=crs, scene="b"))))) == 2
        assert touching(chips, at_cells((0, 0), crs=crs)) == [False, False]


def test_all_crs_on_the_globe_share_a_reference() -> None:
    chips = together(*(at_cells((0, 0), crs=crs, scene=crs) for crs in ("EPSG:2180", "EPSG:32634", "EPSG:32633")))
    assert references(chips) == [GLOBE] * 3


@pytest.mark.parametrize("column", ["x", "pixel_size"])
def test_a_scene_without_a_georeference_is_located_by_rows_and_columns(column: str) -> None:
    chips = together(at_cells((0, 0), (1, 0), (3, 0)), at_cells((0, 0), scene="b"))
    chips.loc[1, column] = np.nan  # one chip is enough: all chips of a scene are in the same frame
    touch = pairs(Locations.from_chips(chips).touching())
    assert touch == {(0, 0), (1, 1), (2, 2), (3, 3), (0, 1), (1, 0)}
    assert references(chips)[0] == references(chips)[2] != references(chips)[3]


@pytest.mark.parametrize(("pixels", "expected"), [(0, False), (0.4, False), (0.6, True), (5, True), (32, True)])
def test_more_than_half_a_pixel_is_an_overlap(pixels: float, expected: bool) -> None:
    chips = together(at_cells((0, 0)), at_cells((1 - pixels / SIDE, 0.5), scene="b"))
    assert ((0, 1) in pairs(Locations.from_chips(chips).overlapping())) == expected


@pytest.mark.parametrize(
    ("gap", "columns", "expected"),
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
def test_the_gap_is_rounded_to_whole_chips(gap: int, columns: float, expected: bool) -> None:
    chips = together(at_cells((0, 0)), at_cells((columns, columns), scene="b"))
    assert ((0, 1) in pairs(Locations.from_chips(chips).within(gap))) == expected


def test_dates_of_a_place_share_its_location() -> None:
    locations = Locations.from_chips(together(at_cells((0, 0), (1, 0)), at_cells((0, 0), (1, 0))))
    assert locations.location_N.tolist() == [0, 1, 0, 1]


def test_a_chip_on_the_antimeridian_touches_chips_on_both_sides() -> None:
    degrees: dict[str, Any] = {"crs": "OGC:CRS84", "pixel": 0.01}
    middle = at_cells((0, 0), **degrees).assign(x=179.9, y=10.0)
    for lon, expected in ((179.895, True), (-179.9, True), (-179.785, True), (-179.77, False), (178.0, False)):
        other = at_degrees("EPSG:3832", lon, 9.95).assign(pixel_size=30.0, scene="b")
        assert touching(middle, other) == [expected], lon


squares = st.lists(st.tuples(st.integers(0, 90), st.integers(0, 90), st.integers(1, 2)), min_size=1, max_size=25)
"""Left and top in metres, pixel size in half metres."""


@given(squares, st.sampled_from(["overlapping", "touching"]))
def test_pairs_equal_those_of_a_brute_force_comparison(layout: list[tuple[int, int, int]], relation: str) -> None:
    chips = together(
        *(
            at_cells((0, 0), pixel=0.5 * size, scene=f"s{number}").assign(x=float(x), y=-float(y))
            for number, (x, y, size) in enumerate(layout)
        )
    )
    expected = set()
    for i, (x, y, size) in enumerate(layout):
        for j, (other_x, other_y, other_size) in enumerate(layout):
            horizontal = min(x + 16 * size, other_x + 16 * other_size) - max(x, other_x)
            vertical = min(y + 16 * size, other_y + 16 * other_size) - max(y, other_y)
            if min(horizontal, vertical) > 0 or (relation == "touching" and min(horizontal, vertical) == 0):
                expected.add((i, j))
    assert pairs(getattr(Locations.from_chips(chips), relation)()) == expected
