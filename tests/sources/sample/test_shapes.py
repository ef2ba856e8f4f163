"""Polylines, boxes, shadows and fields are the pixels that geometry says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.sample.noise import Rng
from pipeline.sources.sample.shapes import (
    SUBPIXELS,
    Box,
    cast_shadow,
    direction,
    generate_parcels,
    move,
    round_corners,
    stroke,
)

SHAPE = (120, 150)
POINTS = st.tuples(st.integers(-20, 60), st.integers(-20, 60))


def test_headings_go_clockwise_from_the_right() -> None:
    assert [direction(step) for step in (0, 16, 32, 48)] == [(0, 1024), (1024, 0), (0, -1024), (-1024, 0)]


@given(start=POINTS, step=st.integers(0, 63), distance=st.integers(0, 100))
def test_a_point_moves_by_the_distance(start: tuple[int, int], step: int, distance: int) -> None:
    assert math.dist(start, move(start, direction(step), distance)) == pytest.approx(distance, abs=1.5)


def test_rounding_corners_keeps_the_ends_and_cuts_each_corner_twice() -> None:
    points = round_corners([(0, 0), (0, 16), (16, 16)])
    assert points[:6] == [(0, 0), (0, 1), (0, 3), (0, 6), (0, 10), (1, 13)]
    assert points[6:] == [(3, 15), (6, 16), (10, 16), (13, 16), (15, 16), (16, 16)]


@given(points=st.lists(POINTS, min_size=2, max_size=4), half_width=st.integers(0, 6))
def test_a_stroke_is_the_pixels_near_its_polyline(points: list[tuple[int, int]], half_width: int) -> None:
    covered = stroke((40, 40), points, half_width)

    def distance(row: int, column: int) -> float:
        best = math.inf
        for (r0, c0), (r1, c1) in zip(points, points[1:], strict=False):
            length2 = (r1 - r0) ** 2 + (c1 - c0) ** 2
            along = ((row - r0) * (r1 - r0) + (column - c0) * (c1 - c0)) / length2 if length2 else 0
            along = min(max(along, 0), 1)
            best = min(best, math.dist((row, column), (r0 + along * (r1 - r0), c0 + along * (c1 - c0))))
        return best

    for row, column in [(0, 0), (20, 20), (5, 33), (39, 1), (17, 24)]:
        if abs(distance(row, column) - half_width) > 1e-6:
            assert covered[row, column] == (distance(row, column) < half_width)


def test_a_box_at_heading_0_is_a_rectangle() -> None:
    box = Box((10, 10), 0, 4, 2)
    window = box.window((20, 20))
    covered = np.zeros((20, 20), bool)
    covered[window] = box.inside(window)
    assert np.argwhere(covered).min(axis=0).tolist() == [8, 6]
    assert np.argwhere(covered).max(axis=0).tolist() == [12, 14]
    assert covered.sum() == 5 * 9


@given(heading=st.integers(0, 63))
def test_a_rotated_box_keeps_its_area_and_fits_its_window(heading: int) -> None:
    box = Box((50, 50), heading, 20, 8)
    assert box.inside((slice(0, 100), slice(0, 100))).sum() == pytest.approx(41 * 17, rel=0.08)
    assert box.inside(box.window((100, 100))).sum() == box.inside((slice(0, 100), slice(0, 100))).sum()


@pytest.mark.parametrize("length", [1, 5, 7, 8])
def test_a_shadow_has_its_length_and_excludes_the_object(length: int) -> None:
    mask = np.zeros((3, 20), bool)
    mask[1, 2] = True
    assert np.flatnonzero(cast_shadow(mask, direction(0), length)[1]).tolist() == list(range(3, 3 + length))


def test_the_width_of_parcels_is_within_its_range() -> None:
    parcels = generate_parcels(SHAPE, 0, (10, 20), (40, 60), Rng(1))
    widths = [np.diff(np.flatnonzero(np.diff(column))) for column in parcels.field_HW.T]
    assert 10 <= min(width.min() for width in widths) <= max(width.max() for width in widths) <= 20


@settings(max_examples=25)
@given(heading=st.integers(0, 63), seed=st.integers(0, 1000))
def test_every_pixel_has_a_field_and_a_position_in_it(heading: int, seed: int) -> None:
    parcels = generate_parcels(SHAPE, heading, (5, 12), (9, 20), Rng(seed))
    assert parcels.field_HW.shape == SHAPE
    assert 0 <= parcels.field_HW.min() <= parcels.field_HW.max() < parcels.count
    assert parcels.across_HW.min() == 0
    assert 0 <= parcels.border_HW.min() <= parcels.border_HW.max() <= 6


@pytest.mark.parametrize("heading", [0, 7, 16, 40])
def test_distances_across_the_rows_are_in_16ths_of_a_pixel(heading: int) -> None:
    parcels = generate_parcels(SHAPE, heading, (5, 12), (9, 20), Rng(2))
    down, right = np.gradient(parcels.across_HW.astype(float) / SUBPIXELS)
    assert np.hypot(down, right).mean() == pytest.approx(1, abs=0.01)


def test_the_border_distance_is_0_on_both_sides_of_a_border() -> None:
    parcels = generate_parcels((60, 1), 0, (6, 9), (50, 60), Rng(3))
    changes = np.flatnonzero(np.diff(parcels.field_HW[:, 0]))
    assert (parcels.border_HW[changes, 0] == 0).all()
    assert (parcels.border_HW[changes + 1, 0] == 0).all()
