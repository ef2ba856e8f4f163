"""Polylines, boxes, shadows and fields are the pixels that geometry says."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.sources.sample.noise import Rng
from pipeline.sources.sample.shapes import (
    Box,
    cast_shadow,
    direction,
    generate_parcels,
    stroke,
)

SHAPE = (120, 150)
POINTS = st.tuples(st.integers(-20, 60), st.integers(-20, 60))


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


@settings(max_examples=25)
@given(heading=st.integers(0, 63), seed=st.integers(0, 1000))
def test_every_pixel_has_a_field_and_a_position_in_it(heading: int, seed: int) -> None:
    parcels = generate_parcels(SHAPE, heading, (5, 12), (9, 20), Rng(seed))
    assert parcels.field_HW.shape == SHAPE
    assert 0 <= parcels.field_HW.min() <= parcels.field_HW.max() < parcels.count
    assert parcels.across_HW.min() == 0
    assert 0 <= parcels.border_HW.min() <= parcels.border_HW.max() <= 6
