"""A class table is accepted in each notation; a mistake is named by its key."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from pipeline.core.errors import PipelineError
from pipeline.formats.classes import ClassTable, read_classes, user_classes, write_classes
from pipeline.formats.datasets import CLASSES
from tests.world import TWO_CLASSES

FIELD = {"id": 1, "name": "field", "colour": "#00ff7f"}
WOOD = {"id": 2, "name": "wood", "colour": [10, 20, 30]}
FORMS = "write classes: [other, building], or with ids, classes: {0: other, 1: building}"


def read(tmp_path: Path, **values: Any) -> ClassTable:
    (tmp_path / "classes.yaml").write_text(yaml.safe_dump(values))
    return read_classes(tmp_path / "classes.yaml")


def refusal(tmp_path: Path, **values: Any) -> str:
    with pytest.raises(PipelineError) as error:
        read(tmp_path, **values)
    return str(error.value).removeprefix(f"{tmp_path / 'classes.yaml'}: ")


@pytest.mark.parametrize("colour", ["00FF7F", "#00FF7f", [0, 255, 127]])
def test_a_colour_is_hexadecimal_or_three_integers(tmp_path: Path, colour: Any) -> None:
    assert read(tmp_path, classes=[FIELD | {"colour": colour}, WOOD]).classes[0].colour == (0, 255, 127)


def test_classes_are_sorted_by_id(tmp_path: Path) -> None:
    assert read(tmp_path, classes=[WOOD, FIELD]) == TWO_CLASSES


def test_remap_merges_and_drops(tmp_path: Path) -> None:
    table = read(tmp_path, classes=[FIELD, WOOD], remap={3: 1, 4294967295: "ignore", -(2**31): 2})
    assert table.remap == {3: 1, 4294967295: "ignore", -(2**31): 2}
    assert table.without_remap() == TWO_CLASSES


def test_the_palette_holds_each_class_at_its_id_and_ignore_as_white() -> None:
    palette = TWO_CLASSES.palette
    assert len(palette) == 768
    assert list(palette[:9]) == [0, 0, 0, 0, 255, 127, 10, 20, 30]
    assert list(palette[765:]) == [255, 255, 255]


@pytest.mark.parametrize("table", [*CLASSES.values(), TWO_CLASSES])
def test_a_table_round_trips_through_json(tmp_path: Path, table: ClassTable) -> None:
    write_classes(tmp_path / "classes.json", table)
    assert read_classes(tmp_path / "classes.json") == table


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({}, f"classes is {{}}; {FORMS}"),
        ({"remap": {}}, "classes is missing"),
        ({"classes": [FIELD]}, "classes is [{'colour': '#00ff7f', 'id': 1, 'name': 'field'}], a single class, but "),
        ({"classes": ["building"]}, "classes is ['building'], a single class, but there are two or more: give the r"),
        ({"classes": "other, building"}, f"classes is 'other, building'; {FORMS}"),
        ({"classes": {"other": 0, "building": 1}}, f"classes is {{'building': 1, 'other': 0}}; {FORMS}"),
        ({"classes": [False, True]}, "YAML reads yes, no, on and off as true and false: put such names in qu"),
        ({"classes": [1, 2]}, f"classes is [1, 2]; {FORMS}"),
        ({"classes": None}, f"classes is None; {FORMS}"),
        ({"classes": [FIELD, WOOD | {"colour": None}]}, "classes.1.colour: a colour needs quotes, as in '#00ff7f': f"),
        ({"classes": [FIELD, FIELD | {"name": "meadow"}]}, "classes: duplicate id 1; every class needs its own"),
        ({"classes": [FIELD, WOOD | {"name": "field"}]}, "classes: duplicate name 'field'; every class needs its"),
        (
            {"classes": [FIELD, WOOD | {"id": 255}]},
            "class ids are 0 to 254, because masks have 8 bits and 255 is ignored; write id 0 instead of 255, and add",
        ),
        ({"classes": [FIELD, WOOD | {"id": -1}]}, "classes.1.id is -1; input should be greater than or equal to 0"),
        ({"classes": [FIELD, WOOD | {"name": ""}]}, "classes.1.name is ''; string should have at least 1 character"),
        (
            {"classes": [FIELD, WOOD | {"colour": "green"}]},
            "classes.1.colour: 'green' is not a colour; write '#00ff7f' or [0, 255, 127]",
        ),
        ({"classes": [FIELD, WOOD | {"colour": [0, 256, 0]}]}, "classes.1.colour.1 is 256; input should be less than"),
        (
            {"classes": [FIELD, {"id": 2, "name": "wood", "color": "#000000"}]},
            "classes.1.color is not a known key; did you mean 'colour'? known here: id",
        ),
        ({"classes": [FIELD, WOOD], "remap": {3: 7}}, "remap maps 3 to 7, which is not a class; classes: [1, 2]"),
        (
            {"classes": [FIELD, WOOD], "remap": {3: "drop"}},
            "remap.3 is 'drop'; allowed: ignore; else input should be a valid integer",
        ),
        (
            {"classes": [FIELD, WOOD], "remap": {2**32: 1}},
            "remap.4294967296 is 4294967296; input should be less than",
        ),
        ({"classes": [FIELD, WOOD], "mapping": {}}, "mapping is not a known key; known here: classes, remap"),
    ],
)
def test_an_invalid_entry_is_reported(tmp_path: Path, values: dict[str, Any], message: str) -> None:
    assert refusal(tmp_path, **values).startswith(message)


def test_a_missing_table_is_reported(tmp_path: Path) -> None:
    with pytest.raises(PipelineError, match=r"classes.json does not exist; every raw and chips folder"):
        read_classes(tmp_path / "classes.json")


def test_a_users_table_is_reported_by_the_users_own_path(tmp_path: Path) -> None:
    assert user_classes(tmp_path, Path("/mine"), ClassTable) is None
    (tmp_path / "classes.yml").write_text("classes: []")
    with pytest.raises(PipelineError, match=r"^/mine/classes.yml is not read; rename it to classes.yaml"):
        user_classes(tmp_path, Path("/mine"), ClassTable)
    (tmp_path / "classes.yml").rename(tmp_path / "classes.yaml")
    with pytest.raises(PipelineError, match=r"^/mine/classes.yaml: classes is \[\]"):
        user_classes(tmp_path, Path("/mine"), ClassTable)


def test_an_empty_file_is_answered_with_a_sample(tmp_path: Path) -> None:
    (tmp_path / "classes.yaml").write_text("# other, building\n")
    with pytest.raises(PipelineError) as error:
        read_classes(tmp_path / "classes.yaml")
    assert str(error.value) == f"{tmp_path / 'classes.yaml'}: classes is None; {FORMS}"


@pytest.mark.parametrize("text", ["'0': other\n'1': building\n", "0: other\n1: building\n", "- other\n- building\n"])
def test_the_file_may_contain_the_short_form_only(tmp_path: Path, text: str) -> None:
    (tmp_path / "classes.yaml").write_text(text)
    table = read_classes(tmp_path / "classes.yaml")
    assert (table.ids, table.names) == ((0, 1), ("other", "building"))
