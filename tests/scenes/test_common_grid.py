"""Files of a mosaic lie on one grid to a hundredth of a pixel; else the command that brings them there works."""

import re
import shlex
import shutil
import subprocess
from contextlib import nullcontext
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.raster.grids import Grid
from pipeline.scenes.common_grid import GriddedFile, place_files, read_grid
from pipeline.scenes.geotiff_scene import open_scene
from tests.scenes.mosaics import OPTIONS
from tests.world import CRS_NO_CODE, LOCAL_CRS, at, gradient


def file(name: str, georeference: Georeference, height: int = 4, width: int = 5) -> GriddedFile:
    return GriddedFile(nullcontext, Grid(name, height, width, georeference))  # type: ignore[arg-type]


OFFSETS = st.lists(st.tuples(st.integers(-99, 99), st.integers(-99, 99)), min_size=1, max_size=5)


@given(
    offsets=OFFSETS,
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    pixel=st.sampled_from([10, 0.5, 0.25, 0.1, 1 / 3, 8.983e-5]),
    angle=st.sampled_from([0.0, 30.0]),
    flip=st.sampled_from([1, -1]),
)
def test_each_file_keeps_its_position(
    offsets: list[tuple[int, int]], size: tuple[int, int], pixel: float, angle: float, flip: int
) -> None:
    base = Affine.translation(500000.3, 4000000.7) @ Affine.rotation(angle) @ Affine.scale(pixel, flip * pixel)
    files = [
        file(str(index), Georeference("EPSG:32630", base @ Affine.translation(column, row)), *size)
        for index, (row, column) in enumerate(offsets)
    ]
    grid, placed = place_files(files)
    rows, columns = zip(*offsets, strict=True)
    assert grid.height == max(rows) - min(rows) + size[0]
    assert grid.width == max(columns) - min(columns) + size[1]
    assert [(item.placement.row, item.placement.column) for item in placed] == [
        (row - min(rows), column - min(columns)) for row, column in offsets
    ]
    assert grid.georeference.transform.almost_equals(base @ Affine.translation(min(columns), min(rows)), pixel / 1000)


def test_a_hundredth_of_a_pixel_is_allowed() -> None:
    _, placed = place_files([file("a", at()), file("b", at(x=500040.09))])
    assert placed[1].placement.column == 4


def test_files_outside_the_stated_grid_are_left_out() -> None:
    files = [file("in", at(x=500000 + 10 * 8)), file("left", at(x=500000 - 10 * 5)), file("below", at(y=1000000 - 100))]
    grid, placed = place_files(files, Grid("index", 10, 10, at()))
    assert [(item.placement.row, item.placement.column) for item in placed] == [(0, 8)]
    assert grid == Grid("index", 10, 10, at())


@pytest.mark.parametrize(
    ("other", "message"),
    [
        (at(crs="EPSG:32631"), "b and a differ in CRS: EPSG:32631 and EPSG:32630"),
        (
            at(crs=None),
            "b and a differ in CRS: none and EPSG:32630; .* after setting the right CRS: gdal_edit.py -a_srs",
        ),
        (at(crs=LOCAL_CRS), "b and a differ in CRS: site grid and EPSG:32630; .* after setting the right CRS"),
        (at(pixel=20), "b and a differ in pixels: 20 x -20 and 10 x -10"),
        (Georeference("EPSG:32630", Affine(10, 0, 5e5, 0, 10, 1e6)), "differ in pixels: 10 x 10 and 10 x -10"),
        (at(x=500004), "b and a have pixels that are 0.4 px apart; at most 0.01 px is allowed"),
    ],
)
def test_refused(other: Georeference, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        place_files([file("a", at()), file("b", other)])


def test_the_same_crs_in_other_words() -> None:
    wkt = Georeference(CRS_NO_CODE, at().transform)
    padded = Georeference(CRS_NO_CODE.replace(",", ", "), at().transform)
    assert len(place_files([file("a", wkt), file("b", padded)])[1]) == 2


@pytest.mark.parametrize("other", [at(x=500004, pixel=10), at(x=500004, pixel=7), at(x=-160000, crs="EPSG:32631")])
def test_the_advice_works(tmp_path: Path, other: Georeference) -> None:
    if shutil.which("gdalwarp") is None:
        pytest.skip("no gdalwarp on this machine")
    write_geotiff(tmp_path / "a.tif", gradient(9, 9), at())
    write_geotiff(tmp_path / "b c.tif", gradient(20, 30), other)

    def place(*names: str) -> None:
        place_files([read_grid(partial(open_scene, str(tmp_path / name), OPTIONS)) for name in names])

    with pytest.raises(PipelineError) as caught:
        place("a.tif", "b c.tif")
    command = shlex.split(str(caught.value).rpartition(": ")[2])
    subprocess.run([*command, "-q"], cwd=tmp_path, check=True)
    place("a.tif", "aligned.tif")
    with open_geotiff(tmp_path / "aligned.tif") as aligned:
        assert aligned.read().any()


def test_a_file_without_a_position_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.tif"
    write_geotiff(path, np.ones((3, 2, 2), np.uint8))
    message = f"{re.escape(str(path))} has no georeference.*gdal_edit.py -a_srs CRS -a_ullr WEST NORTH EAST SOUTH"
    with pytest.raises(PipelineError, match=message):
        read_grid(partial(open_scene, str(path), OPTIONS))
