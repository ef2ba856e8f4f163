"""Keys of a classes.yaml for own labels: names that are no class are refused, as are files outside of the folder."""

from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.importing.rules import LabelRules, rules_kind

CLASSES = ["other", "building"]


def rules(**keys: Any) -> LabelRules:
    return LabelRules.model_validate({"classes": CLASSES} | keys)


@pytest.mark.parametrize(
    ("remap", "dtype"),
    [
        ({}, "uint8"),
        ({40: 1, 80: 0}, "uint8"),
        ({255: 1}, "uint16"),
        ({1: "ignore", 70000: 1}, "uint32"),
        ({0: 1, -1: 0, 1: "ignore"}, "int16"),
    ],
)
def test_raw_values_have_the_smallest_dtype_and_become_the_classes(remap: dict[int, Any], dtype: str) -> None:
    table = rules(remap=remap)
    assert table.raw_values.dtype == dtype
    assert [remap.get(value, value) for value in table.raw_values[list(table.ids)].tolist()] == list(table.ids)
    assert table.raw_values[IGNORE] == table.ignored_value


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"polygons": {"order": ["road"]}}, "polygons.order contains 'road', which is not a class; classes: "),
        ({"polygons": {"background": "sea"}}, "polygons.background contains 'sea', which is not a class"),
        ({"polygons": {"values": {"B": "road"}}}, "polygons.values contains 'road', which is not a class"),
        ({"polygons": {"values": {"B": 7}}}, "polygons.values contains 7, which is not a class"),
        ({"polygons": {"annotated": "../areas.gpkg"}}, "'../areas.gpkg' is not below the folder of classes.yaml"),
        ({"polygons": {"annotated": "/areas.gpkg"}}, "'/areas.gpkg' is not below the folder of classes.yaml; copy it"),
        ({"polygons": {"annotated": ""}}, "'.' is not below the folder of classes.yaml"),
        ({"classes": ["other", "ignore"]}, "ignore is not a class; leave it out, and map its values in remap, or in"),
        ({"masks": "colors"}, "Input should be 'auto', 'values' or 'colours'"),
        ({"colours": {"tolerance": 256}}, "Input should be less than or equal to 255"),
    ],
)
def test_what_is_not_a_class_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        rules(**keys)
    assert message in str(error.value)


def test_null_may_be_written_with_or_without_quotes() -> None:
    for text in ("NULL", "null", '"NULL"', "~"):
        values = yaml.safe_load(f"{{{text}: ignore}}")
        assert rules(polygons={"values": values}).polygons.values == {"NULL": "ignore"}


def test_only_own_images_have_rules_for_labels() -> None:
    assert rules_kind("landcoverai", "local") is LabelRules
    assert rules_kind("landcoverai", "archive") is ClassTable
    assert rules_kind("ghana", "local") is ClassTable
