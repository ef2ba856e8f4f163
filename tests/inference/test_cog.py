"""A map's GeoTIFFs are cloud-optimised, with every pixel, colour and position, and the same bytes in every run."""

import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.crs import CRS
from rasterio.enums import ColorInterp
from rasterio.errors import NotGeoreferencedWarning
from rasterio.transform import Affine
from rio_cogeo import cog_validate

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import ClassTable, LandCoverClass
from pipeline.inference import cog
from pipeline.inference.cog import Band, Raster, describe_layers, write_cog
from pipeline.raster.georeference import Georeference
from pipeline.raster.geotiff import open_geotiff
from tests.inference.world import layer_of
from tests.maps import TABLE
from tests.world import CRS_NO_CODE, LOCAL_CRS, UTM, at

NORTH_UP = at()


def write(folder: Path, rows_CHW: np.ndarray, raster: Raster) -> Path:
    write_cog(folder / "map.tif", layer_of(folder / "work/layer.bin", rows_CHW), raster)
    return folder / "map.tif"


def classes(georeference: Georeference = NORTH_UP) -> Raster:
    return describe_layers(georeference, TABLE, TABLE, {"MODEL": "a < b & c"})["classes"]


def per_cent(bands: int = 1) -> Raster:
    return Raster(NORTH_UP, tuple(Band(f"p{number}", unit="percent") for number in range(bands)))


def problems(path: Path) -> list[str]:
    """What rio-cogeo finds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        _, errors, others = cog_validate(path, strict=True, quiet=True)
    return [*errors, *others]


def ids(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).choice(np.array([10, 30, 70, 255], np.uint8), (1, height, width))


# 700 x 1 px is left out: rio-cogeo computes the factor of an overview from the widths alone, and here finds 1
@pytest.mark.parametrize("size", [(1, 1), (1, 700), (300, 1), (33, 40), (512, 512), (513, 1500)])
def test_maps_are_cloud_optimised_and_hold_the_pixels(tmp_path: Path, size: tuple[int, int]) -> None:
    path = write(tmp_path, ids(*size), classes())
    assert problems(path) == []
    with rasterio.open(path) as dataset:
        assert (dataset.read() == ids(*size)).all()
        assert (dataset.nodata, dataset.dtypes) == (255, ("uint8",))


@pytest.mark.parametrize("bands", [1, 3, 5])
def test_layers_of_several_bands_are_cloud_optimised(tmp_path: Path, bands: int) -> None:
    rows_CHW = np.random.default_rng(0).integers(0, 101, (bands, 600, 700), np.uint8)
    path = write(tmp_path, rows_CHW, per_cent(bands))
    assert problems(path) == []
    with rasterio.open(path) as dataset:
        assert (dataset.read() == rows_CHW).all()
        assert dataset.descriptions == tuple(f"p{number}" for number in range(bands))
        assert set(dataset.units) == {"percent"}
        assert set(dataset.nodatavals) == {255}
        assert dataset.colorinterp[0] == ColorInterp.gray


def test_colours_and_names_are_in_the_file(tmp_path: Path) -> None:
    with rasterio.open(write(tmp_path, ids(20, 30), classes())) as dataset:
        colours = dataset.colormap(1)
        assert {key: colours[key] for key in TABLE.ids} == {entry.id: (*entry.colour, 255) for entry in TABLE.classes}
        assert colours[255] == (255, 255, 255, 0)
        assert dataset.tags(1) == {"CLASS_10": "field", "CLASS_30": "water", "CLASS_70": "forest & scrub"}
        assert dataset.tags()["MODEL"] == "a < b & c"
        assert dataset.descriptions == ("class",)
        assert dataset.colorinterp == (ColorInterp.palette,)


def test_bands_are_named_after_the_model_s_classes() -> None:
    map_table = ClassTable(classes=(*TABLE.classes, LandCoverClass(id=254, name="undecided", colour=(128, 128, 128))))
    found = describe_layers(at(), map_table, TABLE, {"MODEL": "m"})
    assert found["classes"].table == map_table
    assert found["classes"].bands[0].tags["CLASS_254"] == "undecided"
    assert [band.name for band in found["probabilities"].bands] == ["field", "water", "forest & scrub"]
    assert [band.tags for band in found["probabilities"].bands] == [{"CLASS": "10"}, {"CLASS": "30"}, {"CLASS": "70"}]
    assert [raster.table for name, raster in found.items() if name != "classes"] == [None, None]
    assert {raster.tags["MODEL"] for raster in found.values()} == {"m"}


GEOREFERENCES = {
    "north-up": NORTH_UP,
    "south-up": Georeference(UTM, Affine(10, 0, 500000, 0, 10, 1000000)),
    "mirrored": Georeference(UTM, Affine(-10, 0, 500000, 0, -10, 1000000)),
    "rotated": Georeference(UTM, Affine.translation(500000, 1000000) @ Affine.rotation(30) @ Affine.scale(10, -10)),
    "degrees": Georeference("EPSG:4326", Affine(1 / 3600, 0, 12 + 1 / 3, 0, -1 / 3600, 50)),
    "no code": at(crs=CRS_NO_CODE),
    "local": at(crs=LOCAL_CRS),
    "no CRS": at(crs=None),
    "nothing": Georeference(None, Affine.identity()),
}


@pytest.mark.parametrize("name", GEOREFERENCES)
def test_the_georeference_is_that_of_the_scene(tmp_path: Path, name: str) -> None:
    georeference = GEOREFERENCES[name]
    path = write(tmp_path, ids(600, 700), classes(georeference))
    assert problems(path) == []
    with open_geotiff(path) as file:
        assert file.georeference.transform == georeference.transform
        found = file.georeference.crs
    assert (found is None) == (georeference.crs is None)
    if found is not None:
        assert CRS.from_user_input(found) == CRS.from_user_input(georeference.crs)


def overview(path: Path) -> np.ndarray:
    """The first overview."""
    with rasterio.open(path) as dataset:
        assert dataset.overviews(1) == [2]
    with rasterio.open(path, overview_level=0) as dataset:
        return np.asarray(dataset.read())


def squares(*quads: list[list[int]]) -> np.ndarray:
    """A row of squares of 2 x 2 px, repeated to a raster that has an overview: 1 x 2 x 600."""
    row_HW = np.hstack([np.array(quad, np.uint8) for quad in quads])
    return np.tile(row_HW, (300, 600 // row_HW.shape[1]))[None]


def test_overviews_take_the_most_frequent_class(tmp_path: Path) -> None:
    # three of four pixels; two of four, the others being different; nodata only where there is nothing else
    rows_CHW = squares(
        [[10, 70], [70, 70]],
        [[10, 30], [70, 30]],
        [[255, 255], [255, 10]],
        [[255, 255], [255, 255]],
        [[30, 30], [30, 30]],
    )
    found = overview(write(tmp_path, rows_CHW, classes()))
    assert found[0, :, :5].tolist() == [[70, 30, 10, 255, 30]] * 300
    assert set(np.unique(found)) == {10, 30, 70, 255}


def test_overviews_of_per_cent_are_means_of_valid_pixels(tmp_path: Path) -> None:
    rows_CHW = squares(
        [[10, 20], [30, 40]],
        [[10, 255], [255, 20]],
        [[100, 255], [255, 255]],
        [[255, 255], [255, 255]],
        [[0, 0], [0, 0]],
    )
    found = overview(write(tmp_path, rows_CHW, per_cent()))
    assert found[0, :, :5].tolist() == [[25, 15, 100, 255, 0]] * 300


def test_every_run_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    rows_CHW = ids(600, 1100)
    first = write(tmp_path / "a", rows_CHW, classes()).read_bytes()
    assert write(tmp_path / "b", rows_CHW, classes()).read_bytes() == first
    for threads in ("1", "7"):
        monkeypatch.setitem(cog.OPTIONS, "NUM_THREADS", threads)
        assert write(tmp_path / threads, rows_CHW, classes()).read_bytes() == first


@pytest.mark.parametrize("name", ["map.tif", "missing/map.tif"])
def test_what_gdal_cannot_write_is_one_line(tmp_path: Path, name: str) -> None:
    (tmp_path / "map.tif").mkdir()
    with pytest.raises(PipelineError, match=r"map\.tif cannot be written: ") as error:
        write_cog(tmp_path / name, layer_of(tmp_path / "work/layer.bin", ids(3, 4)), classes())
    assert "\n" not in str(error.value)
