"""The GeoPackage of a map: columns, index, style, full disks, patches in one piece, and what QGIS makes of it."""

import json
import sqlite3
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pyogrio
import pytest
import rasterio
import shapely
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from rasterio.features import rasterize

from pipeline.core.errors import PipelineError
from pipeline.polygons.geopackage import Features, LayerInfo, dissolve, require_writable, write_geopackage
from pipeline.polygons.rings import trace
from tests.polygons.label_maps import label
from tests.polygons.world import TABLE
from tests.qgis_python import run_qgis
from tests.small_disk import NAMESPACE, can_mount

ROOT = Path(__file__).parents[2]
NAMES = dict(zip(TABLE.ids, TABLE.names, strict=True))
CUSTOM_CRS = rasterio.CRS.from_string("+proj=tmerc +lat_0=0 +lon_0=19 +k=0.9993 +x_0=500000 +y_0=-5300000").to_wkt()
"""Of no code, as LandCover.ai's."""


def squares(ids: list[int], first: int = 0, known: bool = True) -> Features:
    """Squares of 10 m side by side, one for each class id."""
    number_N = np.arange(len(ids)) + first
    x_N = 500_000 + 10.0 * number_N
    value_N = np.full(len(ids), 100.0 if known else np.nan)
    return Features(
        shapely.box(x_N, 4_000_000, x_N + 10, 4_000_010),
        number_N + 1,
        np.array(ids, np.uint8),
        np.ones(len(ids), np.int64),
        value_N,
        value_N - number_N,
    )


def pieces(class_HW: np.ndarray, block: int) -> list[Features]:
    """The patches of a map, cut at the lines between blocks of rows."""
    patch_HW, chunks = label(class_HW), []
    for top in range(0, len(class_HW), block):
        rows = slice(top, top + block)
        label_HW = label(class_HW[rows])
        polygon_N = shapely.transform(trace(label_HW, top, 0).polygon_N, lambda xy: xy * [1, -1])
        label_N, first_N, pixels_N = np.unique(label_HW, return_index=True, return_counts=True)
        first_N, pixels_N = first_N[label_N > 0], pixels_N[label_N > 0]
        patch_N, class_N = patch_HW[rows].ravel()[first_N], class_HW[rows].ravel()[first_N]
        confidence_N = first_N.astype(float)  # another in each piece
        chunks.append(Features(polygon_N, patch_N, class_N, pixels_N, pixels_N * 2.5, confidence_N))
    return chunks


def read(path: Path) -> tuple[dict[str, Any], np.ndarray, dict[str, list[Any]]]:
    """Metadata, polygons, and the columns of the first layer, as GDAL reads them; None for NULL."""
    layer = str(pyogrio.list_layers(path)[0][0])
    meta, _, wkb_N, columns = pyogrio.raw.read(path, layer=layer)
    rows = {name: column.tolist() for name, column in zip(meta["fields"], columns, strict=True)}
    return meta, shapely.from_wkb(wkb_N), {k: [None if v != v else v for v in values] for k, values in rows.items()}


def query(path: Path, sql: str) -> list[Any]:
    with sqlite3.connect(path) as connection:
        rows = connection.execute(sql).fetchall()
    connection.close()
    return rows


def test_the_columns_of_all_chunks_are_read_back(tmp_path: Path) -> None:
    path, chunks = tmp_path / "map.gpkg", [squares([0, 3]), squares([]), squares([7], first=2)]
    assert write_geopackage(path, iter(chunks), LayerInfo("map", TABLE, "EPSG:32652")) == 3
    meta, polygon_N, rows = read(path)
    assert meta["crs"] == "EPSG:32652"
    assert meta["geometry_type"] == "Polygon"
    assert rows == {
        "patch": [1, 2, 3],
        "class_id": [0, 3, 7],
        "class": ["background", "snow/ice", "forêt"],
        "pixels": [1, 1, 1],
        "area_m2": [100.0, 100.0, 100.0],
        "confidence": [100.0, 99.0, 98.0],
    }
    assert shapely.equals(polygon_N, squares([0, 3, 7]).polygon_N).all()
    assert shapely.area(polygon_N).tolist() == [100.0] * 3


@pytest.mark.parametrize("chunks", [[], [squares([], known=False)], [squares([3], known=False)]])
def test_what_is_unknown_is_null_in_the_same_columns(tmp_path: Path, chunks: list[Features]) -> None:
    known, unknown = tmp_path / "known.gpkg", tmp_path / "unknown.gpkg"
    write_geopackage(known, [squares([3])], LayerInfo("map", TABLE, None))
    count = write_geopackage(unknown, chunks, LayerInfo("map", TABLE, None))
    (meta, *_), (own, polygon_N, rows) = read(known), read(unknown)
    assert own["fields"].tolist() == meta["fields"].tolist()
    assert [str(kind) for kind in own["dtypes"]] == [str(kind) for kind in meta["dtypes"]]
    assert len(polygon_N) == count
    assert rows["area_m2"] == rows["confidence"] == [None] * count


@pytest.mark.parametrize("crs", ["EPSG:4326", CUSTOM_CRS, None])
def test_any_crs_is_kept(tmp_path: Path, crs: str | None) -> None:
    write_geopackage(tmp_path / "map.gpkg", [squares([3])], LayerInfo("map", TABLE, crs))
    found = read(tmp_path / "map.gpkg")[0]["crs"]
    assert found == crs or rasterio.CRS.from_user_input(found) == rasterio.CRS.from_user_input(crs)


def test_the_spatial_index_is_complete(tmp_path: Path) -> None:
    path = tmp_path / "map.gpkg"
    write_geopackage(path, [squares([0] * 300), squares([3] * 300, first=300)], LayerInfo("map", TABLE, "EPSG:32652"))
    assert query(path, "PRAGMA integrity_check") == [("ok",)]
    assert query(path, "SELECT rtreecheck('rtree_map_geom')") == [("ok",)]
    boxes = query(path, "SELECT minx, maxx, miny, maxy FROM rtree_map_geom ORDER BY id")
    x_N = 500_000 + 10.0 * np.arange(600)
    expected = np.stack([x_N, x_N + 10, np.full(600, 4_000_000), np.full(600, 4_000_010)], axis=1)
    assert np.allclose(boxes, expected, rtol=1e-6, atol=0)  # 32-bit floats
    inside = (500_001.0, 4_000_001.0, 500_012.0, 4_000_002.0)
    assert pyogrio.raw.read(path, layer="map", bbox=inside)[3][0].tolist() == [1, 2]


@pytest.mark.parametrize(
    "name", ["gpkg_map", "GPKG", "sqlite_map", "layer_styles", *"`~!@#$%^&*()+-={}|[]\\:\";'<>?,.", ".map"]
)
def test_reserved_names_of_layers_are_avoided(tmp_path: Path, name: str) -> None:
    write_geopackage(tmp_path / "map.gpkg", [squares([3])], LayerInfo(name, TABLE, "EPSG:32652"))
    assert [layer for layer, _ in pyogrio.list_layers(tmp_path / "map.gpkg")] == [f"map_{name}", "layer_styles"]


def test_a_name_may_contain_anything_else(tmp_path: Path) -> None:
    write_geopackage(tmp_path / "map.gpkg", [squares([3])] * 2, LayerInfo("a \"b\" 'c' ü.;--%", TABLE, "EPSG:32652"))
    assert pyogrio.list_layers(tmp_path / "map.gpkg")[0][0] == "a \"b\" 'c' ü.;--%"


def test_the_style_is_registered(tmp_path: Path) -> None:
    write_geopackage(tmp_path / "map.gpkg", [squares([3])], LayerInfo("map", TABLE, "EPSG:32652"))
    contents = query(tmp_path / "map.gpkg", "SELECT table_name, data_type FROM gpkg_contents ORDER BY table_name")
    assert contents == [("layer_styles", "attributes"), ("map", "features")]
    assert [row[1] for row in query(tmp_path / "map.gpkg", "PRAGMA table_info(layer_styles)")] == [
        *("id", "f_table_catalog", "f_table_schema", "f_table_name", "f_geometry_column", "styleName", "styleQML"),
        *("styleSLD", "useAsDefault", "description", "owner", "ui", "update_time"),
    ]


# Errors


@pytest.mark.parametrize("name", ["map.shp", "map", "map.gpkg.zip", ".gpkg"])
def test_only_geopackage_is_written(tmp_path: Path, name: str) -> None:
    with pytest.raises(PipelineError, match=r"^-o .* only GeoPackage is written; give a name that ends in \.gpkg"):
        require_writable(tmp_path / name, "-o")


def test_names_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "folder.gpkg").mkdir()
    with pytest.raises(PipelineError, match=r"folder\.gpkg is a folder"):
        require_writable(tmp_path / "folder.gpkg", "-o")
    with pytest.raises(PipelineError, match="contains an exclamation mark"):
        require_writable(tmp_path / "a!b/map.gpkg", "-o")
    require_writable(tmp_path / "new/MAP.GPKG", "-o")


@pytest.mark.parametrize("path", ["missing/map.gpkg", "file/map.gpkg"])
def test_a_path_that_is_not_writable(tmp_path: Path, path: str) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(PipelineError, match=r"map\.gpkg cannot be written: .*unable to open database file"):
        write_geopackage(tmp_path / path, [squares([3])], LayerInfo("map", TABLE, None))


FULL_DISK = """if True:
    import errno, subprocess, sys
    from pathlib import Path
    import numpy as np
    from pipeline.polygons.geopackage import LayerInfo, write_geopackage
    from tests.polygons.test_geopackage import TABLE, squares

    disk = Path(sys.argv[1])
    for size in ("4k", "64k", "90k", "120k", "1m", "2m", "3m", "9m"):
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", disk], check=True)
        chunks = (squares([3] * 8000, first=first) for first in range(0, 24_000, 8000))
        try:
            print(size, write_geopackage(disk / "new", chunks, LayerInfo("map", TABLE, None)))
        except OSError as error:
            print(size, errno.errorcode[error.errno], error.filename)
        subprocess.run(["umount", disk], check=True)
    """


@pytest.mark.skipif(not can_mount(), reason="needs `unshare` and user namespaces, for a small disk")
def test_a_full_disk_is_an_os_error(tmp_path: Path) -> None:
    run = subprocess.run(
        [*NAMESPACE, sys.executable, "-c", FULL_DISK, tmp_path], cwd=ROOT, capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    full = [f"{size} ENOSPC {tmp_path}/new" for size in ("4k", "64k", "90k", "120k", "1m", "2m", "3m")]
    assert run.stdout.splitlines() == [*full, "9m 24000"]


# Dissolving


def check_dissolved(class_HW: np.ndarray, block: int) -> None:
    chunks = pieces(class_HW, block)
    whole = dissolve(chunks)
    patch_N, pixels_N, confidence_N = (
        np.concatenate([getattr(chunk, name) for chunk in chunks]) for name in ("patch_N", "pixels_N", "confidence_N")
    )
    assert sorted(whole.patch_N.tolist()) == np.unique(patch_N).tolist()
    assert (whole.area_N == whole.pixels_N * 2.5).all()
    for index, patch in enumerate(whole.patch_N):
        own = patch_N == patch
        assert whole.pixels_N[index] == pixels_N[own].sum()
        assert np.isclose(whole.confidence_N[index], np.average(confidence_N[own], weights=pixels_N[own]))
    assert (shapely.get_type_id(whole.polygon_N) == 3).all()
    assert shapely.is_valid(whole.polygon_N).all()
    assert shapely.coverage_is_valid(whole.polygon_N)
    assert (shapely.area(whole.polygon_N) == whole.pixels_N).all()
    pairs = list(zip(shapely.transform(whole.polygon_N, lambda xy: xy * [1, -1]), whole.class_N.tolist(), strict=True))
    burnt_HW = rasterize(pairs, class_HW.shape, fill=255, dtype="uint8") if pairs else np.full_like(class_HW, 255)
    assert (burnt_HW == class_HW).all()


MAPS = arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9)), elements=st.sampled_from([0, 3, 255]))


@settings(max_examples=60)
@given(MAPS, st.integers(1, 5))
def test_dissolved_patches_are_those_of_the_whole_map(class_HW: np.ndarray, block: int) -> None:
    check_dissolved(class_HW, block)


@pytest.mark.parametrize("chunks", [[], [squares([])]])
def test_nothing_dissolves_to_nothing(chunks: list[Features]) -> None:
    assert len(dissolve(chunks).polygon_N) == 0


def test_what_is_unknown_stays_unknown() -> None:
    whole = dissolve([squares([0], known=False), squares([3], first=1)])
    assert np.isnan([whole.area_N, whole.confidence_N]).tolist() == [[True, False]] * 2
    assert whole.class_N.tolist() == [0, 3]


# QGIS


IN_QGIS = """if True:
    import json, sys
    from qgis.core import QgsApplication, QgsMapRendererParallelJob, QgsMapSettings, QgsVectorLayer
    from qgis.PyQt.QtCore import QSize
    from qgis.PyQt.QtGui import QColor

    application = QgsApplication([], False)
    application.initQgis()
    path, picture = sys.argv[1:]
    layer = QgsVectorLayer(path + "|layername=map", "map")
    renderer = layer.renderer()
    found = {
        "valid": layer.isValid(),
        "crs": layer.crs().authid(),
        "features": layer.featureCount(),
        "index": layer.hasSpatialIndex() == layer.SpatialIndexPresent,
        "type": renderer.type(),
        "classes": [
            (str(item.value()), item.label(), item.symbol().color().getRgb()[:3],
             item.symbol().symbolLayer(0).strokeColor().getRgb()[:3], item.symbol().symbolLayer(0).strokeWidth())
            for item in renderer.categories()
        ],
    }
    settings = QgsMapSettings()
    settings.setLayers([layer])
    settings.setDestinationCrs(layer.crs())
    settings.setExtent(layer.extent())
    settings.setOutputSize(QSize(333, 277))
    settings.setBackgroundColor(QColor(255, 0, 255))
    job = QgsMapRendererParallelJob(settings)
    job.start()
    job.waitForFinished()
    job.renderedImage().save(picture)
    print(json.dumps(found))
    """


@pytest.fixture(scope="module")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], np.ndarray]:
    """What QGIS finds in a GeoPackage of pieces without nodata, and its picture, image_HWC."""
    folder = tmp_path_factory.mktemp("qgis")
    class_HW = np.repeat(np.array([[0, 3, 7]], np.uint8), [20, 20, 20], axis=1).repeat(50, axis=0)
    write_geopackage(folder / "map.gpkg", pieces(class_HW, 7), LayerInfo("map", TABLE, "EPSG:32652"))
    found = run_qgis(IN_QGIS, folder, folder / "map.gpkg", folder / "map.png")
    with Image.open(folder / "map.png") as picture:
        return json.loads(found), np.asarray(picture.convert("RGB"))


def test_qgis_draws_by_the_style(qgis: tuple[dict[str, Any], np.ndarray]) -> None:
    found, _ = qgis
    colours = [list(entry.colour) for entry in TABLE.classes]
    classes = [[str(key), name, colour, colour, 0] for (key, name), colour in zip(NAMES.items(), colours, strict=True)]
    expected = {"valid": True, "crs": "EPSG:32652", "features": 24, "index": True, "type": "categorizedSymbol"}
    assert found == expected | {"classes": classes}


def test_no_line_is_drawn_where_patches_are_cut(qgis: tuple[dict[str, Any], np.ndarray]) -> None:
    _, image_HWC = qgis
    for index, entry in enumerate(TABLE.classes):
        inside = image_HWC[5:-5, 111 * index + 8 : 111 * index + 103]
        deviation = np.abs(inside.astype(int) - entry.colour)
        assert deviation.max() < 10  # without outlines 63: the background shows through where neighbours meet
