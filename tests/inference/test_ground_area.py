import numpy as np
import pytest
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.inference.ground_area import min_pixels, pixel_area
from pipeline.raster.georeference import Georeference
from tests.world import CRS_NO_CODE, LOCAL_CRS, at

POLAND = {"x": 500_000.0, "y": 500_000.0, "crs": "EPSG:2180"}
E2 = 0.00669438  # squared eccentricity of GRS80 and WGS 84


@pytest.mark.parametrize(
    ("georeference", "area"),
    [
        (at(x=500_000.0, y=5e6), 100 / 0.9996**2),  # the scale on the central meridian of UTM, exactly
        (at(**POLAND), 100 / 0.9993**2),  # and of EPSG:2180
        (at(**POLAND, pixel=0.25), 0.0625 / 0.9993**2),
        (at(x=500_000.0, y=500_000.0, crs=CRS_NO_CODE), 100 / 0.9993**2),
        (at(x=500_000.0, y=500_000.0, crs="EPSG:2180+5773"), 100 / 0.9993**2),  # with heights
        (at(x=4_321_000.0, y=3_210_000.0, crs="EPSG:3035"), 100.0),  # equal-area
        (at(x=0.0, y=0.0, crs="EPSG:3857"), 100 * (1 - E2)),  # a sphere's formula on the ellipsoid, at the equator
        (at(x=0.0, y=0.0, pixel=100.0, crs="EPSG:3031"), 10_000 / 0.972769**2),  # the south pole is a corner
        # US survey feet, on the central parallel of a secant cone: the scale is within 1e-4 of 1
        (at(x=1e6, y=2e5, pixel=1.0, crs="EPSG:2263"), (1200 / 3937) ** 2),
        # grads east of Paris; 1.00037: scale 200 km north of the origin, cone of 0.99988
        (at(x=600_000.0, y=2_400_000.0, crs="EPSG:27572"), 100 / 1.00037**2),
        (at(x=0.0, y=0.0, pixel=1e-4, crs="EPSG:4326"), (1e-4 * 111_319.49) * (1e-4 * 110_574.3)),
        (at(x=179.99995, y=0.0, pixel=1e-4, crs="EPSG:4326"), (1e-4 * 111_319.49) * (1e-4 * 110_574.3)),
    ],
)
def test_area_of_a_pixel_on_the_ground(georeference: Georeference, area: float) -> None:
    assert pixel_area(georeference, height=1, width=1) == pytest.approx(area, rel=2e-5 if area > 0.1 else 1e-4)


def test_web_mercator_at_52_degrees_north_enlarges_2_6_times() -> None:
    y = 6_800_125.0
    assert pixel_area(at(x=0.0, y=y, crs="EPSG:3857"), 1, 1) == pytest.approx(100 / 2.63, rel=1e-2)


def test_the_area_is_that_of_the_central_pixel() -> None:
    lower = at(x=0.0, y=-500.0 * 10_000, pixel=10_000.0, crs="EPSG:3857")
    assert pixel_area(at(x=0.0, y=0.0, pixel=10_000.0, crs="EPSG:3857"), 1000, 1) == pixel_area(lower, 1, 1)


def test_rotated_and_south_up_pixels_have_their_area() -> None:
    rotated = Georeference("EPSG:3035", Affine(6.0, 8.0, 4_321_000.0, 8.0, -6.0, 3_210_000.0))
    south_up = Georeference("EPSG:3035", Affine(10.0, 0.0, 4_321_000.0, 0.0, 10.0, 3_210_000.0))
    assert pixel_area(rotated, 1, 1) == pytest.approx(100, rel=2e-5)
    assert pixel_area(south_up, 1, 1) == pytest.approx(100, rel=2e-5)


@pytest.mark.parametrize(
    ("hectares", "pixels"),
    [
        (0.005, 1),  # 50 m2
        (0.01, 1),  # 100 m2, and a pixel has 100.08 m2
        (0.0101, 2),
        (1.0, 100),  # 99.92 px
        (2.0, 200),
    ],
)
def test_hectares_are_rounded_up_to_whole_pixels(hectares: float, pixels: int) -> None:
    assert min_pixels(hectares, at(y=5e6), height=100, width=100) == pixels


def test_a_whole_number_of_pixels_is_not_rounded_up() -> None:
    georeference = at(**POLAND)
    area = pixel_area(georeference, 100, 100) / 10_000
    assert [min_pixels(n * area, georeference, 100, 100) for n in range(1, 100)] == list(range(1, 100))


@pytest.mark.parametrize("hectares", [0.0, -1.0, np.nan, np.inf])
def test_what_is_no_area_is_refused(hectares: float) -> None:
    with pytest.raises(PipelineError, match="is not an area: give hectares above 0"):
        min_pixels(hectares, at(), 100, 100)


def test_more_than_the_scene_is_refused() -> None:
    with pytest.raises(PipelineError, match="--mmu 2 is more than the whole scene: give at most its 1 ha"):
        min_pixels(2.0, at(y=5e6), 10, 10)


@pytest.mark.parametrize(
    "georeference",
    [
        at(crs=None),
        Georeference("EPSG:32630", Affine.identity()),
        at(crs=LOCAL_CRS),
        at(crs="EPSG:4978"),  # geocentric
        at(crs="nonsense"),
        at(x=0.0, y=95.0, crs="EPSG:4326"),
        at(x=0.0, y=9e9, crs="EPSG:3857"),
    ],
)
def test_pixels_without_a_place_on_earth_are_refused(georeference: Georeference) -> None:
    with pytest.raises(PipelineError, match="area of a pixel is unknown, .*gdal_edit.py -a_srs .* or leave out --mmu"):
        min_pixels(1.0, georeference, 100, 100)
