"""A tile index has the pixels that GDAL's own driver reads, and opens nothing but the GeoTIFFs it lists."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.raster.geotiff import open_geotiff, write_geotiff
from pipeline.scenes.tile_index import open_tile_index
from tests.raster.world import refuse
from tests.scenes.mosaics import OPTIONS, read_all, read_with_gdal
from tests.world import at

DRIVERS = {".gpkg": "GPKG", ".fgb": "FlatGeobuf", ".shp": "ESRI Shapefile", ".geojson": "GeoJSON"}


def can_read(path: Path) -> bool:
    """Return whether GDAL's raster library here has the drivers for an index."""
    with rasterio.Env() as environment:
        return "GTI" in environment.drivers() and (path.suffix != ".fgb" or "FlatGeobuf" in environment.drivers())


def write_index(path: Path, names: list[str], metadata: dict[str, str] | None = None, **fields: Any) -> Path:
    """Write an index as `gdaltindex` does, of files relative to its folder."""
    boxes = []
    for name in names:
        with open_geotiff(path.parent / name) as file:
            (west, north), (east, south) = (file.georeference.corner(*at) for at in ((0, 0), (file.height, file.width)))
            boxes.append(shapely.box(west, south, east, north))
    field = fields.pop("field", "location")
    columns = {field: np.array(names, object)} | {key: np.array(values) for key, values in fields.items()}
    pyogrio.raw.write(
        path,
        shapely.to_wkb(np.array(boxes)),
        list(columns.values()),
        list(columns),
        geometry_type="Polygon",
        crs="EPSG:32630",
        driver=DRIVERS[path.suffix],
        layer_metadata=metadata,
        layer="index",
    )
    return path


def write_tiles(folder: Path, *columns: int) -> list[str]:
    """Files of 4 x 4 px, of 10, 20, … with holes as no-data, at these columns."""
    for index, column in enumerate(columns):
        values_CHW = np.full((3, 4, 4), 10 * (index + 1), np.uint8)
        values_CHW[:, index % 4, 1:3] = 0
        write_geotiff(folder / f"{index}.tif", values_CHW, at(x=500000 + 10 * column), nodata=0)
    return [f"{index}.tif" for index in range(len(columns))]


def write_gti(path: Path, index: Path | str, body: str = "") -> Path:
    path.write_text(f"<GDALTileIndexDataset><IndexDataset>{index}</IndexDataset>{body}</GDALTileIndexDataset>")
    return path


def require_equal_to_gti(path: Path) -> np.ndarray:
    """Compare with GDAL's GTI driver; return red."""
    with open_tile_index(path, OPTIONS) as scene:
        image_HWC, valid_HW = read_all(scene)
        transform = scene.georeference.transform
        assert scene.georeference.crs == "EPSG:32630"
    if can_read(path):
        gdal_HWC, gdal_valid_HW = read_with_gdal(path)
        np.testing.assert_array_equal(image_HWC, gdal_HWC)
        np.testing.assert_array_equal(valid_HW, gdal_valid_HW)
        with rasterio.open(path) as dataset:
            assert dataset.transform == transform
    return image_HWC[..., 0]


@pytest.mark.parametrize("suffix", [".gti.gpkg", ".gti.fgb"])
def test_the_order_is_that_of_the_index(tmp_path: Path, suffix: str) -> None:
    red_HW = require_equal_to_gti(write_index(tmp_path / f"i{suffix}", write_tiles(tmp_path, 0, 2, 5)))
    assert red_HW.shape == (4, 9)
    if suffix == ".gti.gpkg":  # FlatGeobuf orders features by place
        assert red_HW[3].tolist() == [10, 10, 20, 20, 20, 30, 30, 30, 30]


@pytest.mark.parametrize(
    ("values", "top"),
    [([3, 1, 2], 10), (["b", "c", "a"], 20), ([0.5, 0.25, 2.5], 30), (["2024-01-02", "2024-03-01", "2023-05-05"], 20)],
)
@pytest.mark.parametrize("is_ascending", [True, False])
def test_sort_field(tmp_path: Path, values: list[Any], top: int, is_ascending: bool) -> None:
    names = write_tiles(tmp_path, 0, 0, 0)
    column = np.array(values, "datetime64[D]" if "2024-01-02" in values else None)
    if column.dtype.kind == "U":
        column = column.astype(object)
    index = write_index(tmp_path / "i.gpkg", names, date=column)
    body = f"<SortField>date</SortField><SortFieldAsc>{str(is_ascending).lower()}</SortFieldAsc>"
    red_HW = require_equal_to_gti(write_gti(tmp_path / "i.gti", index, body))
    lowest = 10 * (1 + int(np.argmin(column)))
    assert red_HW[3, 0] == (top if is_ascending else lowest)


def test_stated_extent_and_size(tmp_path: Path) -> None:
    names = write_tiles(tmp_path, 0, 2, 40)
    index = write_index(tmp_path / "i.gpkg", names)
    extent = "<MinX>499980</MinX><MinY>999970</MinY><MaxX>500050</MaxX><MaxY>1000010</MaxY>"
    for body in (
        f"<ResX>10</ResX><ResY>10</ResY>{extent}",
        "<GeoTransform>499980,10,0,1000010,0,-10</GeoTransform><XSize>7</XSize><YSize>4</YSize>",
    ):
        red_HW = require_equal_to_gti(write_gti(tmp_path / "i.gti", index, body))
        assert red_HW[3].tolist() == [0, 0, 10, 10, 20, 20, 20]


@settings(max_examples=25)
@given(
    places=st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=6),
    ranks=st.lists(st.integers(0, 2), min_size=6, max_size=6),
    is_ascending=st.booleans(),
)
def test_any_tiles_equal_gti(
    tmp_path_factory: pytest.TempPathFactory, places: list[tuple[int, int]], ranks: list[int], is_ascending: bool
) -> None:
    folder = tmp_path_factory.mktemp("tiles")
    for number, (row, column) in enumerate(places):
        random = np.random.default_rng(number)
        values_CHW = random.integers(1, 256, (3, 5, 4)).astype(np.uint8) * (random.random((5, 4)) > 0.3)
        write_geotiff(folder / f"{number}.tif", values_CHW, at(500000 + 10 * column, 1000000 - 10 * row), nodata=0)
    metadata = {"SORT_FIELD": "rank", "SORT_FIELD_ASC": "YES" if is_ascending else "NO"}
    names = [f"{number}.tif" for number in range(len(places))]
    require_equal_to_gti(write_index(folder / "i.gti.gpkg", names, metadata, rank=ranks[: len(places)]))


@pytest.mark.parametrize("suffix", [".gpkg", ".shp", ".geojson"])
def test_gdaltindex(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str) -> None:
    if shutil.which("gdaltindex") is None:
        pytest.skip("no gdaltindex on this machine")
    (tmp_path / "tiles").mkdir()
    (tmp_path / "indexes").mkdir()
    names = [f"tiles/{name}" for name in write_tiles(tmp_path / "tiles", 0, 2)]
    index = tmp_path / "indexes" / f"i{suffix}"
    command = ["gdaltindex", "-f", DRIVERS[suffix], str(index), *names]
    subprocess.run(command, cwd=tmp_path, check=True, stdout=subprocess.DEVNULL)
    refuse(f"lists tiles/0.tif, which is neither in its folder nor in {Path.cwd()}", open_tile_index, index, OPTIONS)
    monkeypatch.chdir(tmp_path)
    with open_tile_index(index, OPTIONS) as scene:
        assert read_all(scene)[0][3, :, 0].tolist() == [10, 10, 20, 20, 20, 20]


def test_another_location_field(tmp_path: Path) -> None:
    index = write_index(tmp_path / "i.gpkg", write_tiles(tmp_path, 0), field="path")
    with open_tile_index(write_gti(tmp_path / "i.gti", index, "<LocationField>path</LocationField>"), OPTIONS) as scene:
        assert scene.width == 4
    refuse("has the fields path, not location", open_tile_index, index, OPTIONS)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("<Filter>1=1</Filter>", "has Filter, which is not supported"),
        ("<SQL>select 1</SQL>", "has SQL, which is not supported"),
        ('<Band band="1"><Scale>2</Scale></Band>', "has Scale, which is not supported"),
        ("<ResX>5</ResX><ResY>5</ResY>", "has pixels of 5 x 5, its files of 10"),
        ("<SortField>when</SortField>", "has the fields location, not when"),
        ("<IndexLayer>other</IndexLayer>", "i.gpkg is not a readable tile index: Layer 'other' could not be opened"),
        ("<ResX>x</ResX>", "'x' is not a number"),
        (
            "<ResX>1e-9</ResX><ResY>1</ResY><MinX>0</MinX><MinY>0</MinY><MaxX>9</MaxX><MaxY>9</MaxY>",
            "states an invalid",
        ),
        (
            "<GeoTransform>500003,10,0,1000000,0,-10</GeoTransform><XSize>7</XSize><YSize>4</YSize>",
            "0.tif and .*i.gti have pixels that are 0.3 px apart",
        ),
        (
            "<SRS>EPSG:32631</SRS><GeoTransform>500000,10,0,1000000,0,-10</GeoTransform><XSize>7</XSize><YSize>4</YSize>",
            "differ in CRS: EPSG:32630 and EPSG:32631",
        ),
    ],
)
def test_refused(tmp_path: Path, body: str, message: str) -> None:
    index = write_index(tmp_path / "i.gpkg", write_tiles(tmp_path, 0, 2))
    path = write_gti(tmp_path / "i.gti", index, body)
    refuse(message, open_tile_index, path, OPTIONS)


def test_a_sort_field_without_a_value_is_refused(tmp_path: Path) -> None:
    index = write_index(tmp_path / "i.gpkg", write_tiles(tmp_path, 0, 2), rank=[1.0, np.nan])
    path = write_gti(tmp_path / "i.gti", index, "<SortField>rank</SortField>")
    refuse("without a value in its sort field", open_tile_index, path, OPTIONS)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("/vsicurl/http://127.0.0.1:9/of-an-index.tif", "http://127.0.0.1:9/of-an-index.tif cannot be reached"),
        ("/vsizip/a.zip/b.tif", "i.gpkg lists '/vsizip/a.zip/b.tif', which is not the name of a GeoTIFF"),
    ],
)
def test_remote_files_are_fetched_and_archives_are_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, message: str
) -> None:
    monkeypatch.setenv("GDAL_HTTP_MAX_RETRY", "0")
    listed = np.array([name], object)
    index = write_index(tmp_path / "i.gpkg", write_tiles(tmp_path, 0), field="local", location=listed)
    refuse(message, open_tile_index, index, OPTIONS)


@pytest.mark.parametrize("wrapper", ["{}", '{{"name": "{}"}}'], ids=["plain", "within JSON"])
@pytest.mark.parametrize("suffix", DRIVERS)
def test_only_the_named_driver_opens_an_index(tmp_path: Path, suffix: str, wrapper: str) -> None:
    secret = write_index(tmp_path / "secret.gpkg", write_tiles(tmp_path, 0))
    path = tmp_path / f"i{suffix}"
    vrt = f"<OGRVRTDataSource><OGRVRTLayer name='index'><SrcDataSource>{secret}</SrcDataSource></OGRVRTLayer>"
    path.write_text(wrapper.format(f"{vrt}</OGRVRTDataSource>"))
    message = f"{re.escape(str(path))} is not ({DRIVERS[suffix]}, despite its suffix|a readable tile index)"
    refuse(message, open_tile_index, path, OPTIONS)


@pytest.mark.parametrize(
    ("index", "message"),
    [
        ("PG:dbname=a", "the tile index .*PG:dbname=a is not one of .gpkg, .fgb, .shp, .geojson, .json"),
        ("missing.gpkg", "missing.gpkg does not exist"),
        ("", "is not one of"),
    ],
)
def test_gti_of_another_kind_of_index(tmp_path: Path, index: str, message: str) -> None:
    path = write_gti(tmp_path / "i.gti", index)
    refuse(message, open_tile_index, path, OPTIONS)


@pytest.mark.parametrize("suffix", DRIVERS)
def test_damaged_index(tmp_path: Path, suffix: str) -> None:
    path = write_index(tmp_path / f"i{suffix}", write_tiles(tmp_path, 0))
    path.write_bytes(path.read_bytes()[:40])
    refuse(re.escape(str(path)), open_tile_index, path, OPTIONS)
