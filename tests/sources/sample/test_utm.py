"""Outlines of chips are where PROJ says, to a quarter of a metre."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform

from pipeline.sources.sample.utm import UtmGrid, to_degrees


@given(
    easting=st.floats(170_000, 830_000), northing=st.floats(0, 4_000_000), zone=st.integers(28, 38), south=st.booleans()
)
def test_degrees_are_those_of_proj(easting: float, northing: float, zone: int, south: bool) -> None:
    northing = 10_000_000 - northing if south else northing
    crs = UtmGrid((1, 1), zone, south, 0, 0).georeference.crs
    (longitude,), (latitude,) = transform(crs, "OGC:CRS84", [easting], [northing])
    assert to_degrees(easting, northing, zone, south) == pytest.approx([longitude, latitude], abs=2e-6)
