"""QGIS draws each class in its colour, and nothing else."""

from xml.etree import ElementTree

from pipeline.formats.classes import ClassTable
from pipeline.polygons.style import polygon_qml

NAMES = {0: 'water & "ice" <sea>', 3: "건물 é", 254: "]]> &amp;"}
COLOURS = {0: (0, 0, 0), 3: (0, 200, 0), 254: (10, 20, 30)}
TABLE = ClassTable.model_validate(
    {"classes": [{"id": key, "name": name, "colour": COLOURS[key]} for key, name in NAMES.items()]}
)


def test_each_class_and_no_other_value_has_a_fill_and_an_outline_in_its_colour() -> None:
    root = ElementTree.fromstring(polygon_qml(TABLE, "class_id"))
    assert root.get("styleCategories") == "Symbology"
    renderer = root.find("renderer-v2")
    assert renderer is not None
    assert (renderer.get("type"), renderer.get("attr")) == ("categorizedSymbol", "class_id")
    categories = renderer.findall("categories/category")
    assert {int(entry.attrib["value"]): entry.get("label") for entry in categories} == NAMES
    for entry in categories:
        assert entry.get("render") == "true"
        options = renderer.findall(f"symbols/symbol[@name='{entry.get('symbol')}']/layer/Option/Option")
        values = {option.get("name"): option.get("value") for option in options}
        colour = ",".join(map(str, (*COLOURS[int(entry.attrib["value"])], 255)))
        assert (values["color"], values["outline_color"], values["outline_width"]) == (colour, colour, "0")
