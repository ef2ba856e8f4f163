"""The area of a pixel is that on the ellipsoid, in any CRS, or unknown."""

import numpy as np
import pytest
from pyproj import CRS, Transformer
from rasterio.transform import Affine
from rasterio.windows import Window

from pipeline.polygons.areas import pixel_areas
from pipeline.raster.georeference import Georeference
from tests.world import LOCAL_CRS, UTM, at

WINDOW = Window(100, 300, 500, 333)
PLACES = {
    "utm": at(pixel=10),
    "far from the central meridian": at(x=100000, y=6000000, pixel=30),
    "national": Georeference("EPSG:2180", Affine(0.25, 0, 424877, 0, -0.25, 388000)),
    "web mercator at 52 degrees north": Georeference("EPSG:3857", Affine(10, 0, 1000000, 0, -10, 6800000)),
    "degrees": Georeference("EPSG:4326", Affine(0.0001, 0, 20, 0, -0.0001, 52)),
    "degrees, south": Georeference("EPSG:4326", Affine(0.01, 0, -70, 0, -0.01, -30)),
    "rotated": Georeference(UTM, Affine.translation(400000, 5e6) @ Affine.rotation(30) @ Affine.scale(10, -10)),
    "polar": Georeference("EPSG:3031", Affine(100, 0, 500000, 0, -100, 900000)),
}


def polygon_area(place: Georeference, window: Window, points: int) -> float:
    """Area of a window by one polygon with so many points along each edge."""
    step = np.arange(points) / points
    zero, one = np.zeros(points), np.ones(points)
    rows = window.row_off + window.height * np.concatenate([zero, step, one, 1 - step])
    columns = window.col_off + window.width * np.concatenate([step, one, 1 - step, zero])
    crs = CRS.from_user_input(place.crs)
    to_degrees = Transformer.from_crs(crs, crs.geodetic_crs, always_xy=True)
    lon, lat = to_degrees.transform(*(place.transform @ (columns, rows)))
    geod = crs.get_geod()
    assert geod is not None
    return abs(geod.polygon_area_perimeter(lon, lat)[0])


@pytest.mark.parametrize("place", PLACES.values(), ids=PLACES)
def test_areas_of_the_whole_and_of_a_few_pixels(place: Georeference) -> None:
    area_HW = pixel_areas(place, WINDOW)
    assert area_HW is not None
    assert area_HW.shape == (333, 500)
    assert area_HW.sum() == pytest.approx(polygon_area(place, WINDOW, 2000), rel=1e-6)
    for column, row in ((0, 0), (200, 150), (492, 325)):
        part = Window(WINDOW.col_off + column, WINDOW.row_off + row, 8, 8)
        expected = polygon_area(place, part, 100)
        assert area_HW[row : row + 8, column : column + 8].sum() == pytest.approx(expected, rel=2e-6)


def test_a_global_map_of_a_tenth_of_a_degree() -> None:
    place = Georeference("EPSG:4326", Affine(0.1, 0, -180, 0, -0.1, 60))
    area_HW = pixel_areas(place, Window(0, 0, 3600, 1200))
    assert area_HW is not None
    meridians = polygon_area(place, Window(0, 0, 10, 1200), 5000)  # one degree of longitude
    assert area_HW.sum() == pytest.approx(360 * meridians, rel=1e-4)
    assert np.ptp(area_HW[:, 7]) > 0.4 * area_HW.max()
    assert area_HW[600, 7] == pytest.approx(polygon_area(place, Window(7, 600, 1, 1), 100), rel=1e-4)


@pytest.mark.parametrize("row", [300, 440, 600])
def test_a_small_block_at_the_end_of_a_map_of_a_tenth_of_a_degree(row: int) -> None:
    """Over 20 rows of 0.1° at 50° N areas differ by 4 %."""
    place = Georeference("EPSG:4326", Affine(0.1, 0, -180, 0, -0.1, 80))
    area_HW = pixel_areas(place, Window(40, row, 30, 20))
    assert area_HW is not None
    for top in (0, 8, 16):
        expected = polygon_area(place, Window(40, row + top, 4, 4), 100)
        assert area_HW[top : top + 4, :4].sum() == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize("size", [1, 2, 63, 64, 65, 97])
def test_any_size(size: int) -> None:
    area_HW = pixel_areas(at(pixel=10), Window(0, 0, size, 1))
    assert area_HW is not None
    assert area_HW.shape == (1, size)
    assert area_HW == pytest.approx(np.full((1, size), 100), rel=1e-2)


@pytest.mark.parametrize(
    "place",
    [
        Georeference(None, Affine(10, 0, 0, 0, -10, 0)),
        Georeference(UTM, Affine.identity()),
        Georeference(LOCAL_CRS, Affine(10, 0, 0, 0, -10, 0)),
        Georeference("EPSG:4326", Affine(1, 0, 0, 0, -1, 95)),
    ],
)
def test_no_area_without_a_position_on_earth(place: Georeference) -> None:
    assert pixel_areas(place, Window(0, 0, 10, 10)) is None
