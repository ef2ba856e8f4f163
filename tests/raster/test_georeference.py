"""A chip's position and pixel size are right or unknown, never wrong."""

from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint
from rasterio.transform import Affine

from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from tests.raster.world import refuse
from tests.world import UTM, at, gradient


@pytest.mark.parametrize(
    ("transform", "size"),
    [
        ((0.25, 0.0, 5.0, 0.0, -0.25, 7.0), 0.25),
        ((0.25, 1e-9, 5.0, 1e-9, -0.25000001, 7.0), 0.25),  # rounding by tools
        ((0.25, 0.0, 5.0, 0.0, -0.5, 7.0), None),
        ((0.25, 0.0, 5.0, 0.0, 0.25, 7.0), None),
        ((-0.25, 0.0, 5.0, 0.0, -0.25, 7.0), None),
        ((0.3, 0.4, 5.0, 0.4, -0.3, 7.0), None),
        ((0.0, 0.25, 5.0, 0.25, 0.0, 7.0), None),
    ],
)
def test_only_upright_square_pixels_have_a_size(transform: tuple[float, ...], size: float | None) -> None:
    position = Georeference(UTM, Affine(*transform)).locate()
    assert position == {"x": 5.0, "y": 7.0, "crs": UTM, "pixel_size": size}


def test_without_crs_or_transform_the_position_is_unknown(tmp_path: Path) -> None:
    write_geotiff(tmp_path / "a.tif", gradient(2, 2))
    with open_geotiff(tmp_path / "a.tif") as file:
        assert not file.georeference.is_known
        assert file.georeference.locate() == {}
    assert at(crs=None).locate() == {}


def test_ground_control_points_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    points = [GroundControlPoint(row, column, 10.0 * column, -10.0 * row) for row, column in ((0, 0), (0, 4), (4, 0))]
    with rasterio.open(
        path, "w", driver="GTiff", width=4, height=4, count=1, dtype="uint8", gcps=points, crs=UTM
    ) as out:
        out.write(np.ones((1, 4, 4), np.uint8))
    refuse("by ground control points, .*: gdalwarp", open_geotiff, path)


NAN, INF = float("nan"), float("inf")


@pytest.mark.parametrize(
    "transform",
    [
        (0.0, 0.0, 5.0, 0.0, 0.0, 7.0),
        (1.0, 1.0, 5.0, 1.0, 1.0, 7.0),
        (10.0, 0.0, 5.0, 0.0, 0.0, 7.0),
        (NAN, 0.0, 5.0, 0.0, -1.0, 7.0),
        (1.0, 0.0, INF, 0.0, -1.0, 7.0),
        (1e308, 0.0, 5.0, 0.0, -1.0, 7.0),
    ],
)
def test_an_invalid_transform_is_refused(tmp_path: Path, transform: tuple[float, ...]) -> None:
    write_geotiff(tmp_path / "a.tif", np.ones((1, 4, 4), np.uint8), Georeference(UTM, Affine(*transform)))
    refuse(r"a.tif has an invalid geotransform, \[.*: set it with", open_geotiff, tmp_path / "a.tif")
