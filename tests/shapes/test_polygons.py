"""Vector files of every kind are read as valid polygons with their attributes; others are refused, never opened."""

import json
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely
from pyogrio import raw

from pipeline.core.errors import PipelineError
from pipeline.shapes.polygons import indexed_parts, layer_names, read_layer, read_polygons
from tests.importing.world import write_vector

SQUARE = shapely.box(18, 52, 19, 53)
BOWTIE = shapely.Polygon([(0, 0), (2, 2), (2, 0), (0, 2)])
VRT = "<OGRVRTDataSource><OGRVRTLayer name='a'><SrcDataSource>{}</SrcDataSource></OGRVRTLayer></OGRVRTDataSource>"


save = partial(write_vector, crs="EPSG:4326")


@pytest.mark.parametrize("suffix", ["gpkg", "fgb", "shp", "geojson"])
def test_polygons_are_read_from_every_format(tmp_path: Path, suffix: str) -> None:
    polygons = read_polygons(save(tmp_path / f"aoi.{suffix}", SQUARE))
    assert [geometry.equals(SQUARE) for geometry in polygons.geometries_P] == [True]
    assert polygons.crs == "EPSG:4326"
    assert (polygons.name, polygons.notes) == (str(tmp_path / f"aoi.{suffix}"), [])


def test_geojson_without_a_crs_is_in_degrees(tmp_path: Path) -> None:
    path = tmp_path / "aoi.JSON"
    path.write_text(json.dumps(shapely.geometry.mapping(SQUARE)))
    assert read_polygons(path).crs == "EPSG:4326"


@pytest.mark.parametrize("name", ["a b", "a:b", "a?b=c", "a#b", "ü", "a.zip"])
@pytest.mark.parametrize("suffix", ["gpkg", "geojson"])
def test_names_may_contain_anything_else(tmp_path: Path, name: str, suffix: str) -> None:
    path = save(tmp_path / f"aoi.{suffix}", SQUARE).rename(tmp_path / f"{name}.{suffix}")
    assert len(read_polygons(path).geometries_P) == 1


def test_heights_are_dropped(tmp_path: Path) -> None:
    (polygon,) = read_polygons(save(tmp_path / "aoi.gpkg", shapely.force_3d(SQUARE, 100.0))).geometries_P
    assert not polygon.has_z


def test_a_qgis_style_table_is_not_a_layer(tmp_path: Path) -> None:
    path = save(tmp_path / "aoi.gpkg", SQUARE)
    raw.write(
        path,
        geometry=None,
        field_data=[np.array(["x"], object)],
        fields=["style"],
        geometry_type=None,
        crs=None,
        driver="GPKG",
        layer="layer_styles",
        append=True,
    )
    assert len(read_polygons(path).geometries_P) == 1


@pytest.mark.parametrize(("suffix", "wrapper"), [("geojson", "{}"), ("geojson", '{{"x": "{}"}}'), ("gpkg", "{}")])
def test_a_vrt_is_never_opened_whatever_its_suffix(tmp_path: Path, suffix: str, wrapper: str) -> None:
    secret = save(tmp_path / "secret.fgb", SQUARE)
    path = tmp_path / f"aoi.{suffix}"
    path.write_text(wrapper.format(VRT.format(secret)))
    with pytest.raises(PipelineError, match=r"aoi\.\w+ (is not|contains no)"):
        read_polygons(path)


@pytest.mark.parametrize(
    ("geometries", "message"),
    [
        ([shapely.Point(1, 2)] * 2, "contains 2 points and 0 polygons; only polygons are read: .* buffer"),
        ([SQUARE, shapely.LineString([(1, 2), (3, 4)])], "contains 1 linestring and 1 polygon;"),
        ([shapely.Polygon()], "contains no polygon"),
        ([shapely.box(500000, 1000000, 500010, 1000010)], "up to 500010, 1.00001e\\+06, which look like projected"),
    ],
)
def test_unsuitable_geometries_are_refused(tmp_path: Path, geometries: list[Any], message: str) -> None:
    with pytest.raises(PipelineError, match=rf"aoi\.geojson (has coordinates )?{message}"):
        read_polygons(save(tmp_path / "aoi.geojson", *geometries))


def test_several_layers_are_listed(tmp_path: Path) -> None:
    path = save(tmp_path / "aoi.gpkg", SQUARE, layer="north")
    save(path, SQUARE, layer="the south", append=True)
    with pytest.raises(PipelineError, match="has 2 layers: north, the south; .* ogr2ogr one.gpkg .*aoi.gpkg north$"):
        read_polygons(path)


@pytest.mark.parametrize(
    ("square", "advice"),
    [
        (SQUARE, "degrees, as it seems: ogr2ogr -a_srs EPSG:4326 with_crs.gpkg"),
        (shapely.box(500000, 0, 500001, 1), "in EPSG:NNNN: ogr2ogr -a_srs EPSG:NNNN with_crs.gpkg"),
    ],
)
def test_a_missing_crs_is_to_be_assigned(tmp_path: Path, square: shapely.Polygon, advice: str) -> None:
    with pytest.warns(UserWarning, match="crs"):
        path = save(tmp_path / "aoi.shp", square, crs=None)
    assert read_layer(path, "aoi").crs is None
    with pytest.raises(PipelineError, match=f"has no CRS; if its coordinates are {advice}"):
        read_polygons(path)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("aoi.gpkg", b"SQLite format 3\0", "is not a readable vector file"),
        ("aoi.geojson", b"{", "is not GeoJSON; other JSON, such as of COCO or LabelMe, is not read"),
        ("aoi.geojson", b'{"type": "FeatureCollection", "features": [', "is not a readable vector file"),
        ("aoi.geojson", b'{"type": "FeatureCollection", "features": []}', "contains no polygon"),
        ("aoi.fgb", b"fgb\x03fgb\x00", "has no layer with geometries"),
    ],
)
def test_unreadable_files_are_refused(tmp_path: Path, name: str, content: bytes, message: str) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=f"{name} {message}") as error:
        read_polygons(tmp_path / name)
    assert "\n" not in str(error.value)


def test_a_polygon_that_collapses_is_refused(tmp_path: Path) -> None:
    flat = shapely.Polygon([(0, 0), (1, 0), (2, 0)])
    with pytest.raises(PipelineError, match="contains no valid polygon"):
        read_polygons(save(tmp_path / "aoi.gpkg", flat))


def test_parts_are_the_polygons_of_nested_collections() -> None:
    point, line = shapely.Point(0, 0), shapely.LineString([(0, 0), (1, 1)])
    pair = shapely.MultiPolygon([SQUARE, shapely.box(0, 0, 1, 1)])
    collection = shapely.GeometryCollection([point, line, pair, shapely.Polygon()])
    parts_P, index_P = indexed_parts(np.array([shapely.Polygon(), collection, point, SQUARE]))
    assert (list(parts_P), index_P.tolist()) == ([*pair.geoms, SQUARE], [1, 1, 3])


def test_attributes_are_read_and_stay_with_their_polygons(tmp_path: Path) -> None:
    flat, empty = shapely.Polygon([(0, 0), (1, 0), (2, 0)]), None
    values = {"name": ["a", None, "c", "d"], "code": [1, 2, 3, 4], "share": [0.5, 1.5, 2.5, float("nan")]}
    path = save(tmp_path / "labels.gpkg", flat, empty, BOWTIE, SQUARE, **values)
    polygons = read_layer(path, "labels")
    assert {name: values_P[:1].tolist() for name, values_P in polygons.attributes.items()} == {
        "name": ["c"],
        "code": [3],
        "share": [2.5],
    }
    assert polygons.attributes["name"].tolist() == ["c", "d"]
    assert np.isnan(polygons.attributes["share"][1])
    assert shapely.area(polygons.geometries_P).tolist() == [2, 1]  # both wings, and the square
    assert shapely.is_valid(polygons.geometries_P).all()
    assert [note.removeprefix(f"{path}: ") for note in polygons.notes] == [
        "2 of 3 polygons were invalid and have been repaired, the first: Self-intersection[1 0]",
        "1 of 4 features have no geometry and are left out",
    ]
    assert read_layer(path, "labels", with_attributes=False).attributes == {}


def test_a_shapefile_without_its_attributes_is_refused_where_they_count(tmp_path: Path) -> None:
    path = save(tmp_path / "aoi.shp", SQUARE, kind=["a"])
    path.with_suffix(".dbf").unlink()
    (layer,) = layer_names(path)
    assert len(read_layer(path, layer, with_attributes=False).geometries_P) == 1
    with pytest.raises(PipelineError, match="aoi.dbf is missing; a shapefile is a .shp, .shx, .dbf and .prj"):
        read_layer(path, layer)


def test_overlapping_parts_of_a_multipolygon_are_their_union(tmp_path: Path) -> None:
    parts = [shapely.box(0, 0, 2, 2), shapely.box(1, 1, 3, 3)]
    ring = shapely.box(10, 0, 19, 9) - shapely.box(12, 2, 14, 4)
    island = shapely.box(12, 2, 14, 4)
    path = save(tmp_path / "a.gpkg", shapely.MultiPolygon(parts), shapely.MultiPolygon([ring, island]))
    polygons = read_polygons(path)
    assert shapely.area(polygons.geometries_P).tolist() == [7, 81]
    assert shapely.is_valid(polygons.geometries_P).all()
    assert len(polygons.notes) == 1
