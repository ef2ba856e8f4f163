"""Size and area of a pixel on the ground, in any CRS, and what is said where they differ from the training's."""

import math

import pytest
from pyproj import Geod
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.scenes.ground import GroundSize, ground_size, min_pixels, pixel_area, pixel_size_note, training_size
from tests.scenes.array_scene import degrees
from tests.world import CRS_NO_CODE, LOCAL_CRS, UTM, at


def sizes(georeference: Georeference, height: int = 1, width: int = 1) -> tuple[float, float]:
    ground = ground_size(georeference, height, width)
    assert ground is not None
    return ground.width, ground.height


def test_degrees_at_60_north_are_half_as_wide_as_high() -> None:
    """A meridian degree at 60° is 111,412 m, a parallel one 55,800 m: WGS 84, as in any table."""
    width, height = sizes(degrees(10.0, 60.0005, 0.001))
    assert (width, height) == (pytest.approx(55.80, abs=0.01), pytest.approx(111.41, abs=0.01))


def test_the_pixel_is_that_at_the_centre_of_the_scene() -> None:
    width, _ = sizes(degrees(10.0, 90.0, 1.0), height=60, width=2)
    assert width == pytest.approx(55800, rel=1e-4)


def test_web_mercator_shrinks_by_the_cosine_of_the_latitude() -> None:
    """Its units are metres at the equator of a sphere: at 60° N the ellipsoid's radii differ by 0.1 to 0.3 %."""
    y = 6378137 * math.log(math.tan(math.pi / 4 + math.radians(60) / 2))
    width, height = sizes(at(x=0.0, y=y, pixel=10.0, crs="EPSG:3857"))
    assert (width, height) == (pytest.approx(5.0, rel=0.003), pytest.approx(5.0, rel=0.003))
    assert abs(width - height) > 0.001
    geod = Geod(ellps="WGS84")
    assert width == pytest.approx(geod.inv(0, 60, math.degrees(10 / 6378137), 60)[2], rel=1e-6)


@pytest.mark.parametrize(
    ("transform", "expected"),
    [
        (Affine(10.0, 0.0, 500000.0, 0.0, -20.0, 1000000.0), (10, 20)),
        (Affine(-10.0, 0.0, 500000.0, 0.0, 20.0, 1000000.0), (10, 20)),
        (Affine(0.0, 20.0, 500000.0, 10.0, 0.0, 1000000.0), (10, 20)),  # along a row is north
        (Affine(6.0, -8.0, 500000.0, -8.0, -6.0, 1000000.0), (10, 10)),
    ],
)
def test_any_orientation_has_a_size(transform: Affine, expected: tuple[float, float]) -> None:
    assert sizes(Georeference(UTM, transform)) == pytest.approx(expected, rel=5e-4)  # UTM's scale there: 0.9996


@pytest.mark.parametrize(
    "georeference",
    [
        at(crs=None),
        Georeference(UTM, Affine.identity()),
        Georeference(None, Affine.identity()),
        at(crs=LOCAL_CRS),
        at(crs="EPSG:4978"),  # geocentric
        at(x=1e12),
        at(x=0.0, y=2000.0, crs="EPSG:4326"),
    ],
)
def test_pixels_without_a_place_on_earth_have_neither_size_nor_area(georeference: Georeference) -> None:
    assert ground_size(georeference, 4, 4) is None
    assert pixel_size_note(georeference, 4, 4, [10.0]) is None
    with pytest.raises(PipelineError, match="area of a pixel is unknown, .*gdal_edit.py -a_srs .* or omit --mmu"):
        min_pixels(1.0, georeference, 100, 100)


@pytest.mark.parametrize("trained", [[10.0], [8.4], [11.9], [2.0, 20.0], [0.5, 9.0], []])
def test_similar_pixels_need_no_note(trained: list[float]) -> None:
    assert pixel_size_note(at(), 4, 4, trained) is None


@pytest.mark.parametrize("trained", [[8.0], [12.5], [0.5, 0.25], [12.5, 60.0]])
def test_other_pixels_are_noted_with_both_figures(trained: list[float]) -> None:
    listed = ", ".join(f"{size:g}" for size in sorted(trained))
    assert pixel_size_note(at(), 4, 4, trained) == (
        f"a pixel is 10 x 10 m on the ground; the model was trained at {listed} (units of its CRS, taken as metres): "
        "at other sizes its accuracy is unknown; --resample maps at the pixel size of the training"
    )


def test_one_side_that_differs_is_enough() -> None:
    note = pixel_size_note(degrees(10.0, 60.0, 0.0001), 4, 4, [10.0])
    assert note is not None
    assert note.startswith("a pixel is 5.58 x 11.1 m on the ground; the model was trained at 10 (")


def test_sizes_in_degrees_cannot_be_compared() -> None:
    note = pixel_size_note(at(), 4, 4, [8.98e-05])
    assert note == (
        "a pixel is 10 x 10 m on the ground; the model was trained at 8.98e-05, which can only be degrees: not compared"
    )
    with pytest.raises(PipelineError, match=r"trained at a pixel size of 8.98e-05, which can only be degrees"):
        training_size([8.98e-05], GroundSize(10, 10))


def test_the_closest_size_by_ratio_is_taken() -> None:
    assert training_size([0.25, 0.5], GroundSize(0.1, 0.1)) == 0.25
    assert training_size([0.25, 0.5], GroundSize(0.36, 0.36)) == 0.5
    assert training_size([1.0, 10.0], GroundSize(2, 8)) == 10.0  # geometric mean: 4
    with pytest.raises(PipelineError, match="does not contain the pixel size it was trained at"):
        training_size([], GroundSize(10, 10))


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
        (at(x=0.0, y=0.0, pixel=1e-4, crs="EPSG:4979"), (1e-4 * 111_319.49) * (1e-4 * 110_574.3)),
        (at(x=179.99995, y=0.0, pixel=1e-4, crs="EPSG:4326"), (1e-4 * 111_319.49) * (1e-4 * 110_574.3)),
        (Georeference("EPSG:3035", Affine(6.0, 8.0, 4_321_000.0, 8.0, -6.0, 3_210_000.0)), 100.0),  # rotated
        (Georeference("EPSG:3035", Affine(10.0, 0.0, 4_321_000.0, 0.0, 10.0, 3_210_000.0)), 100.0),  # south-up
    ],
)
def test_area_of_a_pixel_on_the_ground(georeference: Georeference, area: float) -> None:
    assert pixel_area(georeference, height=1, width=1) == pytest.approx(area, rel=2e-5 if area > 0.1 else 1e-4)


def test_the_area_is_that_of_the_central_pixel() -> None:
    lower = at(x=0.0, y=-500.0 * 10_000, pixel=10_000.0, crs="EPSG:3857")
    assert pixel_area(at(x=0.0, y=0.0, pixel=10_000.0, crs="EPSG:3857"), 1001, 1) == pixel_area(lower, 1, 1)


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
    area = (pixel_area(georeference, 100, 100) or 0) / 10_000
    assert [min_pixels(n * area, georeference, 100, 100) for n in range(1, 100)] == list(range(1, 100))
