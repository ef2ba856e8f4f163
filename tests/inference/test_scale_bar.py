import math

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine

from pipeline.inference.scale_bar import LONGEST_SHARE, ScaleBar, metres_per_column, scale_bar
from pipeline.raster.georeference import Georeference

A, B = 6378137.0, 6356752.314245
"""Semi-axes of WGS 84 in metres."""
TEN_METRES = Affine(10, 0, 500000, 0, -10, 4000000)
NONE = Georeference(None, Affine.identity())


def test_a_pixel_of_utm_is_as_long_as_the_scale_factor_of_its_meridian() -> None:
    metres = metres_per_column(Georeference("EPSG:32652", TEN_METRES), 100, 0)  # so that its centre is the meridian
    assert metres == pytest.approx(10 / 0.9996, rel=1e-9)


def test_a_pixel_in_degrees_is_shorter_towards_the_poles() -> None:
    at_equator = Georeference("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 0))
    assert metres_per_column(at_equator, 0, 10) == pytest.approx(1e-4 * A * math.pi / 180, rel=1e-9)
    at_60 = Georeference("EPSG:4326", Affine(1e-4, 0, 10, 0, -1e-4, 60))
    eccentricity = 1 - (B / A) ** 2  # squared
    radius = A / math.sqrt(1 - eccentricity * math.sin(math.pi / 3) ** 2) * math.cos(math.pi / 3)  # of the parallel
    assert metres_per_column(at_60, 0, 10) == pytest.approx(1e-4 * radius * math.pi / 180, rel=1e-9)


def test_the_centre_of_the_scene_counts() -> None:
    scene = Georeference("EPSG:4326", Affine(1, 0, 0, 0, -1, 60))  # from 60° to the equator
    one_row = Georeference("EPSG:4326", Affine(1, 0, 0, 0, -1, 30))
    assert metres_per_column(scene, 60, 10) == metres_per_column(one_row, 0, 10)


def test_web_mercator_is_measured_on_the_ground() -> None:
    y = A * math.log(math.tan(math.pi / 4 + math.pi / 6))  # of 60°
    metres = metres_per_column(Georeference("EPSG:3857", Affine(10, 0, 0, 0, -10, y)), 0, 10)
    assert metres == pytest.approx(5, rel=0.003)  # sphere and ellipsoid differ


def test_feet_become_metres() -> None:
    metres = metres_per_column(Georeference("EPSG:2263", Affine(1, 0, 980000, 0, -1, 200000)), 10, 10)
    assert metres == pytest.approx(1200 / 3937, rel=1e-4)  # a US survey foot; scale factor near 1


@given(st.floats(0, 360))
def test_rotation_changes_nothing(degrees: float) -> None:
    turned = TEN_METRES @ Affine.rotation(degrees)
    expected = metres_per_column(Georeference("EPSG:32652", TEN_METRES), 0, 0)
    assert metres_per_column(Georeference("EPSG:32652", turned), 0, 0) == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(
    "georeference",
    [
        NONE,
        Georeference("EPSG:32652", Affine.identity()),
        Georeference(None, TEN_METRES),
        Georeference(CRS.from_wkt('LOCAL_CS["grid",UNIT["metre",1]]').to_wkt(), TEN_METRES),
        Georeference("EPSG:32652", Affine(1e9, 0, 1e12, 0, -1e9, 1e12)),
    ],
    ids=["none", "CRS alone", "transform alone", "local grid", "off the Earth"],
)
def test_without_a_position_on_the_earth_the_bar_is_in_pixels(georeference: Georeference) -> None:
    assert metres_per_column(georeference, 100, 100) is None
    assert scale_bar(georeference, 100, 100) == ScaleBar(0.2, "20 px")


@pytest.mark.parametrize(
    ("width", "bar"),
    [
        (1, ScaleBar(1, "1 px")),
        (7, ScaleBar(1 / 7, "1 px")),
        (8, ScaleBar(0.25, "2 px")),
        (20000, ScaleBar(0.25, "5,000 px")),
    ],
)
def test_bars_in_pixels(width: int, bar: ScaleBar) -> None:
    assert scale_bar(NONE, 5, width) == bar


@pytest.mark.parametrize(
    ("size", "width", "label"),
    [
        (10, 21, "50 m"),
        (10, 1000, "2 km"),
        (10, 401, "1 km"),
        (10, 399, "500 m"),
        (10, 10**6, "2,000 km"),
        (0.25, 1, "5 cm"),
        (0.25, 17, "1 m"),
        (1e-4, 100, "0.2 cm"),
    ],
)
def test_bars_in_metres(size: float, width: int, label: str) -> None:
    # 0.9996, so that a pixel has its nominal size on the ground; narrow, or the middle is off the meridian
    transform = Affine(size * 0.9996, 0, 500000 - size * width / 2, 0, -size, 4000000)
    assert scale_bar(Georeference("EPSG:32652", transform), 0, width).label == label


@given(st.floats(1e-3, 1e5), st.integers(1, 10**5))
def test_bars_are_round_and_of_readable_length(size: float, width: int) -> None:
    transform = Affine(size, 0, 500000 - size * width / 2, 0, -size, 4000000)
    georeference = Georeference("EPSG:32652", transform)
    metres = metres_per_column(georeference, 0, width)
    bar = scale_bar(georeference, 0, width)
    if metres is None:
        return
    assert LONGEST_SHARE / 2.5 * (1 - 1e-9) < bar.share <= LONGEST_SHARE
    number, unit = bar.label.replace(",", "").split()
    length = float(number) * {"km": 1000, "m": 1, "cm": 0.01}[unit]
    assert f"{length:e}"[0] in "125" and float(f"{length:.0e}") == pytest.approx(length)
    assert bar.share * width * metres == pytest.approx(length)
