"""The files of a map: names, checks before the start, and writing them so that the map itself appears last."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from pipeline.core.errors import PipelineError
from pipeline.core.files import atomic_path, write_text
from pipeline.formats.classes import ClassTable
from pipeline.inference.cog import Band, Raster, class_raster, write_cog
from pipeline.inference.finished import Finished
from pipeline.inference.style import pam_xml, qml
from pipeline.raster.georeference import Georeference

ENDINGS = (".tif", ".tiff")


@dataclass(frozen=True)
class MapFiles:
    """Paths of a map and what belongs to it."""

    map: Path

    @property
    def pam(self) -> Path:
        """Class names for GDAL and QGIS."""
        return self.map.with_name(f"{self.map.name}.aux.xml")

    @property
    def style(self) -> Path:
        """Style for QGIS."""
        return self.map.with_suffix(".qml")

    def layer(self, name: str) -> Path:
        """The GeoTIFF of another layer, such as `map.confidence.tif`."""
        return self.map.with_suffix(f".{name}{self.map.suffix}")


def require_new(
    files: MapFiles, layers: tuple[str, ...], preview: Path | None, inputs: list[str], overwrite: bool
) -> None:
    """Check the paths of a map before any work.

    Args:
        files: of the map.
        layers: other layers that are written.
        preview: PNG that is written.
        inputs: files that are read.
        overwrite: whether existing files are replaced.

    Raises:
        PipelineError: the map's name does not end in .tif, a file exists, or would replace an input.
    """
    if files.map.suffix.lower() not in ENDINGS:
        raise PipelineError(f"-o {files.map}: a map is a GeoTIFF; give it a name that ends in .tif")
    if files.map.is_dir():
        raise PipelineError(f"-o {files.map} is a folder; for one scene it is the file to write")
    paths = [files.map, *map(files.layer, layers), *([preview] if preview else [])]
    read = {Path(name).resolve() for name in inputs}
    for path in paths:
        if path.resolve() in read:
            raise PipelineError(f"{path} would be overwritten, but it is an input; choose another name for -o")
        if path.exists() and not overwrite:
            raise PipelineError(f"{path} exists; --overwrite replaces it")


def describe_layers(
    georeference: Georeference, map_table: ClassTable, model_table: ClassTable, tags: dict[str, str]
) -> dict[str, Raster]:
    """Describe each layer of a map for its file.

    Args:
        georeference: of the map.
        map_table: the classes of the map, with that of undecided pixels if there are any.
        model_table: the classes in the order of the probabilities.
        tags: of every file.
    """
    probabilities = (Band(entry.name, {"CLASS": str(entry.id)}, "percent") for entry in model_table.classes)
    return {
        "classes": class_raster(georeference, map_table, tags),
        "confidence": Raster(georeference, (Band("confidence", unit="percent"),), tags=tags),
        "probabilities": Raster(georeference, tuple(probabilities), tags=tags),
    }


def write_outputs(
    files: MapFiles, finished: Finished, rasters: dict[str, Raster], preview: Callable[[Path], None] | None = None
) -> None:
    """Write all files of a map; the map itself appears last, when everything that belongs to it is there.

    Args:
        files: their names.
        finished: the layers.
        rasters: see `describe_layers`.
        preview: draws the preview from the map's file.

    Raises:
        PipelineError: GDAL cannot write a file.
        OSError: the disk is full.
    """
    for name, layer in finished.layers.items():
        if name != "classes":
            with atomic_path(files.layer(name)) as partial:
                write_cog(partial, layer, rasters[name])
    table = rasters["classes"].table
    assert table is not None
    write_text(files.pam, pam_xml(table, finished.counts(table)))
    write_text(files.style, qml(table))
    with atomic_path(files.map) as partial:
        write_cog(partial, finished.layers["classes"], rasters["classes"])
        if preview:
            preview(partial)
