"""The colours of the classes for QGIS, as a style that a GeoPackage of polygons contains."""

from xml.etree import ElementTree
from xml.etree.ElementTree import SubElement

from pipeline.formats.classes import ClassTable

POLYGON_GEOMETRY = "2"
"""QgsWkbTypes::PolygonGeometry; QGIS refuses a style of another geometry type."""
QGIS_VERSION = "3.22.16"
"""The version that the style was written after; later ones convert it."""


def polygon_qml(table: ClassTable, column: str) -> str:
    """Return a QGIS style that draws polygons by their class id: filled, labelled by class names, and nothing else.

    The outline is a hairline (one pixel of the screen at any scale) in the colour of the class. Without it, up to 25 %
    of the background shows through where anti-aliased neighbours meet, as lines where patches are cut; with it 3 %.
    Polygons of other ids are not drawn. The style contains symbology alone, so that loading it changes no other
    property of a layer.

    Args:
        table: the classes.
        column: with the class ids.
    """
    root = qgis_root()
    renderer = SubElement(root, "renderer-v2", type="categorizedSymbol", attr=column, symbollevels="0", forceraster="0")
    categories, symbols = SubElement(renderer, "categories"), SubElement(renderer, "symbols")
    for index, entry in enumerate(table.classes):
        SubElement(categories, "category", value=str(entry.id), symbol=str(index), label=entry.name, render="true")
        symbol = SubElement(symbols, "symbol", name=str(index), type="fill", alpha="1", clip_to_extent="1")
        layer = SubElement(symbol, "layer", {"class": "SimpleFill"}, enabled="1", locked="0")
        properties = SubElement(layer, "Option", type="Map")
        colour = ",".join(map(str, (*entry.colour, 255)))
        for name, text in (
            ("color", colour),
            ("style", "solid"),
            ("outline_color", colour),
            ("outline_style", "solid"),
            ("outline_width", "0"),
            ("outline_width_unit", "MM"),
            ("joinstyle", "bevel"),
        ):
            SubElement(properties, "Option", name=name, type="QString", value=text)
    SubElement(root, "layerGeometryType").text = POLYGON_GEOMETRY
    return qgis_document(root)


def qgis_root() -> ElementTree.Element:
    """Start a style that contains symbology alone."""
    return ElementTree.Element("qgis", version=QGIS_VERSION, styleCategories="Symbology")


def qgis_document(root: ElementTree.Element) -> str:
    """Return a finished style as text."""
    ElementTree.indent(root)
    return "<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>\n" + ElementTree.tostring(root, "unicode") + "\n"
