"""Names and colours of a map of class ids for other programs: GDAL's `.aux.xml` and a QGIS style.

Beside `map.tif`, GDAL reads `map.tif.aux.xml` and QGIS also `map.qml`. Neither changes pixels, nodata or position.
"""

from collections.abc import Mapping
from xml.etree import ElementTree
from xml.etree.ElementTree import Element, SubElement

from pipeline.formats.classes import ClassTable
from pipeline.polygons.style import qgis_document, qgis_root

INTEGER, REAL, STRING = "0", "1", "2"
"""Types of the columns of an attribute table: GDALRATFieldType in gdal.h."""
PIXEL_COUNT, NAME, VALUE, RED, GREEN, BLUE, ALPHA = "1", "2", "5", "6", "7", "8", "9"
"""Usages of the columns: GDALRATFieldUsage in gdal.h; VALUE is GFU_MinMax."""
COLUMNS = (
    ("Value", INTEGER, VALUE),
    ("Class", STRING, NAME),
    ("Red", INTEGER, RED),
    ("Green", INTEGER, GREEN),
    ("Blue", INTEGER, BLUE),
    ("Alpha", INTEGER, ALPHA),
)
"""Name, type and usage of each column but the counts, named as QGIS names them in a table of its own."""
LARGEST_INTEGER = 2**31 - 1
"""Integer columns have 32 bits in GDAL, which reads a larger value as another number without an error."""


def pam_xml(table: ClassTable, counts: Mapping[int, int]) -> str:
    """Return the content of an `.aux.xml`: category names and a raster attribute table of band 1.

    `gdalinfo` prints both. QGIS names classes by the category names, and since 3.30 draws by the attribute table.

    Args:
        table: the classes of the map. The category at index `i` is the name of class id `i`, or empty.
        counts: pixels by class id, 0 for classes that are missing here.
    """
    root = Element("PAMDataset")
    band = SubElement(root, "PAMRasterBand", band="1")
    names = table.name_of
    categories = SubElement(band, "CategoryNames")
    for class_id in range(max(names) + 1):
        SubElement(categories, "Category").text = names.get(class_id, "")
    _add_attribute_table(band, table, counts)
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add_attribute_table(band: Element, table: ClassTable, counts: Mapping[int, int]) -> None:
    count_type = INTEGER if max(counts.values(), default=0) <= LARGEST_INTEGER else REAL
    attributes = SubElement(band, "GDALRasterAttributeTable", tableType="thematic")
    for index, texts in enumerate((*COLUMNS, ("Count", count_type, PIXEL_COUNT))):
        column = SubElement(attributes, "FieldDefn", index=str(index))
        for tag, text in zip(("Name", "Type", "Usage"), texts, strict=True):
            SubElement(column, tag).text = text
    for index, entry in enumerate(table.classes):
        row = SubElement(attributes, "Row", index=str(index))
        for value in (entry.id, entry.name, *entry.colour, 255, counts.get(entry.id, 0)):
            SubElement(row, "F").text = str(value)


def qml(table: ClassTable) -> str:
    """Return a QGIS style that draws band 1 by the classes of the table: opaque, labelled, and nothing else.

    Without it, QGIS lists all 256 entries of the colour table. Values that are not in the style, such as nodata, are
    not drawn. The style contains symbology alone, so that loading it changes no other property of a layer.
    """
    root = qgis_root()
    renderer = SubElement(
        SubElement(root, "pipe"), "rasterrenderer", type="paletted", band="1", opacity="1", alphaBand="-1"
    )
    palette = SubElement(renderer, "colorPalette")
    for entry in table.classes:
        colour = f"#{bytes(entry.colour).hex()}"
        SubElement(palette, "paletteEntry", value=str(entry.id), color=colour, alpha="255", label=entry.name)
    return qgis_document(root)
