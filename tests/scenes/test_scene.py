"""What is said about a scene without a position, rotated or turned."""

import pytest
from rasterio.transform import Affine

from pipeline.raster.georeference import Georeference
from pipeline.scenes.scene import grid_notes
from tests.world import at


@pytest.mark.parametrize(
    ("georeference", "notes"),
    [
        (at(), []),
        (at(crs=None), ["s has no CRS, and so its map has none"]),
        (Georeference(None, Affine.identity()), ["s has no georeference, and so its map has none"]),
        (Georeference("EPSG:32630", Affine(10, 0, 0, 0, 10, 0)), ["s is south-up, and so is its map"]),
        (Georeference("EPSG:32630", Affine(-10, 0, 0, 0, -10, 0)), ["s is mirrored, and so is its map"]),
        (Georeference("EPSG:32630", Affine(-10, 0, 0, 0, 10, 0)), ["s is rotated by 180°, and so is its map"]),
        (Georeference("EPSG:32630", Affine(8, 6, 0, 6, -8, 0)), ["s is rotated against its CRS, and so is its map"]),
    ],
)
def test_grid_notes(georeference: Georeference, notes: list[str]) -> None:
    assert grid_notes("s", georeference) == notes
