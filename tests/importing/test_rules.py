from typing import Any

import pytest
import yaml
from pydantic import ValidationError

from pipeline.formats.classes import ClassTable
from pipeline.importing.rules import LabelRules, rules_kind

CLASSES = ["other", "building"]


def rules(**keys: Any) -> LabelRules:
    return LabelRules.model_validate({"classes": CLASSES} | keys)


def test_everything_but_the_classes_has_a_default() -> None:
    assert rules().table == ClassTable.model_validate({"classes": CLASSES})
    assert (rules().masks, rules().colours.tolerance, rules().polygons.background) == ("auto", 0, None)


def test_the_table_keeps_the_remap() -> None:
    assert rules(remap={255: 1}).table.remap == {255: 1}


@pytest.mark.parametrize(
    ("keys", "message"),
    [
        ({"polygons": {"order": ["road"]}}, "polygons.order contains 'road', which is not a class; classes: "),
        ({"polygons": {"background": "sea"}}, "polygons.background contains 'sea', which is not a class"),
        ({"polygons": {"values": {"B": "road"}}}, "polygons.values contains 'road', which is not a class"),
        ({"polygons": {"values": {"B": 7}}}, "polygons.values contains 7, which is not a class"),
        ({"polygons": {"annotated": "../areas.gpkg"}}, "'../areas.gpkg' is not below the folder of classes.yaml"),
        ({"polygons": {"annotated": "/areas.gpkg"}}, "'/areas.gpkg' is not below the folder of classes.yaml; copy it"),
        ({"classes": ["other", "ignore"]}, "ignore is not a class; leave it out, and map its values in remap, or in"),
        ({"masks": "colors"}, "Input should be 'auto', 'values' or 'colours'"),
        ({"colours": {"tolerance": 256}}, "Input should be less than or equal to 255"),
    ],
)
def test_what_is_not_a_class_is_refused(keys: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError) as error:
        rules(**keys)
    assert message in str(error.value)


def test_values_map_to_names_ids_or_ignore() -> None:
    assert rules(polygons={"values": {"B": "building", 3: 0, "x": "ignore"}}).polygons.values == {
        "B": "building",
        3: 0,
        "x": "ignore",
    }


def test_null_may_be_written_with_or_without_quotes() -> None:
    for text in ("NULL", "null", '"NULL"', "~"):
        values = yaml.safe_load(f"{{{text}: ignore}}")
        assert rules(polygons={"values": values}).polygons.values == {"NULL": "ignore"}


def test_only_own_images_have_rules_for_labels() -> None:
    assert rules_kind("landcoverai", "local") is LabelRules
    assert rules_kind("landcoverai", "archive") is ClassTable
    assert rules_kind("ghana", "local") is ClassTable
