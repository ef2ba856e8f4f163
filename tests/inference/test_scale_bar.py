"""The bar of a picture is round, at most a quarter of its width, and in pixels where metres are unknown."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.crs import CRS
from rasterio.transform import Affine

from pipeline.inference.scale_bar import LONGEST_SHARE, ScaleBar, scale_bar
from pipeline.raster.georeference import Georeference
from pipeline.scenes.ground import ground_size

TEN_METRES = Affine(10, 0, 500000, 0, -10, 4000000)
NONE = Georeference(None, Affine.identity())


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
    assert scale_bar(georeference, 100, 100) == ScaleBar(0.2, "20 px")


@pytest.mark.parametrize(
    ("width", "bar"),
    [(1, ScaleBar(1, "1 px")), (7, ScaleBar(1 / 7, "1 px")), (20000, ScaleBar(0.25, "5,000 px"))],
)
def test_bars_in_pixels(width: int, bar: ScaleBar) -> None:
    assert scale_bar(NONE, 5, width) == bar


def north_up(size: float, width: int) -> Georeference:
    """Narrow scenes in the middle of a UTM zone."""
    return Georeference("EPSG:32652", Affine(size, 0, 500000 - size * width / 2, 0, -size, 4000000))


@pytest.mark.parametrize(
    ("size", "width", "label"),
    [(10, 21, "50 m"), (10, 401, "1 km"), (10, 399, "500 m"), (10, 10**6, "2,000 km"), (0.25, 1, "5 cm")],
)
def test_bars_in_metres(size: float, width: int, label: str) -> None:
    # 0.9996, so that a pixel has its nominal size on the ground
    assert scale_bar(north_up(size * 0.9996, width), 0, width).label == label


@given(st.floats(1e-3, 1e5), st.integers(1, 10**5))
def test_bars_are_round_and_of_readable_length(size: float, width: int) -> None:
    ground = ground_size(north_up(size, width), 0, width)
    bar = scale_bar(north_up(size, width), 0, width)
    if ground is None:
        return
    assert LONGEST_SHARE / 2.5 * (1 - 1e-9) < bar.share <= LONGEST_SHARE
    number, unit = bar.label.replace(",", "").split()
    length = float(number) * {"km": 1000, "m": 1, "cm": 0.01}[unit]
    assert f"{length:e}"[0] in "125" and float(f"{length:.0e}") == pytest.approx(length)
    assert bar.share * width * ground.width == pytest.approx(length)
