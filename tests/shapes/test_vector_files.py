"""A vector file that is missing, incomplete or of another kind than its suffix says is refused before it is opened."""

from pathlib import Path

import pytest

from pipeline.core.errors import PipelineError
from pipeline.shapes.vector_files import vector_source


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.fgb", None, "a.fgb does not exist"),
        ("a.gpkg", b"", "a.gpkg is empty"),
        ("a.gpkg", b"version https://git-lfs", "a.gpkg is not GPKG, despite its suffix; rename or convert it"),
        ("a.kml", b"<kml/>", "a.kml is not a known vector file .*; convert it: ogr2ogr polygons.gpkg .*a.kml"),
        ("a.shp", b"\0\0\x27\x0a", "a.shx is missing; a shapefile is a .shp, .shx, .dbf and .prj of one name"),
        ("a!b.geojson", b"{}", "contains an exclamation mark"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, name: str, content: bytes | None, message: str) -> None:
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(PipelineError, match=message):
        vector_source(tmp_path / name)
