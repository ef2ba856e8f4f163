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


@pytest.mark.parametrize(("zone", "south", "crs"), [(30, False, "EPSG:32630"), (36, True, "EPSG:32736")])
def test_a_grid_has_pixels_of_10_m_in_the_crs_of_its_hemisphere(zone: int, south: bool, crs: str) -> None:
    georeference = UtmGrid((64, 128), zone, south, 600_000, 1_100_000).georeference
    assert georeference.crs == crs
    assert georeference.corner(0, 0) == (600_000, 1_100_000)
    assert georeference.corner(64, 128) == (601_280, 1_099_360)


def test_an_outline_is_closed_and_counterclockwise() -> None:
    ring = UtmGrid((64, 128), 30, False, 600_000, 1_100_000).outline
    assert len(ring) == 5
    assert ring[0] == ring[-1] == to_degrees(600_000, 1_099_360, 30, south=False)
    assert ring[2] == to_degrees(601_280, 1_100_000, 30, south=False)
    assert sum(x0 * y1 - x1 * y0 for (x0, y0), (x1, y1) in zip(ring, ring[1:], strict=False)) > 0
