"""Vector files, opened by the one driver that their suffix names."""

from pathlib import Path
from shlex import quote

from pipeline.core.errors import PipelineError
from pipeline.raster.file_formats import require_content

DRIVERS = {
    ".gpkg": ("GPKG", b"SQLite format 3\0"),
    ".fgb": ("FlatGeobuf", b"fgb\x03"),
    ".shp": ("ESRI Shapefile", b"\0\0\x27\x0a"),
    ".geojson": ("GeoJSON", b""),
    ".json": ("GeoJSON", b""),
}
"""From suffix to GDAL driver and the first bytes of its files.

pyogrio cannot restrict the drivers, and GDAL chooses by content: a VRT named .geojson would open any file or address.
The first bytes exclude all other drivers; JSON has none, but its driver can be named by a prefix.
"""


def vector_source(path: Path) -> str:
    """Return a name by which GDAL opens a vector file with the driver of its suffix only.

    Raises:
        PipelineError: the file does not exist, is empty, or is of another format.
    """
    if path.suffix.lower() not in DRIVERS:
        raise PipelineError(
            f"{path} is not a known vector file ({', '.join(DRIVERS)}); convert it: ogr2ogr polygons.gpkg "
            f"{quote(str(path))}"
        )
    require_content(path)
    if "!" in str(path.absolute()):  # pyogrio opens what follows it, as a member of an archive
        raise PipelineError(f"{path} contains an exclamation mark, which is not supported; rename it")
    driver, signature = DRIVERS[path.suffix.lower()]
    with path.open("rb") as reader:
        if reader.read(len(signature)) != signature:
            raise PipelineError(f"{path} is not {driver}, despite its suffix; rename or convert it")
    require_part(path, ".shx")
    return f"GeoJSON:{path.absolute()}" if driver == "GeoJSON" else str(path.absolute())


def require_part(path: Path, ending: str) -> None:
    """Check that a shapefile has one of its parts; other files have none.

    Raises:
        PipelineError: it has not.
    """
    if path.suffix.lower() == ".shp" and not any(path.with_suffix(e).exists() for e in (ending, ending.upper())):
        raise PipelineError(
            f"{path.with_suffix(ending)} is missing; a shapefile is a .shp, .shx, .dbf and .prj of one name: copy all "
            "of them"
        )
