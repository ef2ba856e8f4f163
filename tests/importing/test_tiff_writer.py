"""GeoTIFFs that the import writes appear whole or not at all, with equal bytes for equal pixels."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from rasterio.transform import Affine

from pipeline.core.errors import PipelineError
from pipeline.importing.tiff_writer import TILE, tiff_writer
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff
from tests.small_disk import NAMESPACE, can_mount
from tests.world import UTM, at

NOWHERE = Georeference(None, Affine.identity())
BANDS_CHW = np.random.default_rng(1).integers(0, 2**16, (2, 600, 300), np.uint16)


def write(target: Path, georeference: Georeference = NOWHERE, **options: Any) -> None:
    count, height, width = BANDS_CHW.shape
    profile = {"count": count, "height": height, "width": width, "dtype": "uint16"} | options
    with tiff_writer(target, georeference, **profile) as writer:
        for row in range(0, height, TILE):
            writer.write(row, BANDS_CHW[:, row : row + TILE])
            writer.write_mask(row, BANDS_CHW[0, row : row + TILE] > 999)


@pytest.mark.parametrize("georeference", [NOWHERE, at(), at(crs=None), Georeference(UTM, Affine.identity())])
def test_pixels_mask_and_position_are_written(tmp_path: Path, georeference: Georeference) -> None:
    write(tmp_path / "new/a.tif", georeference)
    with open_geotiff(tmp_path / "new/a.tif") as file:
        np.testing.assert_array_equal(file.read(), BANDS_CHW)
        np.testing.assert_array_equal(file.internal_mask(), BANDS_CHW[0] > 999)
        assert file.georeference == georeference
        assert file.block_shape == (TILE, TILE)
    assert [path.name for path in (tmp_path / "new").iterdir()] == ["a.tif"]  # the mask is in it


def test_equal_pixels_give_equal_bytes(tmp_path: Path) -> None:
    write(tmp_path / "a.tif", at())
    write(tmp_path / "b.tif", at())
    assert (tmp_path / "a.tif").read_bytes() == (tmp_path / "b.tif").read_bytes()


def test_missing_rows_are_an_error(tmp_path: Path) -> None:
    profile = {"count": 1, "height": 600, "width": 9, "dtype": "uint8", "sparse_ok": True}
    with (
        pytest.raises(PipelineError, match=r"a.tif cannot be written: blocks are missing"),
        tiff_writer(tmp_path / "a.tif", NOWHERE, **profile) as writer,
    ):
        writer.write(0, np.ones((1, 256, 9), np.uint8))
    assert list(tmp_path.iterdir()) == []


def test_what_gdal_cannot_write_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"a.tif cannot be written: "):
        write(tmp_path / "a.tif", nodata=70000)


@pytest.mark.skipif(not can_mount(), reason="small disks cannot be mounted here")
def test_a_full_disk_is_an_oserror_and_leaves_nothing(tmp_path: Path) -> None:
    code = (
        "import errno, os, pathlib, tests.importing.test_tiff_writer as t\n"
        "try: t.write(pathlib.Path('disk/a.tif'))\n"
        "except OSError as error: print(error.errno == errno.ENOSPC, os.listdir('disk'))"
    )
    (tmp_path / "disk").mkdir()
    mount = 'mount -t tmpfs -o size=300k tmpfs disk && exec "$0" -c "$1"'
    run = subprocess.run(
        [*NAMESPACE, "sh", "-c", mount, sys.executable, code],
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
    )
    assert run.stdout == "True []\n", run.stderr
