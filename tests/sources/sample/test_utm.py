import pytest
from affine import Affine
from hypothesis import given
from hypothesis import strategies as st
from rasterio.warp import transform

from pipeline.sources.sample.utm import epsg, outline, to_degrees


@given(
    easting=st.floats(170_000, 830_000), northing=st.floats(0, 4_000_000), zone=st.integers(28, 38), south=st.booleans()
)
def test_degrees_are_those_of_proj(easting: float, northing: float, zone: int, south: bool) -> None:
    northing = 10_000_000 - northing if south else northing
    (longitude,), (latitude,) = transform(epsg(zone, south), "OGC:CRS84", [easting], [northing])
    assert to_degrees(easting, northing, zone, south) == pytest.approx([longitude, latitude], abs=2e-6)


def test_codes_of_both_hemispheres() -> None:
    assert (epsg(30, south=False), epsg(36, south=True)) == ("EPSG:32630", "EPSG:32736")


def test_an_outline_is_closed_and_counterclockwise() -> None:
    ring = outline(Affine(10, 0, 600_000, 0, -10, 1_100_000), (64, 128), 30, south=False)
    assert len(ring) == 5
    assert ring[0] == ring[-1]
    area = sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:], strict=False))
    assert area > 0
    assert ring[0] == to_degrees(600_000, 1_100_000 - 640, 30, south=False)
    assert ring[2] == to_degrees(601_280, 1_100_000, 30, south=False)
