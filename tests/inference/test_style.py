"""GDAL and QGIS read the names and colours of a map's classes from the files beside it."""

import json
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest
import rasterio
from rasterio.transform import Affine

from pipeline.formats.classes import IGNORE, ClassTable
from pipeline.inference.style import pam_xml, qml
from pipeline.raster.gdal import open_dataset
from tests.qgis_python import run_qgis

NAMES = {
    0: 'water & "ice" <sea>',
    3: "건물 é",
    9: "&amp;",
    10: "]]> $x$ 'y'",
    254: "undecided",
}
COLOURS = {0: (0, 0, 0), 3: (0, 200, 0), 9: (255, 255, 255), 10: (1, 2, 3), 254: (10, 20, 30)}
TABLE = ClassTable.model_validate(
    {"classes": [{"id": key, "name": name, "colour": COLOURS[key]} for key, name in NAMES.items()]}
)
COUNTS = dict.fromkeys(NAMES, 4)
IDS_HW = np.repeat(np.array([[0, 3, 9, 10, 254, IGNORE]], np.uint8), 4, axis=0)

IN_QGIS = """if True:
    import json, sys
    from qgis.core import Qgis, QgsApplication, QgsRasterLayer

    def describe(layer):
        renderer, provider = layer.renderer(), layer.dataProvider()
        block = renderer.block(1, layer.extent(), layer.width(), layer.height())
        return {
            "type": renderer.type(),
            "classes": [(item.value, item.label, item.color.getRgb()) for item in renderer.classes()],
            "drawn": [block.color(0, column) for column in range(layer.width())],
            "nodata": provider.sourceNoDataValue(1) if provider.useSourceNoDataValue(1) else None,
        }

    application = QgsApplication([], False)
    application.initQgis()
    folder = sys.argv[1]
    plain = QgsRasterLayer(folder + "/plain.tif", "plain")
    found = {"version": Qgis.QGIS_VERSION_INT, "plain": describe(plain)}
    found["beside"] = describe(QgsRasterLayer(folder + "/map.tif", "map"))
    found["loaded"] = plain.loadNamedStyle(folder + "/map.qml")[1]
    found["after"] = describe(plain)
    print(json.dumps(found))
    """


def write_map(path: Path, counts: Mapping[int, int] = COUNTS) -> Path:
    """Write a map with its `.aux.xml`."""
    colours = {key: (*colour, 255) for key, colour in COLOURS.items()} | {IGNORE: (255, 255, 255, 0)}
    profile = {"height": 4, "width": 6, "count": 1, "dtype": "uint8", "nodata": IGNORE, "crs": "EPSG:32652"}
    with open_dataset(path, "w", transform=Affine(10, 0, 500000, 0, -10, 4000000), **profile) as dataset:
        dataset.write(IDS_HW, 1)
        dataset.write_colormap(1, colours)
    path.with_name(f"{path.name}.aux.xml").write_text(pam_xml(TABLE, counts), encoding="utf-8")
    return path


def gdalinfo(path: Path) -> dict[str, Any]:
    """Band 1 as GDAL's own program describes it."""
    program = shutil.which("gdalinfo")
    if program is None:
        pytest.skip("gdalinfo is not installed: apt install gdal-bin")
    run = subprocess.run([program, "-json", str(path)], capture_output=True, text=True, check=True)
    description = json.loads(run.stdout)
    return {**description["bands"][0], "rat": description.get("rat")}


def columns(rat: dict[str, Any]) -> dict[str, tuple[int, int]]:
    """Type and usage by name."""
    return {field["name"]: (field["type"], field["usage"]) for field in rat["fieldDefn"]}


def rows(rat: dict[str, Any]) -> list[list[Any]]:
    return [row["f"] for row in rat["row"]]


def test_gdalinfo_prints_names_and_colours(tmp_path: Path) -> None:
    band = gdalinfo(write_map(tmp_path / "map.tif"))
    assert {index: name for index, name in enumerate(band["categories"]) if name} == NAMES
    entries = band["colorTable"]["entries"]
    assert {key: tuple(entries[key]) for key in NAMES} == {key: (*colour, 255) for key, colour in COLOURS.items()}
    assert entries[IGNORE] == [255, 255, 255, 0]
    assert band["noDataValue"] == IGNORE
    assert band["colorInterpretation"] == "Palette"


def test_gdalinfo_prints_the_attribute_table(tmp_path: Path) -> None:
    rat = gdalinfo(write_map(tmp_path / "map.tif"))["rat"]
    assert rat["tableType"] == "thematic"
    assert columns(rat) == {  # gdal.h: GFT_Integer 0, GFT_String 2; GFU_MinMax 5, GFU_Name 2, GFU_Red 6 to GFU_Alpha 9
        "Value": (0, 5),
        "Class": (2, 2),
        "Red": (0, 6),
        "Green": (0, 7),
        "Blue": (0, 8),
        "Alpha": (0, 9),
        "Count": (0, 1),  # GFU_PixelCount
    }
    assert rows(rat) == [[key, name, *COLOURS[key], 255, 4] for key, name in NAMES.items()]


@pytest.mark.parametrize(("pixels", "type_"), [(7, 0), (2**31 - 1, 0), (2**31, 1), (10**11, 1)])
def test_counts_are_a_column_that_holds_them(tmp_path: Path, pixels: int, type_: int) -> None:
    rat = gdalinfo(write_map(tmp_path / "map.tif", {0: 5, 254: pixels}))["rat"]
    assert columns(rat)["Count"] == (type_, 1)
    assert [row[-1] for row in rows(rat)] == [5, 0, 0, 0, pixels]


def test_pixels_and_position_are_unchanged(tmp_path: Path) -> None:
    path = write_map(tmp_path / "map.tif")
    with rasterio.open(path) as with_sidecar, open_dataset(path) as alone:
        assert with_sidecar.files == [str(path), f"{path}.aux.xml"]  # so that GDAL read it
        for dataset in (with_sidecar, alone):
            assert (dataset.read(1) == IDS_HW).all()
        assert with_sidecar.profile == alone.profile
        assert with_sidecar.colormap(1) == alone.colormap(1)
        assert with_sidecar.colorinterp == alone.colorinterp


def test_every_id_may_have_a_class(tmp_path: Path) -> None:
    table = ClassTable.model_validate(
        {"classes": [{"id": key, "name": f"c{key}", "colour": (key, 0, 1)} for key in range(IGNORE)]}
    )
    (tmp_path / "all.tif.aux.xml").write_text(pam_xml(table, {}))
    shutil.copy(write_map(tmp_path / "map.tif"), tmp_path / "all.tif")
    band = gdalinfo(tmp_path / "all.tif")
    assert band["categories"] == [f"c{key}" for key in range(IGNORE)]
    assert rows(band["rat"])[254] == [254, "c254", 254, 0, 1, 255, 0]
    assert len(ElementTree.fromstring(qml(table)).findall(".//paletteEntry")) == IGNORE


def test_the_style_lists_the_classes_and_no_other_value() -> None:
    root = ElementTree.fromstring(qml(TABLE))
    assert root.get("styleCategories") == "Symbology"
    assert [entry.attrib for entry in root.findall("pipe/rasterrenderer/colorPalette/paletteEntry")] == [
        {"value": str(key), "color": "#{:02x}{:02x}{:02x}".format(*COLOURS[key]), "alpha": "255", "label": name}
        for key, name in NAMES.items()
    ]


@pytest.fixture(scope="module")
def qgis(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What QGIS makes of plain.tif, without a style, and map.tif, with one."""
    folder = tmp_path_factory.mktemp("qgis")
    for name in ("plain.tif", "map.tif"):
        write_map(folder / name)
    (folder / "map.qml").write_text(qml(TABLE), encoding="utf-8")
    found: dict[str, Any] = json.loads(run_qgis(IN_QGIS, folder, folder))
    return found


EXPECTED = [[key, name, [*COLOURS[key], 255]] for key, name in NAMES.items()]


def test_qgis_names_the_classes_without_the_style(qgis: dict[str, Any]) -> None:
    plain = qgis["plain"]
    assert (plain["type"], plain["nodata"]) == ("paletted", IGNORE)
    named = [entry for entry in plain["classes"] if entry[0] in NAMES]
    assert named == EXPECTED
    if qgis["version"] < 33000:  # later ones draw by the attribute table
        assert len(plain["classes"]) == 256


@pytest.mark.parametrize("how", ["beside", "after"])
def test_qgis_draws_by_the_style(qgis: dict[str, Any], how: str) -> None:
    assert qgis["loaded"]
    assert (qgis[how]["type"], qgis[how]["nodata"]) == ("paletted", IGNORE)
    assert qgis[how]["classes"] == EXPECTED
    opaque = [f"ff{bytes(colour).hex()}" for colour in COLOURS.values()]
    assert [f"{argb:08x}" for argb in qgis[how]["drawn"]] == [*opaque, "00000000"]
