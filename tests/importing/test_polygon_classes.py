"""Which class a polygon has by its attributes; what is not clear is refused with the values that were found."""

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import shapely

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import IGNORE
from pipeline.importing.polygon_classes import LabelledPolygons, read_labelled, resolve, value_text
from pipeline.importing.rules import LabelRules
from tests.importing.world import write_vector

CLASSES = ["other", "building", "field"]


def rules(remap: dict[int, Any] | None = None, classes: Any = CLASSES, **polygons: Any) -> LabelRules:
    return LabelRules.model_validate({"classes": classes, "remap": remap or {}, "polygons": polygons})


def read(
    folder: Path, attributes: dict[str, Sequence[Any]], table: LabelRules, suffix: str = "gpkg"
) -> LabelledPolygons:
    count = len(next(iter(attributes.values()), [0]))
    squares = [shapely.box(k, 0, k + 1, 1) for k in range(count)]
    return read_labelled(write_vector(folder / f"labels.{suffix}", *squares, **attributes), table)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("building", 1),
        ("Building", None),
        ("house", 1),
        ("shed", 1),
        ("cloud", IGNORE),
        (7, 2),
        ("7", 2),
        (7.0, 2),
        ("7.0", None),
        (1, 1),
        (np.float64(1), 1),
        ("01", None),
        (1.5, None),
        (9, None),
        (311, 2),
        ("311", 2),
        (312, IGNORE),
        (True, None),
        (["field"], None),
        (None, None),
        (float("nan"), None),
        (float("inf"), None),
        ("", None),
    ],
)
def test_a_value_is_a_class_by_values_name_remap_or_id(value: Any, expected: int | None) -> None:
    values = {"house": "building", "shed": 1, "cloud": "ignore", 7: "field"}
    assert resolve(value_text(value), rules(remap={311: 2, 312: "ignore"}, values=values)) == expected


def test_values_come_before_names_and_names_before_numbers() -> None:
    table = rules(classes={1: "2", 2: "1"}, values={"2": 2})
    assert [resolve(text, table) for text in ("1", "2")] == [2, 2]


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb"])
@pytest.mark.parametrize("values", [["building", "field"], [1, 2], [1.0, 2.0], ["1", "2"]])
def test_the_only_attribute_that_fits_is_found(tmp_path: Path, suffix: str, values: list[Any]) -> None:
    labelled = read(tmp_path, {"owner": ["A", "B"], "kind": values}, rules(), suffix)
    left_P = shapely.bounds(labelled.polygons.geometries_P)[:, 0]  # FlatGeobuf sorts features
    assert dict(zip(left_P.tolist(), labelled.classes_P.tolist(), strict=True)) == {0.0: 1, 1.0: 2}
    assert labelled.notes == [
        f"{tmp_path}/labels.{suffix}: 2 polygons, class by attribute 'kind', which was found: 1 building, 1 field"
    ]


def test_the_attribute_can_be_named(tmp_path: Path) -> None:
    labelled = read(tmp_path, {"a": [1, 2], "b": [2, 1]}, rules(attribute="b"))
    assert labelled.classes_P.tolist() == [2, 1]
    assert "class by attribute 'b': 1 building, 1 field" in labelled.notes[0]
    with pytest.raises(PipelineError, match=r"has no attribute 'B', .*; attributes: a \(1, 2\), b \(2, 1\)$"):
        read(tmp_path, {"a": [1, 2], "b": [2, 1]}, rules(attribute="B"))
    with pytest.raises(PipelineError, match=r"has no attribute 'clas', .* \(nearest: class\)"):
        read(tmp_path, {"class": [1, 2]}, rules(attribute="clas"))


def test_attributes_that_disagree_are_listed(tmp_path: Path) -> None:
    message = (
        r"labels.gpkg: 2 attributes have values that are all classes, but not the same ones; attributes: a \(1, 2\), "
        r"b \(2, 1\); classes: other, building, field: name the attribute as polygons.attribute"
    )
    with pytest.raises(PipelineError, match=message):
        read(tmp_path, {"a": [1, 2], "b": [2, 1], "c": ["x", "y"]}, rules())


def test_names_go_before_numbers_that_happen_to_be_ids(tmp_path: Path) -> None:
    assert read(tmp_path, {"floors": [1, 2], "use": ["field", "building"]}, rules()).classes_P.tolist() == [2, 1]
    with pytest.raises(PipelineError, match="attribute 'use' has values that are no class: 'bulding' in 1 polygon"):
        read(tmp_path, {"floors": [1, 2], "use": ["field", "bulding"]}, rules())


def test_attributes_that_agree_are_one(tmp_path: Path) -> None:
    assert read(tmp_path, {"code": [1, 2], "old": ["1", "2"]}, rules()).classes_P.tolist() == [1, 2]


def test_numbers_of_features_are_no_classes(tmp_path: Path) -> None:
    with pytest.raises(
        PipelineError, match="labels.geojson has no attribute that could hold the class, and there are 3"
    ):
        read(tmp_path, {"id": [1, 2], "OBJECTID": [1, 2]}, rules(), "geojson")
    assert read(tmp_path, {"id": [1, 2]}, rules(attribute="id"), "geojson").classes_P.tolist() == [1, 2]


def test_no_attribute_fits(tmp_path: Path) -> None:
    message = (
        r"no attribute has only values that are classes; attributes: a \(x, y\), b \(0\.5, 1\.5\); classes: other,"
    )
    with pytest.raises(PipelineError, match=message):
        read(tmp_path, {"a": ["x", "y"], "b": [0.5, 1.5], "c": [None, None]}, rules())
    binary = rules(classes=["other", "building"], background="other")
    with pytest.raises(
        PipelineError, match="; or, if all polygons are building, save them without attributes: ogr2ogr"
    ):
        read(tmp_path, {"a": ["x", "y"], "b": [0.5, 1.5]}, binary)


def test_the_values_of_the_only_attribute_are_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError) as error:
        read(tmp_path, {"kind": ["Building"]}, rules(classes=["other", "building"], background="other"))
    assert str(error.value).removeprefix(f"{tmp_path}/labels.gpkg: ") == (
        "attribute 'kind' has values that are no class: 'Building' in 1 polygon (nearest: building); classes: other, "
        "building; map each in classes.yaml to a class or to ignore: polygons: {values: {Building: building}}"
    )


def test_decomposed_unicode_and_blanks_around_values_do_not_count(tmp_path: Path) -> None:
    decomposed = unicodedata.normalize("NFD", "Gebäude")
    table = rules(classes=["other", "Gebäude", decomposed.replace("Ge", "Ne")], values={"B ": "other"})
    assert read(tmp_path, {"kind": [decomposed, "Nebäude ", "B"]}, table).classes_P.tolist() == [1, 2, 0]


def test_unknown_values_are_named_with_counts_and_the_nearest_class(tmp_path: Path) -> None:
    values = ["building", "Bulding", "Bulding", None, *"uvwxyz"]
    message = (
        r"attribute 'kind' has values that are no class: 'Bulding' in 2 polygons \(nearest: building\), NULL in 1 "
        r"polygon, 'u' in 1 polygon, 'v' in 1 polygon, 'w' in 1 polygon and 3 more; classes: other, building, field; "
        r"map each in classes.yaml to a class or to ignore: polygons: {values: {Bulding: building}}"
    )
    with pytest.raises(PipelineError, match=message):
        read(tmp_path, {"kind": values}, rules())
    mapped = {"Bulding": "building", "NULL": "ignore"} | dict.fromkeys("uvwxyz", "field")
    assert read(tmp_path, {"kind": values}, rules(values=mapped)).classes_P.tolist() == [1, 1, 1, IGNORE, *[2] * 6]


def test_missing_numbers_are_named(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match="NULL in 2 polygons; .*NULL.*: ignore"):
        read(tmp_path, {"code": [1, float("nan"), float("nan")]}, rules(attribute="code"))


@pytest.mark.parametrize("suffix", ["gpkg", "geojson", "shp", "fgb"])
def test_polygons_without_attributes_are_the_only_class(tmp_path: Path, suffix: str) -> None:
    table = rules(classes=["other", "building"], background="other")
    labelled = read(tmp_path, {}, table, suffix)
    assert labelled.classes_P.tolist() == [1]
    assert "1 polygons, without attributes: 1 building" in labelled.notes[0]
    with pytest.raises(PipelineError, match="there are 2 classes that its polygons could be: other, building; add an"):
        read(tmp_path, {}, rules(classes=["other", "building"]), suffix)


def test_a_layer_of_several_is_named(tmp_path: Path) -> None:
    square = shapely.box(0, 0, 1, 1)
    path = write_vector(tmp_path / "labels.gpkg", square, layer="north", kind=["field"])
    write_vector(path, square, layer="south", append=True, kind=["building"])
    assert read_labelled(path, rules(layer="south")).classes_P.tolist() == [1]
    with pytest.raises(PipelineError, match="has 2 layers: north, south; name one as polygons.layer in classes.yaml"):
        read_labelled(path, rules())
    with pytest.raises(PipelineError, match="has no layer 'east', which polygons.layer names; it has: north, south"):
        read_labelled(path, rules(layer="east"))


def test_lists_are_no_classes_but_do_no_harm(tmp_path: Path) -> None:
    properties = {"tags": ["a", "b"], "more": {"x": 1}, "kind": "field", "day": "2024-01-02", "built": True}
    feature = {
        "type": "Feature",
        "properties": properties,
        "geometry": shapely.geometry.mapping(shapely.box(0, 0, 1, 1)),
    }
    path = tmp_path / "labels.geojson"
    path.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    assert read_labelled(path, rules(attribute="kind")).classes_P.tolist() == [2]
    assert "class by attribute 'kind', which was found" in read_labelled(path, rules()).notes[0]
