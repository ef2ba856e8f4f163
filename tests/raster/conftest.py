"""A GeoTIFF for the tests of this folder."""

from pathlib import Path

import pytest

from pipeline.raster.geotiff import write_geotiff
from tests.world import at, gradient


@pytest.fixture
def tiff(tmp_path: Path) -> Path:
    """Three bands of 40 rows and 60 columns."""
    path = tmp_path / "scene.tif"
    write_geotiff(path, gradient(40, 60), at())
    return path
