from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.shapes.vector_files import DRIVERS, vector_source


def test_a_file_is_opened_by_its_path_and_json_by_its_driver(tmp_path: Path) -> None:
    for suffix, (_, signature) in DRIVERS.items():
        (tmp_path / f"a{suffix}").write_bytes(signature + b"...")
    assert vector_source(tmp_path / "a.gpkg") == str(tmp_path / "a.gpkg")
    assert vector_source(tmp_path / "a.geojson") == f"GeoJSON:{tmp_path / 'a.geojson'}"


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.gpkg", b"", "a.gpkg is empty"),
        ("a.gpkg", b"version https://git-lfs", "a.gpkg is not GPKG, despite its suffix; rename or convert it"),
        ("a.shp", b"SQLite format 3\0", "a.shp is not ESRI Shapefile"),
        ("a.kml", b"<kml/>", "a.kml is not a known vector file .*; convert it: ogr2ogr polygons.gpkg .*a.kml"),
        ("a.fgb", None, "a.fgb does not exist"),
        ("a!b.geojson", b"{}", "contains an exclamation mark"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        vector_source(tmp_path / name)
